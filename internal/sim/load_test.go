package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver takes deliveries and remembers what came.
type receiver struct {
	mu       sync.Mutex
	sessions map[string]int // deliveries by session
	bodies   map[string]bool
	atOnce   int
	most     int
	problem  string
	answer   func(n int) int
	hold     time.Duration
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	var d struct {
		SessionID string `json:"session_id"`
		Event     string `json:"event"`
	}
	err := json.Unmarshal(body, &d)
	r.mu.Lock()
	r.atOnce++
	r.most = max(r.most, r.atOnce)
	switch {
	case err != nil:
		r.problem = err.Error()
	case r.bodies[string(body)]:
		r.problem = "a body came twice"
	case req.Header.Get("X-Webhook-Signature") != Sign("a secret", body):
		r.problem = "a signature is wrong"
	case req.Header.Get("X-Webhook-Session") != d.SessionID || req.Header.Get("X-Webhook-Event") != d.Event:
		r.problem = "headers and body differ"
	case len(body) < 540 || len(body) > 560:
		r.problem = fmt.Sprintf("a body has %d bytes", len(body))
	}
	r.bodies[string(body)] = true
	r.sessions[d.SessionID]++
	status := r.answer(len(r.bodies))
	r.mu.Unlock()
	time.Sleep(r.hold)
	r.mu.Lock()
	r.atOnce--
	r.mu.Unlock()
	w.WriteHeader(status)
}

func receive(t *testing.T, l *Load) (*receiver, *Load) {
	t.Helper()
	r := &receiver{sessions: map[string]int{}, bodies: map[string]bool{}, answer: func(int) int { return 204 }}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	l.URL, l.Secret, l.Size, l.Duration = srv.URL+"/hook", "a secret", 550, time.Minute
	return r, l
}

func TestLoadClosedLoop(t *testing.T) {
	r, l := receive(t, &Load{Connections: 8, Requests: 500, First: 7})
	r.hold = time.Millisecond
	looks := 0
	l.Before, l.After = func() { looks++ }, func() { looks += 10 }
	out, err := l.Run(t.Context())
	if err != nil || r.problem != "" {
		t.Fatal(err, r.problem)
	}
	if out.Answers[204] != 500 || len(out.Latencies) != 500 || out.Failed != 0 || !out.UsedUp || looks != 11 {
		t.Errorf("%v, %d latencies, %d failed, used up %v, looks %d", out.Answers, len(out.Latencies), out.Failed, out.UsedUp, looks)
	}
	if len(r.bodies) != 500 || len(r.sessions) != 500 || r.sessions[LoadID(7)] != 1 || r.sessions[LoadID(506)] != 1 {
		t.Errorf("%d bodies for %d sessions", len(r.bodies), len(r.sessions))
	}
	if r.most != 8 {
		t.Errorf("%d requests at once, want 8", r.most)
	}
}

func TestLoadKnownSessions(t *testing.T) {
	r, l := receive(t, &Load{Connections: 4, Requests: 400, First: 100, Known: 20})
	if _, err := l.Run(t.Context()); err != nil || r.problem != "" {
		t.Fatal(err, r.problem)
	}
	if len(r.bodies) != 400 || len(r.sessions) != 20 {
		t.Errorf("%d bodies for %d sessions", len(r.bodies), len(r.sessions))
	}
	for n := range uint64(20) {
		if r.sessions[LoadID(100+n)] == 0 {
			t.Errorf("session %d was never drawn", n)
		}
	}
}

// TestLoadOpenLoop has a server that is slow for the first request only: with one connection,
// all whose time comes meanwhile wait, and that counts.
func TestLoadOpenLoop(t *testing.T) {
	r, l := receive(t, &Load{Connections: 1, Requests: 20, Rate: 100})
	r.answer = func(n int) int {
		if n == 1 {
			time.Sleep(300 * time.Millisecond)
		}
		return 204
	}
	out, err := l.Run(t.Context())
	if err != nil || r.problem != "" {
		t.Fatal(err, r.problem)
	}
	if out.Took < 190*time.Millisecond {
		t.Errorf("20 requests at 100 a second took %s", out.Took)
	}
	late := 0
	for _, d := range out.Latencies {
		if d > 100*time.Millisecond {
			late++
		}
	}
	if late < 15 {
		t.Errorf("only %d requests of 20 were late behind one of 300 ms", late)
	}
}

func TestLoadCountsRefusals(t *testing.T) {
	r, l := receive(t, &Load{Connections: 2, Requests: 40})
	r.answer = func(n int) int { return 204 + n%2*299 }
	out, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out.Answers[204] != 20 || out.Answers[503] != 20 || len(out.Latencies) != 20 {
		t.Errorf("%v, %d latencies", out.Answers, len(out.Latencies))
	}
}

func TestLoadUnanswered(t *testing.T) {
	r, l := receive(t, &Load{Connections: 2, Requests: 10})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	l.URL = srv.URL
	out, err := l.Run(t.Context())
	if err != nil || out.Failed != 10 || len(out.Latencies) != 0 || len(r.bodies) != 0 {
		t.Errorf("%v: %d failed, %v", err, out.Failed, out.Answers)
	}
}

func TestLoadChecks(t *testing.T) {
	good := Load{URL: "http://127.0.0.1:1/x", Secret: "s", Connections: 1, Duration: time.Second, Requests: 1, Size: 550}
	for want, change := range map[string]func(*Load){
		"loopback":    func(l *Load) { l.URL = "http://example.org:80/" },
		"http on":     func(l *Load) { l.URL = "https://127.0.0.1:1/" },
		"secret":      func(l *Load) { l.Secret = "" },
		"connections": func(l *Load) { l.Connections = LoadConnectionsMax + 1 },
		"requests":    func(l *Load) { l.Requests = 0 },
		"duration":    func(l *Load) { l.Duration = 0 },
		"rate":        func(l *Load) { l.Rate = -1 },
		"size":        func(l *Load) { l.Size = 100 },
	} {
		l := good
		change(&l)
		if _, err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func TestLoadID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for n := range uint64(100_000) {
		id := LoadID(n)
		if seen[id] || !form.MatchString(id) {
			t.Fatalf("LoadID(%d) = %s", n, id)
		}
		seen[id] = true
	}
	// Known to have come out of SplitMix64 with the seed 0.
	if got := LoadID(0); got != "e220a839-7b1d-4daf-910a-2dec89025cc1" {
		t.Error(got)
	}
}
