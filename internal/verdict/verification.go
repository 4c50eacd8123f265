package verdict

import (
	"slices"
	"strings"
	"time"
)

// fitSlack widens the span of a polled result when it looks for its
// verification: the webhook's created_at and the job's times are taken by
// different parts of Moveris (product section 4, rule 1).
const fitSlack = 5 * time.Second

// hearingMax is how far apart two sources may be heard and still speak of the same
// verification when one of them names no time (product section 4, rule 1).
const hearingMax = 10 * time.Minute

// verification is one run of a check within a session: the finished observations
// that speak of it.
type verification struct {
	obs       []*Observation
	createdAt time.Time // zero if no observation in it names a time
	model     string    // empty if no observation in it names one

	told bool // a webhook or a submission with Moveris' time founded it

	// stray is true if nothing but untimed or ill-fitting observations make it up. A
	// stray verification that contradicts the current one is a conflict, not history.
	stray bool
}

// verifications is rule 1. Observations with Moveris' time form verifications by
// (created_at, model); a polled result joins the one within its span; an untimed
// observation joins the nearest by hearing time. Unfinished observations belong to
// none. The result depends on the set alone: each step sorts before it looks.
func verifications(obs []Observation) []*verification {
	var told, polled, untimed []*Observation
	for i := range obs {
		o := &obs[i]
		switch {
		case !o.Ends().Bears():
		case o.CreatedAt.IsZero():
			untimed = append(untimed, o)
		case o.Source == Poll:
			polled = append(polled, o)
		default:
			told = append(told, o)
		}
	}
	vs := byTime(told)
	for _, v := range vs {
		v.told = true
	}
	for _, v := range byTime(joinPolled(vs, polled)) {
		v.stray = !slices.ContainsFunc(v.obs, (*Observation).hasSpan)
		vs = append(vs, v)
	}
	return joinUntimed(vs, untimed)
}

// byTime groups observations by (created_at, model). A missing model matches any:
// it joins the first model of its time by name.
func byTime(obs []*Observation) []*verification {
	slices.SortFunc(obs, func(a, b *Observation) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		// Named models first, so that a nameless observation finds them.
		if (a.Model == "") != (b.Model == "") {
			if a.Model == "" {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Model, b.Model)
	})
	var vs []*verification
	first := 0 // the first verification of the time at hand
	for _, o := range obs {
		if len(vs) > 0 && !vs[first].createdAt.Equal(o.CreatedAt) {
			first = len(vs)
		}
		i := slices.IndexFunc(vs[min(first, len(vs)):], func(v *verification) bool {
			return o.Model == "" || v.model == o.Model
		})
		if i < 0 {
			vs = append(vs, &verification{createdAt: o.CreatedAt, model: o.Model})
			i = len(vs) - 1 - first
		}
		vs[first+i].obs = append(vs[first+i].obs, o)
	}
	return vs
}

// sameModel reports whether two models may be one: a missing one matches any.
func sameModel(a, b string) bool { return a == "" || b == "" || a == b }

// hasSpan reports whether a polled result names a usable span of time.
func (o *Observation) hasSpan() bool {
	return !o.CompletedAt.IsZero() && !o.CompletedAt.Before(o.CreatedAt)
}

// end is the end of a polled result's span.
func (o *Observation) end() time.Time {
	if o.hasSpan() {
		return o.CompletedAt
	}
	return o.CreatedAt
}

// joinPolled adds each polled result to the verification within its span, the
// nearest to one of its ends if there are several, and returns those that fit none.
func joinPolled(vs []*verification, polled []*Observation) (alone []*Observation) {
	for _, o := range polled {
		var home *verification
		var best time.Duration
		for _, v := range vs { // sorted by time and model: the first of equals wins
			d, fits := o.distance(v)
			if fits && (home == nil || d < best) {
				home, best = v, d
			}
		}
		if home == nil {
			alone = append(alone, o)
			continue
		}
		home.obs = append(home.obs, o)
	}
	return alone
}

// distance says how far a verification lies from the ends of a polled result's
// span, and whether it lies within it at all.
func (o *Observation) distance(v *verification) (time.Duration, bool) {
	if !sameModel(o.Model, v.model) {
		return 0, false
	}
	if v.createdAt.Before(o.CreatedAt.Add(-fitSlack)) || v.createdAt.After(o.end().Add(fitSlack)) {
		return 0, false
	}
	return min(v.createdAt.Sub(o.CreatedAt).Abs(), v.createdAt.Sub(o.end()).Abs()), true
}

// joinUntimed adds each observation without Moveris' time to the verification heard
// nearest to it within [hearingMax]; the rest stand alone, together where they were
// heard within [hearingMax] of the first. An untimed check without a verdict joins
// at any distance: it contradicts nothing.
func joinUntimed(vs []*verification, untimed []*Observation) []*verification {
	slices.SortFunc(untimed, heard)
	homes := make([]*verification, len(untimed))
	for i, o := range untimed {
		homes[i] = nearestHeard(vs, o)
	}
	var last *verification
	for i, o := range untimed {
		if homes[i] == nil {
			if last == nil || o.ObservedAt.Sub(last.obs[0].ObservedAt) > hearingMax && !o.Ends().Null {
				last = &verification{stray: true}
				vs = append(vs, last)
			}
			homes[i] = last
		}
		homes[i].obs = append(homes[i].obs, o)
	}
	return vs
}

// nearestHeard finds the verification with a timed observation heard nearest to o.
// It must be called before any untimed observation was added.
func nearestHeard(vs []*verification, o *Observation) *verification {
	var home *verification
	limit := hearingMax
	if o.Ends().Null {
		limit = 1<<63 - 1
	}
	for _, v := range vs {
		for _, p := range v.obs {
			if d := p.ObservedAt.Sub(o.ObservedAt).Abs(); d < limit || d == limit && home == nil {
				home, limit = v, d
			}
		}
	}
	return home
}
