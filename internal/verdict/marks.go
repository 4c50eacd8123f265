package verdict

import "time"

// apply brings in the marks and returns the one that says what is waited for.
// Nothing they say can take an outcome back.
func (s *Session) apply(marks []Mark, obs []Observation) *Mark {
	need, last := s.expect(marks)
	if need == nil && len(obs) > 0 {
		// Known by what was heard alone: it needs no grace, and it waits for one
		// verification.
		s.GraceUntil = firstHeard(obs)
	}
	if last != nil {
		s.last = last.Kind
	}
	if need != nil {
		s.round, s.unmet = need.Round, s.Verifications < need.Verifications
	}
	called := last != nil && last.Kind != Expected
	if s.State == Settled {
		s.AwaitingAgain = s.unmet && !called
	} else if called {
		s.State = Missing
		if last.Kind == CalledOff {
			s.State = Withdrawn
		}
	}
	return need
}

// expect reads the marks: need is the Expected mark of the highest round (the first
// of equals, so that repeating it extends no grace period), last is the latest mark of
// all.
func (s *Session) expect(marks []Mark) (need, last *Mark) {
	for i := range marks {
		m := &marks[i]
		if m.At.After(s.LastObservedAt) {
			s.LastObservedAt = m.At
		}
		if m.Kind.rank() >= 0 && (last == nil || m.after(last)) {
			last = m
		}
		if m.Kind != Expected {
			continue
		}
		if s.ExpectedAt.IsZero() || m.At.Before(s.ExpectedAt) {
			s.ExpectedAt = m.At
		}
		if need == nil || m.supersedes(need) {
			need = m
		}
	}
	if need != nil {
		s.GraceUntil = need.GraceUntil
	}
	return need, last
}

func (m *Mark) after(n *Mark) bool {
	if !m.At.Equal(n.At) {
		return m.At.After(n.At)
	}
	return m.Kind.rank() > n.Kind.rank()
}

func (m *Mark) supersedes(n *Mark) bool {
	if m.Round != n.Round {
		return m.Round > n.Round
	}
	if !m.At.Equal(n.At) {
		return m.At.Before(n.At)
	}
	if m.Verifications != n.Verifications {
		return m.Verifications > n.Verifications
	}
	return m.GraceUntil.Before(n.GraceUntil)
}

func firstHeard(obs []Observation) time.Time {
	first := obs[0].ObservedAt
	for i := range obs {
		if obs[i].ObservedAt.Before(first) {
			first = obs[i].ObservedAt
		}
	}
	return first
}
