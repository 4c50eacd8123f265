package verdict

import "time"

// Session is what the evidence says about one session. It holds no time but those
// of the evidence, so it does not change by itself; see [Session.StateAt].
type Session struct {
	State   State // Awaiting for every open session: only the clock tells Overdue
	Outcome Outcome

	// The fields of the observation that speaks for the current verification. Verdict
	// is empty where Outcome is no verdict that was said.
	Verdict    string
	Type       string
	Model      string
	Score      *float64
	RealScore  *float64
	Confidence *float64
	AsOf       time.Time // Moveris' time, zero if it named none

	ExpectedAt time.Time // the first Expected mark, zero if nobody expected it
	GraceUntil time.Time // end of the grace period of what is waited for
	SettledAt  time.Time // when the outcome of the current verification was first heard
	FirstBy    Source    // who told that first
	ToldAt     map[Source]time.Time

	Conflict      bool // a contradiction stands, or once stood: see [conflict]
	Verifications int  // ended ones
	AwaitingAgain bool // settled, and one more verification is expected
	UnknownWord   string

	WebhookDueAt   time.Time // zero if no webhook was ever due
	WebhookCame    bool      // a delivery came for what is or was waited for
	LastObservedAt time.Time // the newest observation or mark

	// What Diff, Tally and Policy need beside it.
	current currentID // identity of the current verification
	pending bool      // a completed check without a verdict is still to be repeated
	unmet   bool      // fewer verifications have ended than are expected
	round   int       // of the expectation that counts
	last    MarkKind  // the latest mark, empty if there is none
}

// Open reports whether an outcome is still waited for.
func (s *Session) Open() bool { return s.State == Awaiting || s.AwaitingAgain }

// StateAt is the state at a time: an open session is Overdue once its grace period
// is over.
func (s *Session) StateAt(now time.Time) State {
	if s.State == Awaiting && !now.Before(s.GraceUntil) {
		return Overdue
	}
	return s.State
}

// Fold turns the evidence into the session. It does not change the evidence, and
// neither the order of it nor repetitions in it matter.
func Fold(ev Evidence) Session {
	obs := distinct(ev.Observations)
	g := group(obs)
	s := Session{State: Awaiting, Verifications: g.ended, Conflict: conflict(obs, g), pending: g.ended < len(g.vs)}
	if g.current != nil {
		s.State = Settled
		s.speak(g.current, g.confirmed)
	}
	need := s.apply(ev.Marks, obs)
	s.hear(obs, need)
	return s
}

// speak takes over what the current verification says.
func (s *Session) speak(v *verification, confirmed map[*Observation]bool) {
	o := speaker(v)
	s.Outcome = o.Ends().Outcome
	if s.Outcome == "" {
		s.Outcome = Inconclusive
	}
	s.Verdict = string(o.verdictOf())
	s.Type, s.Model, s.AsOf = o.Type, o.Model, o.AsOf
	s.Score, s.RealScore, s.Confidence = o.Score, o.RealScore, o.Confidence
	s.current = v.identity()
	s.ToldAt = make(map[Source]time.Time, 3)
	var first *Observation
	for _, p := range v.obs {
		if p.Ends().Outcome == "" && !confirmed[p] {
			continue
		}
		if at, ok := s.ToldAt[p.Source]; !ok || p.ObservedAt.Before(at) {
			s.ToldAt[p.Source] = p.ObservedAt
		}
		if first == nil || settlesBefore(p, first) {
			first = p
		}
	}
	s.FirstBy, s.SettledAt = first.Source, first.ObservedAt
}

// settlesBefore orders by hearing time; in the same millisecond by precedence.
func settlesBefore(o, p *Observation) bool {
	if !o.ObservedAt.Equal(p.ObservedAt) {
		return o.ObservedAt.Before(p.ObservedAt)
	}
	return o.before(p)
}

// hear fills what depends on all observations, finished or not.
func (s *Session) hear(obs []Observation, need *Mark) {
	if need != nil {
		s.WebhookDueAt = need.GraceUntil
	}
	var unknown *Observation
	for i := range obs {
		o := &obs[i]
		if o.Ends().Unknown != "" && (unknown == nil || unknown.heardBefore(o)) {
			unknown = o
		}
		if o.Source == Webhook && o.answers(need) {
			s.WebhookCame = true
		}
		if need == nil {
			s.WebhookDueAt = earlier(s.WebhookDueAt, o.WebhookDueAt)
		}
		if o.ObservedAt.After(s.LastObservedAt) {
			s.LastObservedAt = o.ObservedAt
		}
	}
	if unknown != nil {
		s.UnknownWord = unknown.Ends().Unknown
	}
}

// answers reports whether a delivery counts as the webhook that was due: any does for
// a first verification, and for one more only what was heard since it was expected.
func (o *Observation) answers(need *Mark) bool {
	return need == nil || need.Round <= 1 && need.Verifications <= 1 || !o.ObservedAt.Before(need.At)
}
