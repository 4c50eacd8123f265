package sim

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// The check endpoints that the SDK's fastCheck and fastCheckStream post to. Known from the
// SDK are their paths, the fields of the requests, and the fields and types of the answers.
// Our choice is everything else: which status a wrong request gets, that the answer comes in
// the envelope, when a stream is complete, and what an outcome depends on.

const (
	checkBodyMax  = 64 << 20
	streamTTL     = 300 // seconds; it is told and not kept
	streamsMax    = 10_000
	defaultFrames = 30 // of a model that names none
)

// checks is what the check endpoints remember.
type checks struct {
	mu      sync.Mutex
	outcome Outcome                     // of checks to come
	done    map[[sha256.Size]byte]any   // the answer to each request: the SDK posts the same bytes again
	streams map[string]map[int]struct{} // frames of each session so far
}

// SetCheckOutcome says how the checks to come end; they end as live from the start.
func (m *Moveris) SetCheckOutcome(o Outcome) error {
	if _, err := ParseOutcome(string(o)); err != nil {
		return err
	}
	m.checks.mu.Lock()
	defer m.checks.mu.Unlock()
	m.checks.outcome = o
	return nil
}

// checkRequest is what is read of a check; the pixels are not.
type checkRequest struct {
	SessionID  string       `json:"session_id"`
	Model      string       `json:"model"`
	Frames     []checkFrame `json:"frames"`
	Frame      *checkFrame  `json:"frame"`
	FrameCount int          `json:"frame_count"`
}

type checkFrame struct {
	Index  int    `json:"index"`
	Pixels string `json:"pixels"`
}

// checkResult is FastCheckResponse of the SDK, in its order.
type checkResult struct {
	Verdict         *string  `json:"verdict"`
	Confidence      *float64 `json:"confidence"`
	RealScore       *float64 `json:"real_score"`
	Score           *float64 `json:"score"`
	SessionID       string   `json:"session_id"`
	Model           *string  `json:"model"`
	ProcessingMS    int      `json:"processing_ms"`
	FramesProcessed int      `json:"frames_processed"`
	Available       bool     `json:"available"`
	Warning         *string  `json:"warning"`
	Error           *string  `json:"error"`
}

// streamResult is FastCheckStreamResponse of the SDK.
type streamResult struct {
	Status          string   `json:"status"` // "buffering" or "complete"
	SessionID       string   `json:"session_id"`
	FramesReceived  int      `json:"frames_received"`
	FramesRequired  int      `json:"frames_required"`
	TTLSeconds      int      `json:"ttl_seconds"`
	Verdict         *string  `json:"verdict"`
	Confidence      *float64 `json:"confidence"`
	RealScore       *float64 `json:"real_score"`
	Score           *float64 `json:"score"`
	Model           *string  `json:"model"`
	ProcessingMS    *int     `json:"processing_ms"`
	FramesProcessed *int     `json:"frames_processed"`
	Available       bool     `json:"available"`
	Warning         *string  `json:"warning"`
	Error           *string  `json:"error"`
}

// required is how many frames a check needs.
func (r *checkRequest) required() int {
	if r.FrameCount > 0 {
		return r.FrameCount
	}
	n := defaultFrames
	fmt.Sscanf(r.Model, "mixed-%d-", &n) // another name leaves it
	return n
}

// readCheck reads a request and what tells it from others.
func readCheck(r *http.Request) (*checkRequest, [sha256.Size]byte, *answer) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, checkBodyMax))
	var req checkRequest
	if err != nil || json.Unmarshal(raw, &req) != nil || !validID(req.SessionID) {
		return nil, [32]byte{}, errEnvelope(http.StatusUnprocessableEntity, "validation_error", "The request cannot be read")
	}
	return &req, sha256.Sum256(append([]byte(r.URL.Path), raw...)), nil
}

// fastCheck is POST /api/v1/fast-check: all frames at once, the verdict in the answer. The
// same bytes once more are the same check: the SDK posts them up to three times.
func (m *Moveris) fastCheck(r *http.Request) *answer {
	req, sum, bad := readCheck(r)
	if bad != nil {
		return bad
	}
	if n := req.required(); len(req.Frames) < n {
		return errEnvelope(http.StatusUnprocessableEntity, "insufficient_frames", fmt.Sprintf("%d frames are needed", n))
	}
	m.checks.mu.Lock()
	defer m.checks.mu.Unlock()
	if a, ok := m.checks.done[sum]; ok {
		return good(a)
	}
	res, bad := m.checked(req, len(req.Frames))
	if bad == nil {
		m.checks.done[sum] = res
		return good(res)
	}
	return bad
}

// fastCheckStream is POST /api/v1/fast-check-stream: one frame at a time, in any order; the
// answer to the one that completes them holds the verdict.
func (m *Moveris) fastCheckStream(r *http.Request) *answer {
	req, sum, bad := readCheck(r)
	if bad != nil {
		return bad
	}
	if req.Frame == nil {
		return errEnvelope(http.StatusUnprocessableEntity, "missing_field", "frame is missing")
	}
	m.checks.mu.Lock()
	defer m.checks.mu.Unlock()
	if a, ok := m.checks.done[sum]; ok {
		return good(a)
	}
	seen := m.checks.streams[req.SessionID]
	if seen == nil {
		if len(m.checks.streams) >= streamsMax {
			return errCode(http.StatusServiceUnavailable, "server_error", "Too many streams")
		}
		seen = map[int]struct{}{}
		m.checks.streams[req.SessionID] = seen
	}
	seen[req.Frame.Index] = struct{}{}
	out := streamResult{Status: "buffering", SessionID: req.SessionID, FramesReceived: len(seen), FramesRequired: req.required(),
		TTLSeconds: streamTTL, Available: true}
	if len(seen) < out.FramesRequired {
		return good(out)
	}
	res, bad := m.checked(req, len(seen))
	if bad != nil {
		return bad
	}
	delete(m.checks.streams, req.SessionID)
	out.Status, out.Verdict, out.Confidence, out.RealScore, out.Score = "complete", res.Verdict, res.Confidence, res.RealScore, res.Score
	out.Model, out.ProcessingMS, out.FramesProcessed, out.Available = res.Model, &res.ProcessingMS, &res.FramesProcessed, res.Available
	out.Error = res.Error
	m.checks.done[sum] = out
	return good(out)
}

// checked makes and ends a verification. A session that was made before the check is the one
// that ends. It needs the lock of the checks.
func (m *Moveris) checked(req *checkRequest, frames int) (*checkResult, *answer) {
	s, ok := m.Session(req.SessionID)
	var err error
	if !ok || s.Finished() {
		s, err = m.Create(NewSession{ID: req.SessionID, Model: req.Model})
	}
	if err == nil && len(m.checks.done) >= m.sessions.max {
		err = ErrFull
	}
	if err == nil {
		s, err = m.Finish(s.ID, m.checks.outcome)
	}
	if err != nil {
		return nil, errCode(http.StatusServiceUnavailable, "server_error", err.Error())
	}
	out := &checkResult{SessionID: s.ID, Model: &s.Model, ProcessingMS: s.processingMS(), FramesProcessed: frames, Available: true}
	switch {
	case s.Outcome.hasVerdict():
		word, score := string(s.Outcome), s.score()
		real := score / 100
		out.Verdict, out.Score, out.RealScore, out.Confidence = &word, &score, &real, &real
	case s.Outcome == Failed:
		text := "processing failed"
		out.Error, out.Available = &text, false
	default:
		out.Available = false
	}
	return out, nil
}
