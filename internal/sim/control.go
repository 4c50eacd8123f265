package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// DefaultWindow is the window of Stats when none is asked for: the one of the
// daemon's promise.
const DefaultWindow = time.Minute

// Stats is what GET /_sim/stats answers.
type Stats struct {
	Requests       int            `json:"requests"`       // kept in the log
	MaxInWindow    int            `json:"max_in_window"`  // API requests in any window
	WindowSeconds  float64        `json:"window_seconds"` // the length of it
	RequestsStatus map[string]int `json:"requests_by_status"`
	Sessions       int            `json:"sessions"`
	Deliveries     DeliveryCounts `json:"deliveries"`
}

// FinishRequest, DeliverRequest and WebhookRequest are the bodies of the
// control calls of those names.
type (
	FinishRequest struct {
		Outcome Outcome `json:"outcome"`
	}
	DeliverRequest struct {
		Verification int     `json:"verification"` // 0: the latest
		Forge        Forgery `json:"forge"`
	}
	WebhookRequest struct {
		URL    string `json:"url"`
		Secret string `json:"secret"`
	}
)

// control is the API for other processes. It is not Moveris: no key, no limit,
// no faults, not in the request log.
func (m *Moveris) control() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, controlBodyMax)
			v, err := f(r)
			writeControl(w, v, err)
		})
	}
	handle("POST /_sim/sessions", m.controlCreate)
	handle("GET /_sim/sessions/{id}", m.controlShow)
	handle("POST /_sim/sessions/{id}/finish", m.controlFinish)
	handle("POST /_sim/sessions/{id}/deliver", m.controlDeliver)
	handle("PUT /_sim/webhook", m.controlRegister)
	handle("GET /_sim/faults", m.controlFaults)
	handle("PUT /_sim/faults", m.controlSetFaults)
	handle("DELETE /_sim/faults", m.controlClearFaults)
	handle("PUT /_sim/check", func(r *http.Request) (any, error) {
		var req FinishRequest
		if err := readControl(r, &req); err != nil {
			return nil, err
		}
		return nil, m.SetCheckOutcome(req.Outcome)
	})
	handle("GET /_sim/stats", m.controlStats)
	handle("GET /_sim/requests", func(*http.Request) (any, error) { return m.Requests(), nil })
	handle("DELETE /_sim/requests", func(*http.Request) (any, error) { m.ForgetRequests(); return nil, nil })
	return mux
}

// writeControl is the one place that maps errors to statuses here.
func writeControl(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	switch {
	case errors.Is(err, ErrUnknownSession):
		status = http.StatusNotFound
	case errors.Is(err, ErrNotFinished), errors.Is(err, ErrFinished), errors.Is(err, ErrNoWebhook), errors.Is(err, ErrNoEvent):
		status = http.StatusConflict
	case errors.Is(err, ErrFull):
		status = http.StatusInsufficientStorage
	case err != nil:
		status = http.StatusBadRequest
	case v == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err != nil {
		v = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(encode(v), '\n'))
}

// readControl decodes a body strictly; an empty one leaves v as it is.
func readControl(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the request: %w", err)
	}
	return nil
}

func (m *Moveris) controlCreate(r *http.Request) (any, error) {
	var n NewSession
	if err := readControl(r, &n); err != nil {
		return nil, err
	}
	return m.Create(n)
}

func (m *Moveris) controlShow(r *http.Request) (any, error) {
	s, ok := m.Session(r.PathValue("id"))
	if !ok {
		return nil, ErrUnknownSession
	}
	return s, nil
}

func (m *Moveris) controlFinish(r *http.Request) (any, error) {
	req := FinishRequest{Outcome: Live}
	if err := readControl(r, &req); err != nil {
		return nil, err
	}
	return m.Finish(r.PathValue("id"), req.Outcome)
}

func (m *Moveris) controlDeliver(r *http.Request) (any, error) {
	var req DeliverRequest
	if err := readControl(r, &req); err != nil {
		return nil, err
	}
	if req.Forge != Genuine && req.Forge != WrongSecret && req.Forge != FlippedBit {
		return nil, fmt.Errorf("unknown forgery %q; there are %q and %q", req.Forge, WrongSecret, FlippedBit)
	}
	return m.Deliver(r.Context(), r.PathValue("id"), req.Verification, req.Forge)
}

func (m *Moveris) controlRegister(r *http.Request) (any, error) {
	var req WebhookRequest
	if err := readControl(r, &req); err != nil {
		return nil, err
	}
	return nil, m.Register(req.URL, req.Secret)
}

func (m *Moveris) controlFaults(*http.Request) (any, error) {
	names := []string{}
	for _, f := range m.Faults() {
		names = append(names, f.String())
	}
	return map[string][]string{"faults": names, "known": FaultNames()}, nil
}

// controlSetFaults takes a JSON list of strings, or the list of the --fault
// flag as plain text.
func (m *Moveris) controlSetFaults(r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	faults, err := parseFaultBody(strings.TrimSpace(string(body)))
	if err != nil {
		return nil, err
	}
	m.SetFaults(faults)
	return m.controlFaults(r)
}

func parseFaultBody(text string) ([]Fault, error) {
	if !strings.HasPrefix(text, "[") {
		return ParseFaults(text)
	}
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("read the list of faults: %w", err)
	}
	var faults []Fault
	for _, item := range list {
		f, err := ParseFault(item)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	return faults, nil
}

func (m *Moveris) controlClearFaults(*http.Request) (any, error) {
	m.SetFaults(nil)
	return nil, nil
}

func (m *Moveris) controlStats(r *http.Request) (any, error) {
	window := DefaultWindow
	if text := r.URL.Query().Get("window"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("window is a duration such as 60s")
		}
		window = d
	}
	return m.StatsOf(window), nil
}

// StatsOf adds everything up, with the given window.
func (m *Moveris) StatsOf(window time.Duration) Stats {
	s := Stats{
		MaxInWindow: m.MaxRequestsIn(window), WindowSeconds: window.Seconds(),
		RequestsStatus: map[string]int{}, Sessions: m.sessions.count(), Deliveries: m.Deliveries(),
	}
	for _, r := range m.Requests() {
		s.Requests++
		s.RequestsStatus[answerName(r.Status)]++
	}
	return s
}
