package verdict

// Source says who told us. Its order is the precedence of rule 3.
type Source string

// The three sources of observations.
const (
	Webhook   Source = "webhook"
	Poll      Source = "poll"
	Submitted Source = "submitted"
)

// Sources lists all sources, the most trusted first.
func Sources() []Source { return []Source{Webhook, Poll, Submitted} }

// rank orders sources by precedence: the smallest speaks first.
func (s Source) rank() int {
	switch s {
	case Webhook:
		return 0
	case Poll:
		return 1
	case Submitted:
		return 2
	}
	return 3
}

// Outcome is how a session ended. The empty outcome means: not known.
type Outcome string

// Everything that can end a session, and nothing else does.
const (
	Live         Outcome = "live"
	Fake         Outcome = "fake"
	Inconclusive Outcome = "inconclusive"
	Failed       Outcome = "failed"    // a processing error at Moveris, no verdict
	Expired      Outcome = "expired"   // said by the session route
	Cancelled    Outcome = "cancelled" // said by the session route
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{Live, Fake, Inconclusive, Failed, Expired, Cancelled}
}

// State is where a session stands.
type State string

// A session is in exactly one of these. Awaiting and Overdue differ only by
// the clock: see [Session.StateAt].
const (
	Awaiting  State = "awaiting"  // expected, the grace period runs
	Overdue   State = "overdue"   // no webhook in time, being polled
	Settled   State = "settled"   // an outcome is known
	Missing   State = "missing"   // given up without an answer
	Withdrawn State = "withdrawn" // called off by a person or the application
)

// States lists all states.
func States() []State { return []State{Awaiting, Overdue, Settled, Missing, Withdrawn} }

// Change names a step from one state of a session to the next.
type Change string

// The steps that become events.
const (
	ChangeExpected   Change = "expected"   // announced, or announced once more
	ChangeSettled    Change = "settled"    // the first outcome
	ChangeReverified Change = "reverified" // another verification counts now, or the outcome is a better one
	ChangeConflicted Change = "conflicted" // a contradiction has come up
	ChangeMissing    Change = "missing"    // given up
	ChangeRevived    Change = "revived"    // given up or called off, and yet it goes on
	ChangeWithdrawn  Change = "withdrawn"  // called off
)

// Changes lists all changes.
func Changes() []Change {
	return []Change{ChangeExpected, ChangeSettled, ChangeReverified, ChangeConflicted,
		ChangeMissing, ChangeRevived, ChangeWithdrawn}
}

// Form is the wire form an observation came in. It decides how its words are
// to be read: "failed" has four meanings at Moveris (contract section 5).
type Form string

// The forms that carry observations.
const (
	FormCompleted Form = "verification.completed" // webhook
	FormFailed    Form = "verification.failed"    // webhook
	FormJob       Form = "job"                    // GET …/result/{id}
	FormSession   Form = "session"                // GET …/sessions/{id}
	FormSubmitted Form = "submitted"              // a webhook's data, handed over by the application
)

// MarkKind names what was done about a session without hearing of it.
type MarkKind string

// The three marks.
const (
	Expected   MarkKind = "expected"
	CalledOff  MarkKind = "withdrawn"
	GaveUpMark MarkKind = "gave_up"
)

// rank orders marks that were made in the same millisecond. It is negative for a kind
// that is not known, which means nothing.
func (k MarkKind) rank() int {
	switch k {
	case Expected:
		return 0
	case GaveUpMark:
		return 1
	case CalledOff:
		return 2
	}
	return -1
}
