package store

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func FuzzPackID(f *testing.F) {
	for _, id := range []string{"", "my-session-id", "550e8400-e29b-41d4-a716-446655440000", "550E8400-e29b-41d4-a716-446655440000",
		"550e8400-e29b-41d4-a716-44665544000g", "550e8400xe29b-41d4-a716-446655440000", "------------------------------------", "0123456789abcdef"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		packed := packID(id)
		got, err := unpackID(packed)
		if err != nil || got != id {
			t.Fatalf("%q became %q: %v", id, got, err)
		}
		if b, ok := packed.([]byte); ok && len(b) != 16 {
			t.Fatalf("%q is packed into %d bytes", id, len(b))
		}
	})
}

// FuzzRecordRoundTrip appends an observation and a mark and reads them back: what is read is
// what was folded.
func FuzzRecordRoundTrip(f *testing.F) {
	f.Add("a", uint8(0), "live", "", "mixed-10-v2", "job", "label", int64(0), int64(1), int64(2), int64(3), 0.94, []byte("body"), false, false)
	f.Add("550e8400-e29b-41d4-a716-446655440000", uint8(2), "", "complete", "", "", "", int64(math.MaxInt64), int64(math.MinInt64), int64(-1), int64(1500001),
		math.Inf(1), []byte{}, true, true)
	f.Add("\x00\xff", uint8(3), "\xff", "a\x00b", "\x00", "é", "x", int64(1)<<60, int64(0), int64(7), int64(-5), math.NaN(), []byte(nil), false, true)
	fx := newFixture(f)
	f.Fuzz(func(t *testing.T, id string, form uint8, said, status, model, job, label string, created, completed, asOf, wait int64,
		score float64, body []byte, mismatch, unavailable bool) {
		fx.t = t
		in := fx.heard(forms()[int(form)%len(forms())], id, said, time.Time{})
		in.Account = fmt.Sprint("account", fx.bodies) // a session of its own, however often an id is drawn
		o := &in.Observation
		o.Status, o.Model, o.JobID, o.Type, o.Label, o.Route = status, model, job, said, label, label
		o.CreatedAt, o.CompletedAt = time.Unix(created, completed), time.Unix(completed, created)
		o.AsOf = time.Unix(asOf, created)
		o.RepeatAfter, o.WebhookDueAt = time.Duration(wait), fx.now().Add(time.Duration(wait))
		o.Score, o.RealScore, o.HeaderMismatch, o.Unavailable = &score, &score, mismatch, unavailable
		in.Body = body
		fx.pass(time.Second)
		got := fx.apply(in)
		want, err := storable(*o)
		must(t, err)
		v, err := fx.Get(ctx(), in.Account, id, true)
		must(t, err)
		var read *Entry
		for i := range v.Entries {
			if v.Entries[i].Observation != nil && v.Entries[i].Observation.Digest == o.Digest {
				read = &v.Entries[i]
			}
		}
		same(t, "id", v.ID, id)
		same(t, "observation", *read.Observation, want)
		same(t, "body", string(read.Body), string(body))
		same(t, "session", v.Session, got.Session, foldOptions())
		again, err := fx.Expect(ctx(), Expectation{Account: in.Account, SessionID: id, At: fx.now(), Grace: time.Duration(wait), Again: mismatch})
		must(t, err)
		v, err = fx.Get(ctx(), in.Account, id, false)
		must(t, err)
		same(t, "session with a mark", v.Session, again.Session, foldOptions())
	})
}
