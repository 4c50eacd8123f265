package sim

import (
	"strconv"
	"strings"
	"time"
)

// stamp is a time in Moveris' form: UTC, six fractional digits, Z. The zero
// stamp is null.
type stamp time.Time

const stampLayout = "2006-01-02T15:04:05.000000Z"

func (s stamp) MarshalJSON() ([]byte, error) {
	if time.Time(s).IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + time.Time(s).UTC().Format(stampLayout) + `"`), nil
}

// shift moves a stamp that is set.
func (s *stamp) shift(d time.Duration) {
	if !time.Time(*s).IsZero() {
		*s = stamp(time.Time(*s).Add(d))
	}
}

// number is a float as Python prints it: always with a decimal point, as the
// 94.0 of the samples.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	s := strconv.FormatFloat(float64(n), 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return []byte(s), nil
}

// envelope wraps every good API answer (contract §4).
type envelope struct {
	Data    any    `json:"data"`
	Success bool   `json:"success"`
	Message string `json:"message"`
}

func enveloped(data any) *envelope { return &envelope{Data: data, Success: true, Message: "OK"} }

// jobStatus is the SDK's JobStatusResponse (contract §2), field by field.
type jobStatus struct {
	JobID           string  `json:"job_id"`
	Status          string  `json:"status"`
	SessionID       string  `json:"session_id"`
	CreatedAt       stamp   `json:"created_at"`
	StartedAt       stamp   `json:"started_at"`
	CompletedAt     stamp   `json:"completed_at"`
	Verdict         *string `json:"verdict"`
	Confidence      *number `json:"confidence"`
	RealScore       *number `json:"real_score"`
	ProcessingMS    *int    `json:"processing_ms"`
	FramesProcessed *int    `json:"frames_processed"`
	Available       bool    `json:"available"`
	Warning         *string `json:"warning"`
	Error           *string `json:"error"`
}

// processingError is the text of a failed job; the words are our choice.
const processingError = "video pipeline error"

// jobStatusOf builds the result that the result routes give at that time.
func jobStatusOf(s Session, now time.Time) *jobStatus {
	js := &jobStatus{
		JobID: s.JobID, SessionID: s.ID, Status: "processing",
		CreatedAt: stamp(s.CreatedAt), StartedAt: stamp(s.startedAt(now)), CompletedAt: stamp(s.FinishedAt),
	}
	if !s.Finished() {
		if time.Time(js.StartedAt).IsZero() {
			js.Status = "queued"
		}
		return js
	}
	js.Available = true
	js.ProcessingMS, js.FramesProcessed = new(s.processingMS()), new(s.frames())
	if s.Outcome == Failed {
		js.Status, js.Error = "failed", new(processingError)
		return js
	}
	js.Status = "complete"
	js.Verdict = verdictOf(s.Outcome)
	if js.Verdict != nil {
		js.RealScore = realScoreOf(s)
		js.Confidence = js.RealScore
	}
	return js
}

// verdictOf is null for every outcome that is no verdict word.
func verdictOf(o Outcome) *string {
	if !o.hasVerdict() {
		return nil
	}
	return new(string(o))
}

// realScoreOf is the score between 0 and 1; confidence equals it (contract §5).
func realScoreOf(s Session) *number {
	n, _ := strconv.ParseFloat(strconv.FormatFloat(s.score()/100, 'f', 3, 64), 64)
	return new(number(n))
}

// sessionState is the answer of the session route. The contract knows the path
// and the MCP state words only; the field names are our choice. The state of
// a fake is "failed" (at MCP: the user did not pass), which is the trap: only
// the verdict tells it from a processing error.
type sessionState struct {
	SessionID   string  `json:"session_id"`
	Status      string  `json:"status"`
	Verdict     *string `json:"verdict"`
	CreatedAt   stamp   `json:"created_at"`
	CompletedAt stamp   `json:"completed_at"`
}

func sessionStateOf(s Session, now time.Time) *sessionState {
	return &sessionState{
		SessionID: s.ID, Status: mcpState(s, now), Verdict: verdictOf(s.Outcome),
		CreatedAt: stamp(s.CreatedAt), CompletedAt: stamp(s.FinishedAt),
	}
}

func mcpState(s Session, now time.Time) string {
	switch s.Outcome {
	case "":
		if s.startedAt(now).IsZero() {
			return "pending"
		}
		return "in_progress"
	case Fake, Failed:
		return "failed"
	case Expired:
		return "expired"
	case Cancelled:
		return "cancelled"
	}
	return "completed"
}
