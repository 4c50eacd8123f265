package verdict

import (
	"encoding/binary"
	"slices"
	"time"
)

// grouping is what a set of observations comes to by rules 1 and 2.
type grouping struct {
	vs        []*verification
	confirmed map[*Observation]bool // nulls that end their verification
	ended     int
	current   *verification // nil if none has ended
}

func group(obs []Observation) grouping {
	g := grouping{vs: verifications(obs), confirmed: confirmedNulls(obs)}
	for _, v := range g.vs {
		if v.ended(g.confirmed) {
			g.ended++
		}
	}
	g.current = current(g.vs, g.confirmed)
	return g
}

// ended reports whether the verification has an outcome.
func (v *verification) ended(confirmed map[*Observation]bool) bool {
	return slices.ContainsFunc(v.obs, func(o *Observation) bool {
		return o.Ends().Outcome != "" || confirmed[o]
	})
}

// current is rule 2: the latest ended verification by Moveris' time; a stray one
// counts only if there is no other. It returns nil if none has ended.
func current(vs []*verification, confirmed map[*Observation]bool) *verification {
	var best *verification
	for _, v := range vs {
		if v.ended(confirmed) && (best == nil || v.later(best)) {
			best = v
		}
	}
	return best
}

// later orders verifications for rule 2. Two models at the same time are told apart
// by name, so that the choice does not depend on order.
func (v *verification) later(w *verification) bool {
	if v.stray != w.stray {
		return w.stray
	}
	if c := v.at().Compare(w.at()); c != 0 {
		return c > 0
	}
	if v.createdAt.IsZero() != w.createdAt.IsZero() {
		return w.createdAt.IsZero()
	}
	return v.model > w.model
}

// at is when the verification took place: Moveris' time, or for a stray one the
// first hearing of it.
func (v *verification) at() time.Time {
	if !v.createdAt.IsZero() {
		return v.createdAt
	}
	first := v.obs[0]
	for _, o := range v.obs {
		if o.heardBefore(first) {
			first = o
		}
	}
	return first.ObservedAt
}

// currentID tells whether two folds have the same current verification.
type currentID struct {
	told    bool
	at      time.Time
	model   string
	members []uint64 // one number for each observation in it, sorted
}

func (v *verification) identity() currentID {
	id := currentID{told: v.told, at: v.createdAt.UTC(), model: v.model, members: make([]uint64, len(v.obs))}
	for i, o := range v.obs {
		id.members[i] = binary.BigEndian.Uint64(o.Digest[:])
	}
	slices.Sort(id.members)
	return id
}

// same reports whether the fold after still has the current verification of the fold
// before. One that a webhook or a submission told with Moveris' time keeps that time for
// good; any other may still be found to be part of one, so it is looked for by what it
// is made of.
func (before *currentID) same(after *currentID) bool {
	if before.told {
		return after.told && before.at.Equal(after.at) && sameModel(before.model, after.model)
	}
	return slices.ContainsFunc(before.members, func(m uint64) bool {
		_, found := slices.BinarySearch(after.members, m)
		return found
	})
}
