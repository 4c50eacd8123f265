package verdict

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// t0 is a whole second: Moveris may well round.
var t0 = time.Date(2026, 2, 10, 15, 0, 0, 0, time.UTC)

func sec(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func at(n float64) time.Time { return t0.Add(sec(n)) }

type opt func(*Observation)

// digested makes the digest a function of the content, as it is on the wire.
func digested(o Observation) Observation {
	o.Digest = sha256.Sum256(fmt.Append(nil, o.Source, o.Form, o.Status, o.Verdict, o.Unavailable,
		o.CreatedAt.UnixNano(), o.CompletedAt.UnixNano(), o.Model))
	return o
}

func seen(o Observation, heard float64, opts []opt) Observation {
	o.ObservedAt, o.RepeatAfter = at(heard), 15*time.Second
	for _, f := range opts {
		f(&o)
	}
	return digested(o)
}

// webhook, submitted, job and session make observations heard so many seconds after t0.
func webhook(heard float64, verdict string, opts ...opt) Observation {
	return seen(Observation{Source: Webhook, Form: FormCompleted, Verdict: verdict}, heard, opts)
}

func failedHook(heard float64, opts ...opt) Observation {
	return seen(Observation{Source: Webhook, Form: FormFailed}, heard, opts)
}

func submitted(heard float64, verdict string, opts ...opt) Observation {
	return seen(Observation{Source: Submitted, Form: FormSubmitted, Verdict: verdict}, heard, opts)
}

func job(heard float64, status, verdict string, opts ...opt) Observation {
	return seen(Observation{Source: Poll, Form: FormJob, Status: status, Verdict: verdict}, heard, opts)
}

func session(heard float64, status, verdict string, opts ...opt) Observation {
	return seen(Observation{Source: Poll, Form: FormSession, Status: status, Verdict: verdict}, heard, opts)
}

func created(n float64) opt { return func(o *Observation) { o.CreatedAt, o.AsOf = at(n), at(n) } }

func span(from, to float64) opt {
	return func(o *Observation) { o.CreatedAt, o.CompletedAt, o.AsOf = at(from), at(to), at(to) }
}

func model(m string) opt { return func(o *Observation) { o.Model = m } }

func wait(n float64) opt { return func(o *Observation) { o.RepeatAfter = sec(n) } }

func hookDue(n float64) opt { return func(o *Observation) { o.WebhookDueAt = at(n) } }

func unavailable(o *Observation) { o.Unavailable = true }

func scored(score, real float64, kind string) opt {
	return func(o *Observation) { o.Score, o.RealScore, o.Type = &score, &real, kind }
}

// expected, calledOff and gaveUp make marks.
func expected(n, grace float64, need, round int) Mark {
	return Mark{Kind: Expected, At: at(n), GraceUntil: at(n + grace), Verifications: need, Round: round}
}

func calledOff(n float64) Mark { return Mark{Kind: CalledOff, At: at(n)} }

func gaveUp(n float64) Mark { return Mark{Kind: GaveUpMark, At: at(n)} }

// evidence sorts its parts into observations and marks.
func evidence(parts ...any) Evidence {
	var ev Evidence
	for _, p := range parts {
		switch p := p.(type) {
		case Observation:
			ev.Observations = append(ev.Observations, p)
		case Mark:
			ev.Marks = append(ev.Marks, p)
		default:
			panic(fmt.Sprintf("no evidence: %T", p))
		}
	}
	return ev
}

// foldAll folds the parts in every order (up to five of them) and checks that it is the
// same session each time.
func foldAll(t *testing.T, parts ...any) Session {
	t.Helper()
	want := Fold(evidence(parts...))
	if len(parts) > 5 {
		return want
	}
	permute(slices.Clone(parts), 0, func(ps []any) {
		if got := Fold(evidence(ps...)); !reflect.DeepEqual(got, want) {
			t.Fatalf("order matters:\n%+v\n%+v", got, want)
		}
	})
	return want
}

func permute(ps []any, k int, f func([]any)) {
	if k == len(ps) {
		f(ps)
		return
	}
	for i := k; i < len(ps); i++ {
		ps[k], ps[i] = ps[i], ps[k]
		permute(ps, k+1, f)
		ps[k], ps[i] = ps[i], ps[k]
	}
}

func zone(hours int) *time.Location { return time.FixedZone("", hours*3600) }
