package api

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// What is forwarded is the JSON of the same types that the API answers with: every field of
// them, as encoding/json writes it.
func TestForwardedJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "live", "a\"b\\c<>&é\u2028\x00\xff"}))
		score := rapid.Custom(func(t *rapid.T) *float64 {
			if rapid.Bool().Draw(t, "null") {
				return nil
			}
			f := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 94, 0.94, 1e-7, 1e21, math.Copysign(0, -1)})).Draw(t, "f")
			return &f
		})
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "ms")).UTC()
		})
		o := verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: word.Draw(t, "verdict"), Model: word.Draw(t, "model"),
			Type: word.Draw(t, "type"), CreatedAt: at.Draw(t, "created"), ObservedAt: at.Draw(t, "heard"), Label: word.Draw(t, "label"),
			Route: word.Draw(t, "route"), Score: score.Draw(t, "score"), RealScore: score.Draw(t, "real"), Confidence: score.Draw(t, "confidence"),
			HeaderMismatch: rapid.Bool().Draw(t, "mismatch")}
		o.AsOf = o.CreatedAt
		v := store.View{ID: word.Draw(t, "id"), Account: word.Draw(t, "account"), JobID: word.Draw(t, "job"), State: verdict.Settled,
			Attempts: rapid.Int().Draw(t, "attempts"), NextPollAt: at.Draw(t, "next"),
			Session: verdict.Fold(verdict.Evidence{Observations: []verdict.Observation{o}})}
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			v.Entries = append(v.Entries, store.Entry{Observation: &o, Digest: []byte{1}, Redelivered: rapid.Int64().Draw(t, "again")})
		}
		e := store.Event{Seq: rapid.Int64().Draw(t, "seq"), At: at.Draw(t, "at"), SessionID: v.ID, Account: v.Account, Change: verdict.ChangeSettled,
			State: v.State, Outcome: v.Session.Outcome, FirstBy: verdict.Webhook, Conflict: rapid.Bool().Draw(t, "conflict")}
		got := Forwarding("6f44f5bfb0b7", e, v)
		session := sessionJSON(v, true)
		session.Observations = session.Observations[max(0, len(session.Observations)-evidenceMax):]
		want, err := json.Marshal(Forwarded{Type: "session.settled", Timestamp: eventJSON(e, "").At,
			Data: ForwardedData{Event: eventJSON(e, "6f44f5bfb0b7"), Session: session}})
		if err != nil {
			t.Skip(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// A number that is no JSON does not keep a delivery from being stored.
func TestForwardedWithoutJSON(t *testing.T) {
	inf := math.Inf(1)
	o := verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", Score: &inf, CreatedAt: time.Unix(1, 0)}
	v := store.View{ID: "one", State: verdict.Settled, Session: verdict.Fold(verdict.Evidence{Observations: []verdict.Observation{o}})}
	got := Forwarding("s", store.Event{Seq: 1, SessionID: "one"}, v)
	var out Forwarded
	if err := json.Unmarshal(got, &out); err != nil || out.Data.Session.SessionID != "one" {
		t.Errorf("%v: %s", err, got)
	}
}

// A session that was pruned can still be erased where something of it is still to be
// forwarded, without naming its account if only one has something.
func TestErasePruned(t *testing.T) {
	r := newRig(t, "one", "two")
	r.st.SetForwarding(store.Forwarding{Render: Forwarding,
		Forwards: []store.Forward{{Name: "backend", Changes: []verdict.Change{verdict.ChangeSettled}}}})
	r.clock.Store(time.Now().Add(-time.Hour).UnixMilli())
	for _, account := range []string{"one", "two"} {
		for _, id := range []string{"a", "only-" + account} {
			r.call(201, "PUT", "/v1/sessions/"+id+"?account="+account, `{"metadata":{"customer":"very-personal"}}`, nil)
			r.deliver(account, id, "live")
		}
	}
	r.clock.Store(0)
	if out, err := r.st.Prune(t.Context(), store.Retention{Settled: time.Minute}, r.now()); err != nil || out.Sessions != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	personal := func() (n int) {
		for seq := range int64(20) {
			if out, err := r.st.Outgoing(t.Context(), "backend", seq); err == nil && strings.Contains(string(out.Body), "very-personal") {
				n++
			}
		}
		return n
	}
	if n := personal(); n != 4 {
		t.Fatalf("%d of 4 events are to be sent with their metadata", n)
	}
	var s Session
	if r.call(200, "POST", "/v1/admin/sessions/only-two/erase", "", &s); s.SessionID != "only-two" || s.Account != "two" || s.State != "" {
		t.Errorf("%+v", s)
	}
	r.refused(409, "POST", "/v1/admin/sessions/a/erase", "")
	r.refused(404, "POST", "/v1/admin/sessions/b/erase", "")
	r.refused(404, "POST", "/v1/admin/sessions/only-two/erase?account=one", "")
	r.call(200, "POST", "/v1/admin/sessions/a/erase?account=one", "", nil)
	if n := personal(); n != 2 {
		t.Errorf("after two were erased %d are sent with their metadata", n)
	}
}
