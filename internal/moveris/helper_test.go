package moveris

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testID  = "550e8400-e29b-41d4-a716-446655440000"
	testJob = "job-17"
	testKey = "sk-test-0123456789abcdef"

	byJob     = "/api/v1/result/{job_id}"
	byID      = "/api/v1/result/{session_id}"
	bySession = "/api/v1/sessions/{session_id}"
)

// wire is a Moveris without a socket: it answers by path and keeps what it was asked.
type wire struct {
	mu     sync.Mutex
	answer func(n int, r *http.Request) (*http.Response, error)
	asked  []*http.Request
	at     []time.Time
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked = append(w.asked, r)
	w.at = append(w.at, time.Now())
	n := len(w.asked)
	w.mu.Unlock()
	return w.answer(n, r)
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

func (w *wire) paths() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ps []string
	for _, r := range w.asked {
		ps = append(ps, r.URL.EscapedPath())
	}
	return ps
}

// says is an answer; header pairs follow the body.
func says(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// always answers every request alike.
func always(status int, body string, header ...string) *wire {
	return &wire{answer: func(int, *http.Request) (*http.Response, error) {
		return says(status, body, header...), nil
	}}
}

// byPath answers by a piece of the path, and 404 where none fits.
func byPath(answers map[string]func() *http.Response) *wire {
	return &wire{answer: func(_ int, r *http.Request) (*http.Response, error) {
		for piece, answer := range answers {
			if strings.Contains(r.URL.Path, piece) {
				return answer(), nil
			}
		}
		return says(404, `{"detail":"Not Found"}`), nil
	}}
}

func job(status, verdict string) string {
	if verdict != "null" {
		verdict = `"` + verdict + `"`
	}
	return `{"data":{"job_id":"` + testJob + `","session_id":"` + testID + `","status":"` + status +
		`","verdict":` + verdict + `,"created_at":"2026-02-10T15:26:41Z","completed_at":"2026-02-10T15:26:42.5Z",` +
		`"real_score":0.94,"confidence":0.9,"available":true,"error":null},"success":true,"message":"OK"}`
}

func open(t *testing.T, w http.RoundTripper, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{
		Account: "production", BaseURL: "https://api.moveris.test", APIKey: testKey, Version: "1.2.3",
		RequestsPerMinute: 600, Routes: []string{byJob, byID, bySession}, Transport: w,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func routes(rs ...string) func(*Config) { return func(c *Config) { c.Routes = rs } }

func logTo(b *bytes.Buffer, level slog.Level) func(*Config) {
	return func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
	}
}

func ask(c *Client) Reply {
	return c.Ask(context.Background(), Asked{SessionID: testID, JobID: testJob, Backoff: 15 * time.Second})
}

// conclusions lists what was concluded of each route, in order.
func conclusions(r Reply) string {
	var words []string
	for _, a := range r.Routes {
		words = append(words, a.Conclusion)
	}
	return strings.Join(words, " ")
}
