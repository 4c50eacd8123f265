package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Check is one finding of the doctor.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"`       // CheckOK, CheckWarn or CheckFail
	Saw    string `json:"saw"`          // what was seen
	Do     string `json:"do,omitempty"` // what to do about it
}

// Results of a check.
const (
	CheckOK   = "ok"
	CheckWarn = "warn"
	CheckFail = "fail"
)

// DoctorRequest asks for a doctor; with a URL also for a test delivery to it.
type DoctorRequest struct {
	PublicURL string `json:"public_url,omitempty"`
}

// DoctorResult is what was found.
type DoctorResult struct {
	Checks []Check `json:"checks"`
}

func (s *Server) doctor(w http.ResponseWriter, r *http.Request) error {
	var in DoctorRequest
	if err := decode(r.Body, &in); err != nil {
		return err
	}
	if s.Doctor == nil {
		return Refuse("only a running daemon can be examined")
	}
	writeJSON(w, http.StatusOK, DoctorResult{Checks: s.Doctor(r.Context(), in.PublicURL)})
	return nil
}

// Doctor has the daemon examine itself and what is around it.
func (c *Client) Doctor(ctx context.Context, publicURL string) (DoctorResult, error) {
	var out DoctorResult
	body, err := json.Marshal(DoctorRequest{publicURL})
	if err != nil {
		return out, err
	}
	_, err = c.call(ctx, request{method: http.MethodPost, path: "/v1/admin/doctor", body: bytes.NewReader(body), media: mediaJSON, limit: slowCall}, &out)
	return out, err
}

// Limits of the series.
const (
	seriesStep = time.Minute
	seriesMax  = 60 // steps
)

// Series are figures of the last hour, a minute each, the oldest first; the last minute is not
// over yet.
type Series struct {
	At         []string   `json:"at"`
	Deliveries []int64    `json:"deliveries"` // signed ones
	Rescues    []int64    `json:"rescues"`    // sessions first told by a poll
	Lag        []*float64 `json:"webhook_lag_seconds"`
}

// series answers with what the plots of status --watch are made of.
func (s *Server) series(w http.ResponseWriter, r *http.Request) error {
	bins, err := s.store.Series(r.Context(), s.Now(), seriesStep, seriesMax)
	if err != nil {
		return err
	}
	out := Series{}
	for _, b := range bins {
		out.At = append(out.At, *status.Stamp(b.At))
		out.Deliveries = append(out.Deliveries, deliveriesOf(b.Figures))
		out.Rescues = append(out.Rescues, b.Figures[verdict.SettledFirstByPoll])
		out.Lag = append(out.Lag, median(b.Figures))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// deliveriesOf counts the signed deliveries of a step.
func deliveriesOf(f store.Figures) int64 {
	return f[store.FigureAccepted] + f[store.FigureDuplicate] + f[store.FigureDeadLetter]
}

// median is the median webhook lag in seconds, nil if there was none.
func median(f store.Figures) *float64 {
	if p := status.Percentiles(f, verdict.WebhookLagFigures, map[string]float64{"p50": 0.5}); p != nil {
		v := p["p50"]
		return &v
	}
	return nil
}

// Series asks for the figures of the last hour.
func (c *Client) Series(ctx context.Context) (Series, error) {
	var out Series
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/admin/series", limit: quickCall}, &out)
	return out, err
}
