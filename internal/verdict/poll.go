package verdict

import "time"

// AnswersMin is how many answers about a session, all of them 404 or unfinished, must
// have come before it can be given up (product section 4): one answer may be a hiccup
// of a gateway, three over at least two backoffs are Moveris' word.
const AnswersMin = 3

// Policy is what the configuration says about waiting and asking.
type Policy struct {
	GracePeriod      time.Duration
	GiveUpAfter      time.Duration // from the end of grace
	BackoffMin       time.Duration
	BackoffMax       time.Duration
	ConfirmSubmitted bool // ask about sessions that only a submission has settled
}

// Schedule is how far asking about a session has got. It is not evidence: losing it
// costs requests, never a verdict.
type Schedule struct {
	Attempts   int       // attempts that the API answered
	Answered   int       // those that told nothing of what is waited for
	NextPollAt time.Time // zero if the session is not to be asked about
}

// Answer is what an attempt came to, as far as the schedule is concerned.
type Answer int

// The three kinds of answers to an attempt.
const (
	// NoAnswer is an outage: transport errors, 429, 5xx, a stopped account. It never
	// counts, neither as an attempt nor towards giving up.
	NoAnswer Answer = iota
	// NotThere means that every usable route answered with 404 or an unfinished status.
	NotThere
	// Said means that a route answered for this session with more than that. Whether it
	// told anything of what is waited for, the fold knows: see [Policy.AfterAttempt].
	Said
)

// Wants reports whether the session is to be polled at all.
func (p Policy) Wants(s *Session) bool { return s.Open() || p.confirms(s) }

// confirms reports whether a settled session is polled because nobody but the
// application has told its outcome.
func (p Policy) confirms(s *Session) bool {
	if !p.ConfirmSubmitted || s.State != Settled {
		return false
	}
	_, submitted := s.ToldAt[Submitted]
	return submitted && len(s.ToldAt) == 1
}

// due is the time from which a session may first be asked about.
func (p Policy) due(s *Session) time.Time {
	if s.WebhookDueAt.IsZero() {
		// No webhook is due, it was known by what was heard: ask one backoff after that.
		return s.GraceUntil.Add(p.BackoffMin)
	}
	return s.waitedUntil()
}

// deadline is the time from which a session may be given up.
func (p Policy) deadline(s *Session) time.Time { return s.waitedUntil().Add(p.GiveUpAfter) }

// waitedUntil is when the webhook of what is waited for was due: the end of grace, or
// what a submission has set. Without either it is the first hearing.
func (s *Session) waitedUntil() time.Time {
	if s.WebhookDueAt.IsZero() {
		return s.GraceUntil
	}
	return s.WebhookDueAt
}

// Reschedule returns the schedule after the evidence has grown. Asking starts anew,
// from the end of grace, where the session was not waited for before, or for something
// else.
func (p Policy) Reschedule(before *Session, after *Session, sch Schedule) Schedule {
	switch {
	case !p.Wants(after):
		sch.NextPollAt = time.Time{}
	case before == nil || !p.Wants(before) || sch.NextPollAt.IsZero(),
		after.Open() && after.round > before.round:
		sch = Schedule{NextPollAt: p.due(after)}
	}
	return sch
}

// Decision is what follows from an attempt, with its reason.
type Decision struct {
	Schedule Schedule
	GiveUp   bool
	Reason   string
}

// AfterAttempt decides what follows from an attempt about a session; s is the session
// with what the attempt has told. now is the time of the answer; jitter, from 0 up to but
// not including 1, lengthens the backoff by up to a fifth. A session is given up only at
// or after its deadline, by an answer that told nothing, after [AnswersMin] of them.
func (p Policy) AfterAttempt(s *Session, sch Schedule, a Answer, now time.Time, jitter float64) Decision {
	if !p.Wants(s) {
		sch.NextPollAt = time.Time{}
		return Decision{Schedule: sch, Reason: "no longer waited for"}
	}
	if a == NoAnswer {
		sch.NextPollAt = now.Add(p.Backoff(1, jitter))
		return Decision{Schedule: sch, Reason: "no answer"}
	}
	sch.Attempts++
	notThere := a == NotThere || s.toldNothing()
	if notThere {
		sch.Answered++
	}
	deadline := p.deadline(s)
	past := !now.Before(deadline)
	if past && notThere && sch.Answered >= AnswersMin {
		sch.NextPollAt = time.Time{}
		return Decision{Schedule: sch, GiveUp: s.Open(), Reason: "deadline passed"}
	}
	next := now.Add(p.Backoff(sch.Attempts, jitter))
	if !past && next.After(deadline) {
		// Ask at the deadline rather than up to a backoff after it.
		next = laterOf(deadline, now.Add(p.Backoff(1, jitter)))
	}
	sch.NextPollAt = next
	return Decision{Schedule: sch, Reason: "asked again later"}
}

// toldNothing reports of a session that is wanted after an answer about it that the
// answer was none to what is waited for: a word that is not known, an earlier verification
// while one more is expected, another than the submitted one. Without this, a session
// whose answer stays so would be asked about for ever. A null is something: its
// repetition ends the session.
func (s *Session) toldNothing() bool { return !s.pending }

// Backoff is the wait after the n-th attempt: BackoffMin doubled n-1 times, at most
// BackoffMax, lengthened by up to a fifth. It never falls below BackoffMin.
func (p Policy) Backoff(n int, jitter float64) time.Duration {
	longest := max(p.BackoffMin, p.BackoffMax)
	d := p.BackoffMin
	for i := 1; i < n && d < longest; i++ {
		if d > longest/2 {
			d = longest
			break
		}
		d *= 2
	}
	return d + time.Duration(jitter*float64(d)/5)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
