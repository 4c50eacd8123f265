package sim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 2, 10, 15, 26, 41, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) move(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// get asks the handler without a network in between.
func get(m *Moveris, path, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if key != "" {
		r.Header.Set("X-API-Key", key)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	return w
}

func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, status, body)
	}
}

func TestResultOverItsLife(t *testing.T) {
	c := newClock()
	m := New(Config{APIKey: "k", ResultBySession: true, Now: c.now})
	if _, err := m.Create(NewSession{ID: "my-session-id", JobID: "job-126"}); err != nil {
		t.Fatal(err)
	}
	result := func(id, middle string) {
		t.Helper()
		expect(t, get(m, "/api/v1/result/"+id, "k"), 200,
			`{"data":{"job_id":"job-126",`+middle+`},"success":true,"message":"OK"}`)
	}
	nothing := `,"verdict":null,"confidence":null,"real_score":null,"processing_ms":null,"frames_processed":null,"available":false,"warning":null,"error":null`
	result("job-126", `"status":"queued","session_id":"my-session-id","created_at":"2026-02-10T15:26:41.000000Z","started_at":null,"completed_at":null`+nothing)
	c.move(300 * time.Millisecond)
	result("my-session-id", `"status":"processing","session_id":"my-session-id","created_at":"2026-02-10T15:26:41.000000Z","started_at":"2026-02-10T15:26:41.200000Z","completed_at":null`+nothing)
	c.move(545 * time.Millisecond)
	mustFinish(t, m, "my-session-id", Live)
	result("job-126", `"status":"complete","session_id":"my-session-id","created_at":"2026-02-10T15:26:41.000000Z","started_at":"2026-02-10T15:26:41.200000Z","completed_at":"2026-02-10T15:26:41.845000Z","verdict":"live","confidence":0.94,"real_score":0.94,"processing_ms":845,"frames_processed":10,"available":true,"warning":null,"error":null`)
}

func TestResultOfOutcomes(t *testing.T) {
	for outcome, want := range map[Outcome]string{
		Fake:         `"verdict":"fake"`,
		Inconclusive: `"verdict":"inconclusive"`,
		Null:         `"verdict":null,"confidence":null,"real_score":null,"processing_ms":0`,
		Failed:       `"status":"failed"`,
		Expired:      `"errors":[{"session_expired":`,
		Cancelled:    `"errors":[{"session_not_found":`,
	} {
		m := New(Config{Now: newClock().now})
		s := mustCreate(t, m)
		mustFinish(t, m, s.ID, outcome)
		if w := get(m, "/api/v1/result/"+s.JobID, ""); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", outcome, w.Code, w.Body)
		}
	}
}

func TestErrorsGolden(t *testing.T) {
	m := New(Config{APIKey: "k", Now: newClock().now})
	badKey := `{"data":null,"success":false,"message":"Invalid API key","errors":[{"invalid_key":["Invalid API key"]}]}`
	expect(t, get(m, "/api/v1/result/x", ""), 401, badKey)
	expect(t, get(m, "/api/v1/result/x", "other"), 401, badKey)
	unknown := `{"data":null,"success":false,"message":"Session not found","errors":[{"session_not_found":["Session not found"]}]}`
	expect(t, get(m, "/api/v1/result/x", "k"), 404, unknown)
	expect(t, get(m, "/api/v1/result/x/wait", "k"), 404, unknown)
	expect(t, get(m, "/api/v1/sessions/x", "k"), 404, `{"detail":"Not Found"}`)
	expect(t, get(m, "/api/v2/anything", "k"), 404, `{"detail":"Not Found"}`)
	expect(t, get(m, "/api/v1/result/x/wait?timeout=soon", "k"), 422,
		`{"data":null,"success":false,"message":"timeout must be a number of seconds","errors":[{"validation_error":["timeout must be a number of seconds"]}]}`)
	expect(t, get(m, "/health", ""), 200, `{"environment":"simulated","status":"healthy","version":"2.0.0"}`)
	expect(t, get(m, "/api/v1/queue/stats", "k"), 200, `{"data":{"queue_length":0,"queue_key":"detection"},"success":true,"message":"OK"}`)
	if w := get(m, "/api/v1/models", "k"); !strings.Contains(w.Body.String(), `{"id":"mixed-30-v2","label":"Mixed 30","description":"30 frames","min_frames":30,"deprecated":false,"aliases":[]}`) {
		t.Errorf("models: %s", w.Body)
	}
}

