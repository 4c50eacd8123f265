package verdict

// speaker is the first half of rule 3: who speaks for a verification. An outcome
// with a verdict comes before one without, because a null contradicts nothing;
// then webhook before poll before submission, the earliest heard, the smallest digest.
func speaker(v *verification) *Observation {
	var best *Observation
	for _, o := range v.obs {
		if best == nil || o.speaksBefore(best) {
			best = o
		}
	}
	return best
}

func (o *Observation) speaksBefore(p *Observation) bool {
	if a, b := o.weight(), p.weight(); a != b {
		return a < b
	}
	return o.before(p)
}

// weight is 0 for a verdict, 1 for an end without one, 2 for a null.
func (o *Observation) weight() int {
	switch e := o.Ends(); {
	case e.Outcome.IsVerdict():
		return 0
	case e.Outcome != "":
		return 1
	}
	return 2
}

// IsVerdict reports whether the outcome is a verdict of Moveris' rather than an end
// without one.
func (x Outcome) IsVerdict() bool { return x == Live || x == Fake || x == Inconclusive }

// verdictOf is the verdict that the observation states, or empty.
func (o *Observation) verdictOf() Outcome {
	if x := o.Ends().Outcome; x.IsVerdict() {
		return x
	}
	return ""
}
