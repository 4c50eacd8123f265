package verdict

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// FuzzFold makes evidence of bytes, ten for each part, and folds it forwards,
// backwards and doubled.
func FuzzFold(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x00\x05\x01\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x05\x01\x00\x00\x00\x02\x00\x01\x01\x09\x00\x01\x02\x00\x00\x04\x00\x01\x00\x01\x00\x01\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 300 {
			return
		}
		ev := evidenceOf(data)
		want := Fold(ev)
		if complaint := outOfNothing(ev, &want); complaint != "" {
			t.Error(complaint)
		}
		back := Evidence{slices.Concat(ev.Observations, ev.Observations), slices.Concat(ev.Marks, ev.Marks)}
		slices.Reverse(back.Observations)
		slices.Reverse(back.Marks)
		got := Fold(back)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("order or repetition matters:\n%+v\n%+v", got, want)
		}
		if steps := Diff(&got, want); len(steps) != 0 {
			t.Errorf("steps between equals: %q", steps)
		}
		Diff(nil, want)
		Tally(&want)
	})
}

func evidenceOf(data []byte) Evidence {
	var ev Evidence
	for ; len(data) >= 10; data = data[10:] {
		heard := t0.Add(time.Duration(data[1])*time.Second + time.Duration(data[2])*time.Minute)
		if data[0]%8 >= 6 {
			m := Mark{Kind: pick([]MarkKind{Expected, CalledOff, GaveUpMark, "odd"}, data[3]), At: heard}
			if m.Kind == Expected {
				m.Round, m.Verifications, m.GraceUntil = int(data[4]), int(data[5]), heard.Add(time.Minute)
			}
			ev.Marks = append(ev.Marks, m)
			continue
		}
		o := Observation{ObservedAt: heard, Unavailable: data[9]&128 != 0, RepeatAfter: time.Duration(data[9]&31) * time.Second,
			Source:  pick([]Source{Webhook, Poll, Submitted, "odd"}, data[0]),
			Form:    pick([]Form{FormCompleted, FormFailed, FormJob, FormSession, FormSubmitted, "odd"}, data[3]),
			Status:  pick([]string{"complete", "completed", "failed", "expired", "cancelled", "queued", "odd", ""}, data[4]),
			Verdict: pick([]string{"live", "fake", "inconclusive", "", "odd"}, data[5]),
			Model:   pick([]string{"", "a", "b"}, data[6])}
		if data[7] > 0 {
			o.CreatedAt = at(float64(data[7]) / 4)
		}
		if data[8] > 0 {
			o.CompletedAt = at(float64(data[8]) / 4)
		}
		ev.Observations = append(ev.Observations, digested(o))
	}
	return ev
}

func pick[T any](from []T, b byte) T { return from[int(b)%len(from)] }
