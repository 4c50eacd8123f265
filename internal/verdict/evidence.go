package verdict

import (
	"slices"
	"time"
)

// Evidence is everything known about one session.
type Evidence struct {
	Observations []Observation
	Marks        []Mark
}

// Adds reports whether o tells the evidence anything new.
func (ev Evidence) Adds(o *Observation) bool {
	id := o.identity()
	return !slices.ContainsFunc(ev.Observations, func(p Observation) bool { return p.identity() == id })
}

// identity tells observations apart; two with equal identities are repetitions.
type identity struct {
	source Source
	form   Form // the same bytes mean different things to a job and to a session
	digest [32]byte
	at     int64 // milliseconds, polled checks without a verdict only
}

func (o *Observation) identity() identity {
	id := identity{source: o.Source, form: o.Form, digest: o.Digest}
	if o.Source == Poll && o.Ends().Null {
		id.at = o.ObservedAt.UnixMilli()
	}
	return id
}

// distinct drops repetitions: the same bytes from the same source are one
// observation, heard first at the earliest time. Only a completed check without a
// verdict is kept as often as it was polled, since its repetition means something.
func distinct(obs []Observation) []Observation {
	if len(obs) < 2 {
		return obs
	}
	out := make([]Observation, 0, len(obs))
	seen := make(map[identity]int, len(obs))
	for i := range obs {
		id := obs[i].identity()
		j, ok := seen[id]
		if !ok {
			seen[id] = len(out)
			out = append(out, obs[i])
			continue
		}
		out[j] = merge(out[j], obs[i])
	}
	return out
}

// merge makes one observation of a repetition: the one heard first, with the smallest
// of what our own side added to each, so that the order does not matter.
func merge(a, b Observation) Observation {
	if b.ObservedAt.Before(a.ObservedAt) {
		a, b = b, a
	}
	a.RepeatAfter = min(a.RepeatAfter, b.RepeatAfter)
	a.WebhookDueAt = earlier(a.WebhookDueAt, b.WebhookDueAt)
	return a
}

// earlier returns the earlier of two times; a zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