// The SDK's client-time call writes; a test must be able to see that it came.
func TestOtherMethodsAreLogged(t *testing.T) {
	m := New(Config{})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPatch, "/api/v1/sessions/x/client-time", nil))
	r := m.Requests()
	if w.Code != 405 || len(r) != 1 || r[0].Method != http.MethodPatch || r[0].Status != 405 {
		t.Errorf("%d %+v", w.Code, r)
	}
}

func TestResultBySessionIsASwitch(t *testing.T) {
	m := New(Config{})
	s := mustCreate(t, m)
	if w := get(m, "/api/v1/result/"+s.ID, ""); w.Code != 404 {
		t.Errorf("session id answered %d", w.Code)
	}
	if w := get(m, "/api/v1/result/"+s.JobID, ""); w.Code != 200 {
		t.Errorf("job id answered %d", w.Code)
	}
}

func TestSessionRoute(t *testing.T) {
	for outcome, want := range map[Outcome]string{
		"": "pending", Live: "completed", Fake: "failed", Null: "completed", Failed: "failed", Expired: "expired", Cancelled: "cancelled",
	} {
		m := New(Config{SessionRoute: true, Now: newClock().now})
		s := mustCreate(t, m)
		if outcome != "" {
			mustFinish(t, m, s.ID, outcome)
		}
		w := get(m, "/api/v1/sessions/"+s.ID, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), fmt.Sprintf(`"status":%q`, want)) {
			t.Errorf("%q: %d %s", outcome, w.Code, w.Body)
		}
	}
}

func TestWaitHearsTheEnd(t *testing.T) {
	m := New(Config{})
	s := mustCreate(t, m)
	got := make(chan string)
	go func() { got <- get(m, "/api/v1/result/"+s.JobID+"/wait?timeout=100", "").Body.String() }()
	time.Sleep(20 * time.Millisecond) // so that it usually waits; it must be right either way
	mustFinish(t, m, s.ID, Fake)
	if body := <-got; !strings.Contains(body, `"verdict":"fake"`) {
		t.Error(body)
	}
}

func TestWaitEnds(t *testing.T) {
	m := New(Config{})
	s := mustCreate(t, m)
	if w := get(m, "/api/v1/result/"+s.JobID+"/wait?timeout=0", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"verdict":null`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSecondVerification(t *testing.T) {
	c := newClock()
	m := New(Config{ResultBySession: true, Now: c.now})
	first := mustCreate(t, m)
	if _, err := m.Create(NewSession{ID: first.ID}); err == nil {
		t.Error("a second verification began before the end of the first")
	}
	mustFinish(t, m, first.ID, Live)
	c.move(time.Minute)
	second, err := m.Create(NewSession{ID: first.ID})
	if err != nil || second.JobID == first.JobID || second.Verification != 2 {
		t.Fatalf("%+v %v", second, err)
	}
	mustFinish(t, m, first.ID, Fake)
	for id, verdict := range map[string]string{first.ID: "fake", first.JobID: "live", second.JobID: "fake"} {
		if w := get(m, "/api/v1/result/"+id, ""); !strings.Contains(w.Body.String(), `"verdict":"`+verdict+`"`) {
			t.Errorf("%s: %s", id, w.Body)
		}
	}
}

func TestStoreIsBounded(t *testing.T) {
	m := New(Config{SessionsMax: 2})
	mustCreate(t, m)
	mustCreate(t, m)
	if _, err := m.Create(NewSession{}); err != ErrFull {
		t.Errorf("third session: %v", err)
	}
	for _, id := range []string{".", "..", "a\x00b", strings.Repeat("x", 201)} {
		if _, err := New(Config{}).Create(NewSession{ID: id}); err == nil {
			t.Errorf("%q was taken", id)
		}
	}
}
