package daemon

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// modelMoveris is a Moveris without a socket for the model: it knows what has become of each
// session and answers as the mode of the day has it.
type modelMoveris struct {
	mu       sync.Mutex
	sessions map[string]*modelTruth
	mode     string
	served   map[string]map[[32]byte]bool // digests of the bodies answered with 200, by session
	asked    func()                       // told of each request, or nil
}

// modelTruth is a session at Moveris.
type modelTruth struct {
	status  string // as the route says it; "" for 404
	verdict string // "" for null
	created time.Time
}

func newModelMoveris() *modelMoveris {
	return &modelMoveris{sessions: map[string]*modelTruth{}, served: map[string]map[[32]byte]bool{}}
}

func modelModes() []string {
	return []string{"ok", "ok", "ok", "404", "500", "transport", "429", "401", "garbage", "other"}
}

func (m *modelMoveris) set(id string, t *modelTruth) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[id] = t
}

// answering sets what is told of each request.
func (m *modelMoveris) answering(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = f
}

// RoundTrip implements http.RoundTripper.
func (m *modelMoveris) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked != nil {
		m.asked()
	}
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch m.mode {
	case "transport":
		return nil, errors.New("connection refused")
	case "404":
		return modelSays(404, `{"detail":"Not Found"}`), nil
	case "500":
		return modelSays(500, `{"detail":"oops"}`), nil
	case "401":
		return modelSays(401, `{"detail":"no"}`), nil
	case "429":
		resp := modelSays(429, `{"detail":"slow down"}`)
		resp.Header.Set("Retry-After", "5")
		return resp, nil
	case "garbage":
		return modelSays(200, "<html>a portal</html>"), nil
	}
	truth := m.sessions[id]
	if truth == nil || truth.status == "" {
		return modelSays(404, `{"detail":"Not Found"}`), nil
	}
	body := modelJob(id, truth)
	if m.mode == "other" {
		return modelSays(200, strings.ReplaceAll(body, id, "another-session")), nil
	}
	if m.served[id] == nil {
		m.served[id] = map[[32]byte]bool{}
	}
	m.served[id][sha256.Sum256([]byte(body))] = true
	return modelSays(200, body), nil
}

func modelSays(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body))}
}

func modelJob(id string, t *modelTruth) string {
	word := "null"
	if t.verdict != "" {
		word = `"` + t.verdict + `"`
	}
	at := t.created.UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf(`{"data":{"job_id":"j-%s","session_id":%q,"status":%q,"verdict":%s,"created_at":%q,"completed_at":%q,`+
		`"real_score":0.5,"available":true,"error":null},"success":true,"message":"OK"}`, id, id, t.status, word, at, at)
}

// modelWebhook is a delivery's body; an empty verdict is null.
func modelWebhook(event, id, word string, created time.Time) string {
	body := strings.Replace(completed(id, word, created), "verification.completed", event, 1)
	return strings.Replace(body, `"verdict":""`, `"verdict":null`, 1)
}
