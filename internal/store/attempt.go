package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Attempt is one try to fetch one session: what each route answered, and what it means
// for the schedule.
type Attempt struct {
	At      time.Time
	Routes  []RouteResult
	Answer  verdict.Answer
	Route   string // template of the route that told, if one did
	Sent    bool   // a request really went out
	RetryAt time.Time
	Jitter  float64 // 0 up to but not including 1
	Hold    bool    // the clock is in doubt: the attempt counts for nothing
}

// RouteResult is what one route answered in an attempt.
type RouteResult struct {
	Route      string
	Status     int // HTTP status, 0 without an answer
	Conclusion string
}

// Deferred is an attempt that told nothing about its session.
type Deferred struct {
	Account   string
	SessionID string
	Attempt   Attempt
}

// Defer records an attempt that told nothing, and decides when the session is asked about
// next or whether it is given up. The session must be known.
func (s *Store) Defer(ctx context.Context, in Deferred) (Receipt, error) {
	var out Receipt
	in.Attempt.At = in.Attempt.At.UTC().Truncate(time.Millisecond)
	err := s.queue.do(ctx, func(t *txn) error {
		k, err := t.load(in.Account, in.SessionID)
		if err != nil {
			return err
		}
		if k.before == nil {
			return refuse(ErrNotFound)
		}
		out, err = t.grow(k, in.Attempt.records(k), in.Attempt.At, func(after *verdict.Session) (verdict.Schedule, bool) {
			return in.Attempt.schedule(k, after)
		})
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("defer %s: %w", in.SessionID, err)
	}
	return out, nil
}

// attemptsKept is how many attempts in a row are kept in full: with the default backoff,
// two days of them. Beyond it, one that only repeats what is there adds nothing, so that
// short backoffs make no endless chain.
const attemptsKept = 64

// records are the attempt's entries in the session's chain: one for each route that told
// nothing. An attempt that counts for nothing and only repeats an entry since the last
// observation or mark is left out, so that an outage does not fill the disk.
func (a *Attempt) records(k *known) []record {
	tail := len(k.recs)
	for tail > 0 && k.recs[tail-1].kind == kindAttempt {
		tail--
	}
	since := k.recs[tail:]
	sparing := a.Answer == verdict.NoAnswer || a.Hold || len(since) >= attemptsKept
	var recs []record
	for _, rr := range a.Routes {
		if rr.Route == a.Route && a.Route != "" {
			continue // its observation says it all
		}
		rec := record{kind: kindAttempt, at: a.At, n: int64(rr.Status), word: rr.Conclusion, route: rr.Route}
		if sparing && slices.ContainsFunc(since, rec.repeats) {
			continue
		}
		recs = append(recs, rec)
	}
	return recs
}

// repeats reports whether an attempt came to the same as another.
func (rec *record) repeats(other record) bool {
	return other.n == rec.n && other.word == rec.word && other.route == rec.route
}

// answeredBy remembers the route that told of a session.
func (t *txn) answeredBy(r *row, route string) error {
	if route == "" {
		return nil
	}
	id, err := t.number(t.q.s.names, &t.newNames, insertName, route)
	if err == nil {
		r.route = id
	}
	return err
}

// schedule decides what follows. Without an attempt the evidence alone decides.
func (a *Attempt) schedule(k *known, after *verdict.Session) (verdict.Schedule, bool) {
	sch := k.row.schedule()
	if a == nil {
		return k.policy.Reschedule(k.before, after, sch), false
	}
	if a.Sent {
		k.row.asked = true
	}
	if sch.NextPollAt.IsZero() {
		// Asked for by a person while it was not due: that changes no schedule.
		return k.policy.Reschedule(k.before, after, sch), false
	}
	answer := a.Answer
	if a.Hold {
		answer = verdict.NoAnswer
	}
	d := k.policy.AfterAttempt(after, sch, answer, a.At, a.Jitter)
	if !d.Schedule.NextPollAt.IsZero() && d.Schedule.NextPollAt.Before(a.RetryAt) {
		d.Schedule.NextPollAt = a.RetryAt
	}
	return d.Schedule, d.GiveUp
}
