package verdict

import "slices"

// replayMax bounds the look back of [conflict], which costs a grouping for each hearing.
// Only an id that is used for everything has more of them; beyond it, a contradiction
// counts while it stands.
const replayMax = 64

// contradicted is the second half of rule 3: two verdicts that differ within one
// verification, whoever said them.
func contradicted(v *verification) bool {
	var said Outcome
	for _, o := range v.obs {
		x := o.verdictOf()
		if x != "" && said != "" && x != said {
			return true
		}
		if x != "" {
			said = x
		}
	}
	return false
}

// contradicts reports whether the session contradicts itself: within a verification,
// or by a stray one that differs from the verdict that counts.
func (g *grouping) contradicts() bool {
	if slices.ContainsFunc(g.vs, contradicted) {
		return true
	}
	if g.current == nil {
		return false
	}
	counts := speaker(g.current).verdictOf()
	return counts != "" && slices.ContainsFunc(g.vs, func(v *verification) bool {
		if v == g.current || !v.stray {
			return false
		}
		x := speaker(v).verdictOf()
		return x != "" && x != counts
	})
}

// conflict reports whether a contradiction stands, or stood after any earlier hearing:
// the flag stays. What comes later may explain a contradiction away, by a verification
// that an untimed or polled observation fits better or that counts instead, but people
// and applications were told of it.
func conflict(obs []Observation, g grouping) bool {
	verdicts, loose := survey(obs)
	switch {
	case verdicts < 2:
		return false
	case g.contradicts():
		return true
	case !loose:
		return false // nothing can have been in another verification before
	}
	obs = slices.Clone(obs)
	slices.SortFunc(obs, func(a, b Observation) int { return heard(&a, &b) })
	for i := 1; i < min(len(obs), replayMax); i++ {
		if !obs[i].ObservedAt.After(obs[i-1].ObservedAt) {
			continue // heard together
		}
		if g := group(obs[:i]); g.contradicts() {
			return true
		}
	}
	return false
}

// survey counts the different verdicts that were said, up to two, and reports whether any
// was said by an observation whose verification depends on the others.
func survey(obs []Observation) (verdicts int, loose bool) {
	var said Outcome
	for i := range obs {
		o := &obs[i]
		x := o.verdictOf()
		if x == "" {
			continue
		}
		if x != said {
			verdicts = min(verdicts+1, 2)
		}
		said = x
		loose = loose || o.CreatedAt.IsZero() || o.Source == Poll || o.Model == ""
	}
	return verdicts, loose
}
