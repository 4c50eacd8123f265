package sim

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Errors a caller may branch on.
var (
	ErrUnknownSession = errors.New("unknown session")
	ErrFull           = errors.New("the simulator holds as many sessions as it may")
	ErrNotFinished    = errors.New("the latest verification has not finished")
	ErrFinished       = errors.New("the latest verification has finished already")
	ErrNoWebhook      = errors.New("no webhook registered")
	ErrNoEvent        = errors.New("no webhook event is documented for this outcome")
)

// Outcome is what the simulator decided about a verification.
type Outcome string

// The outcomes. Null is a finished verification whose verdict is null on the
// wire; Failed is a processing error, no verdict; Expired and Cancelled exist
// only as states of the session route.
const (
	Live         Outcome = "live"
	Fake         Outcome = "fake"
	Inconclusive Outcome = "inconclusive"
	Null         Outcome = "null"
	Failed       Outcome = "failed"
	Expired      Outcome = "expired"
	Cancelled    Outcome = "cancelled"
)

func outcomes() []Outcome {
	return []Outcome{Live, Fake, Inconclusive, Null, Failed, Expired, Cancelled}
}

// ParseOutcome reads one of the outcome words.
func ParseOutcome(s string) (Outcome, error) {
	if slices.Contains(outcomes(), Outcome(s)) {
		return Outcome(s), nil
	}
	return "", fmt.Errorf("unknown outcome %q; the outcomes are %v", s, outcomes())
}

// hasVerdict says whether the word itself goes on the wire as the verdict.
func (o Outcome) hasVerdict() bool { return o == Live || o == Fake || o == Inconclusive }

// opposite is the lie a forger would tell.
func (o Outcome) opposite() Outcome {
	if o == Live {
		return Fake
	}
	return Live
}

// Session is a snapshot of one verification of a session: what Moveris knows
// about it now. Verification counts from 1; several share one session id when
// the application reuses it (contract §3).
type Session struct {
	ID           string    `json:"session_id"`
	JobID        string    `json:"job_id"`
	Model        string    `json:"model"`
	Verification int       `json:"verification"`
	Outcome      Outcome   `json:"outcome,omitempty"` // empty while it runs
	CreatedAt    time.Time `json:"created_at"`
	FinishedAt   time.Time `json:"finished_at,omitzero"`
}

// Finished says whether an outcome is decided.
func (s Session) Finished() bool { return s.Outcome != "" }

// startedAfter is how long a verification is queued before it is processed.
const startedAfter = 200 * time.Millisecond

// startedAt is zero while the verification is queued.
func (s Session) startedAt(now time.Time) time.Time {
	at := s.CreatedAt.Add(startedAfter)
	switch {
	case s.Finished() && s.FinishedAt.Before(at):
		return s.FinishedAt
	case now.Before(at) && !s.Finished():
		return time.Time{}
	}
	return at
}

func (s Session) processingMS() int {
	return int(s.FinishedAt.Sub(s.CreatedAt).Milliseconds())
}

// frames reads the number out of a model's name, as in mixed-30-v2.
func (s Session) frames() int {
	n := 0
	if _, err := fmt.Sscanf(s.Model, "mixed-%d-", &n); err != nil {
		return 10
	}
	return n
}

// score is a fixed pseudo-random figure in the documented band of the verdict,
// so that a verification always tells the same one. An inconclusive one gets a
// score from the live band on purpose: whoever recomputes verdicts from scores
// shall be caught.
func (s Session) score() float64 {
	h := fnv.New32a()
	h.Write([]byte(s.JobID))
	n := int(h.Sum32() % 1000)
	if s.Outcome == Fake {
		return float64(n%640+10) / 10
	}
	return float64(n%340+650) / 10
}

// band names the documented range of a score (contract §5).
func band(score float64) string {
	switch {
	case score < 35:
		return "VERY LOW"
	case score < 50:
		return "LOW"
	case score < 65:
		return "MEDIUM"
	case score < 80:
		return "HIGH"
	}
	return "VERY HIGH"
}

// NewID returns a random UUID v4, the form of session and job ids.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// validID keeps ids usable as one path segment and memory bounded.
func validID(id string) bool {
	return len(id) <= 200 && id != "" && id != "." && id != ".." &&
		!strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
