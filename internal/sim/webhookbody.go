package sim

import "net/http"

// delivery is the body of a webhook: no API envelope, although it has a data
// key of its own (contract §1).
type delivery struct {
	Event     string `json:"event"`
	SessionID string `json:"session_id"`
	Timestamp stamp  `json:"timestamp"`
	Data      any    `json:"data"`
}

// completedData has the fields in the order of the published sample, and the
// session_id of the later sample.
type completedData struct {
	SessionID       string  `json:"session_id"`
	Verdict         *string `json:"verdict"`
	RealScore       *number `json:"real_score"`
	Score           *number `json:"score"`
	Confidence      *number `json:"confidence"`
	Type            *string `json:"type"`
	Model           string  `json:"model"`
	InputSource     string  `json:"input_source"`
	ProcessingMS    int     `json:"processing_ms"`
	FramesProcessed int     `json:"frames_processed"`
	TenantMetadata  any     `json:"tenant_metadata"`
	Warning         *string `json:"warning"`
	CreatedAt       stamp   `json:"created_at"`
}

// failedData describes the error. Its fields are UNDOC; these are our choice,
// as few as can be, and on purpose without a created_at.
type failedData struct {
	SessionID string `json:"session_id"`
	Error     string `json:"error"`
	Message   string `json:"message"`
}

const (
	eventCompleted = "verification.completed"
	eventFailed    = "verification.failed"
)

// eventOf is empty where no event is documented.
func eventOf(o Outcome) string {
	switch o {
	case Live, Fake, Inconclusive, Null:
		return eventCompleted
	case Failed:
		return eventFailed
	}
	return ""
}

// webhookBody depends on the verification only, so a redelivery is the same to
// the byte. Timestamp and created_at are both the time of the verdict, as they
// are equal in the sample.
func webhookBody(s Session) []byte {
	event := eventOf(s.Outcome)
	if event == "" {
		return nil
	}
	d := delivery{Event: event, SessionID: s.ID, Timestamp: stamp(s.FinishedAt)}
	if event == eventFailed {
		d.Data = failedData{SessionID: s.ID, Error: "processing_failed", Message: processingError}
	} else {
		d.Data = completedDataOf(s)
	}
	return encode(d)
}

func completedDataOf(s Session) completedData {
	d := completedData{
		SessionID: s.ID, Verdict: verdictOf(s.Outcome), Model: s.Model, InputSource: "rest_frames",
		ProcessingMS: s.processingMS(), FramesProcessed: s.frames(), CreatedAt: stamp(s.FinishedAt),
	}
	if d.Verdict != nil {
		d.RealScore = realScoreOf(s)
		d.Confidence = d.RealScore
		d.Score = new(number(s.score()))
		d.Type = new(band(s.score()))
	}
	return d
}

func webhookHeader(s Session, signature string) http.Header {
	return http.Header{
		"Content-Type":        {"application/json"},
		"User-Agent":          {"Moveris-Webhook/1.0"},
		"X-Webhook-Event":     {eventOf(s.Outcome)},
		"X-Webhook-Session":   {s.ID},
		"X-Webhook-Signature": {signature},
	}
}
