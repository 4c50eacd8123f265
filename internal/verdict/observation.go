package verdict

import (
	"bytes"
	"cmp"
	"time"
	"unicode"
	"unicode/utf8"
)

// SessionIDMax is the longest session or job id in bytes. Moveris shows UUIDs
// and "my-session-id" (contract section 3); 200 leaves room for any scheme and
// still fits a path segment, an index entry and a log line.
const SessionIDMax = 200

// ValidID reports whether id may identify a session or a job: 1 to
// [SessionIDMax] bytes of UTF-8 without control characters, and neither "." nor
// "..", which would change the path of a request.
func ValidID(id string) bool {
	if id == "" || len(id) > SessionIDMax || id == "." || id == ".." || !utf8.ValidString(id) {
		return false
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// Observation is what one source said about one session at one time. Fields that
// a source does not carry stay zero; nothing is derived from another field.
type Observation struct {
	Source Source
	Form   Form

	// Status and Verdict are the words as said, in lower case; empty if null or
	// absent. Unavailable is true for an explicit "available": false.
	Status      string
	Verdict     string
	Unavailable bool

	CreatedAt   time.Time // Moveris' time of the verification, zero if not carried
	CompletedAt time.Time // Moveris' time of its end, polled results only
	AsOf        time.Time // Moveris' time of the fact, zero if it named none
	ObservedAt  time.Time // our time of hearing it, whole milliseconds

	// RepeatAfter is the backoff in force when this was heard: an answer without a
	// verdict ends a session only if it is repeated so much later. It is kept with
	// the observation so that a later configuration cannot change an old session.
	RepeatAfter time.Duration

	// WebhookDueAt is set on submissions: by then Moveris' webhook should have come.
	WebhookDueAt time.Time

	Model      string
	Type       string
	JobID      string
	Score      *float64
	RealScore  *float64
	Confidence *float64

	Label          string   // label of the secret that matched, deliveries only
	Route          string   // template of the route that answered, polls only
	HeaderMismatch bool     // the unsigned headers contradicted the signed body
	Digest         [32]byte // SHA-256 of the bytes as received
}

// before orders observations for rule 3: source, hearing time, digest.
func (o *Observation) before(p *Observation) bool {
	if a, b := o.Source.rank(), p.Source.rank(); a != b {
		return a < b
	}
	return o.heardBefore(p)
}

func (o *Observation) heardBefore(p *Observation) bool { return heard(o, p) < 0 }

// heard orders observations by hearing time, then digest. What follows only makes the
// order total: equal bytes of two sources, or read in two forms.
func heard(a, b *Observation) int {
	if c := a.ObservedAt.Compare(b.ObservedAt); c != 0 {
		return c
	}
	if c := bytes.Compare(a.Digest[:], b.Digest[:]); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Source.rank(), b.Source.rank()); c != 0 {
		return c
	}
	return cmp.Compare(a.Form, b.Form)
}

// Mark is something that was done about a session: it was expected, called off
// or given up.
type Mark struct {
	Kind MarkKind
	At   time.Time // whole milliseconds

	// GraceUntil ends the grace period of an Expected mark.
	GraceUntil time.Time

	// Verifications is how many ended verifications an Expected mark asks for: 1 at
	// first, one more than are known with "again". Round counts the expectations: 1 at
	// first, one more with each "again"; the highest round says what is waited for.
	Verifications int
	Round         int
}

// Concerns is rule 5: an answer with status 200 counts only if it names the session
// that was asked for, or, where it names no session, its job. Asked and answered
// ids are compared as they are.
func Concerns(askedSession, askedJob, saidSession, saidJob string) bool {
	if saidSession != "" {
		return saidSession == askedSession
	}
	if saidJob != "" {
		return saidJob == askedJob || saidJob == askedSession
	}
	return false
}
