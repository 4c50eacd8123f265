package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

const testSecret = "a secret for tests only"

// fakeDaemon is a tiny moverisd: enough of the socket API, the listener and the
// poller to be compared with. The knobs make it wrong on purpose.
type fakeDaemon struct {
	t       *testing.T
	api     string // of the simulator
	socket  string
	webhook string

	trusting bool // takes forged deliveries
	deaf     bool // never polls

	mu       sync.Mutex
	sessions map[string]*fakeSession
	// spoil changes an answer just before it is given; nil answer: 404.
	spoil func(id string, s fakeSession) *fakeSession
}

type fakeSession struct {
	State    string  `json:"state"`
	Outcome  *string `json:"outcome"`
	Verdict  *string `json:"verdict"`
	FirstBy  *string `json:"first_by"`
	Conflict bool    `json:"conflict"`
	Again    bool    `json:"awaiting_again"`
	JobID    string  `json:"job_id"`
	asOf     string
	seenAt   time.Time
}

// world starts a simulator and a fake daemon beside it. The knobs are turned
// before anything runs.
func world(t *testing.T, cfg sim.Config, knobs ...func(*fakeDaemon)) *fakeDaemon {
	t.Helper()
	cfg.APIKey, cfg.ResultBySession, cfg.RequestsPerMinute = "k", true, -1
	m := sim.New(cfg)
	moveris := httptest.NewServer(m.Handler())
	t.Cleanup(moveris.Close)
	d := &fakeDaemon{t: t, api: moveris.URL, socket: filepath.Join(t.TempDir(), "s"), sessions: map[string]*fakeSession{}}
	for _, turn := range knobs {
		turn(d)
	}
	hook := httptest.NewServer(http.HandlerFunc(d.receive))
	t.Cleanup(hook.Close)
	d.webhook = hook.URL
	ln, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/sessions/{id}", d.put)
	mux.HandleFunc("GET /v1/sessions/{id}", d.get)
	srv := &http.Server{Handler: mux}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.poll(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return d
}

func (d *fakeDaemon) session(id string) *fakeSession {
	if d.sessions[id] == nil {
		d.sessions[id] = &fakeSession{State: "awaiting", seenAt: time.Now()}
	}
	return d.sessions[id]
}

func (d *fakeDaemon) put(w http.ResponseWriter, r *http.Request) {
	var a announcement
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.session(r.PathValue("id"))
	s.Again, s.JobID = a.Again, a.JobID
	w.WriteHeader(http.StatusCreated)
}

func (d *fakeDaemon) get(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[r.PathValue("id")]
	if s != nil && d.spoil != nil {
		s = d.spoil(r.PathValue("id"), *s)
	}
	if s == nil {
		http.NotFound(w, r)
		return
	}
	json.NewEncoder(w).Encode(s)
}

func (d *fakeDaemon) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !d.trusting && r.Header.Get("X-Webhook-Signature") != sim.Sign(testSecret, body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var v struct {
		Event     string `json:"event"`
		SessionID string `json:"session_id"`
		Timestamp string `json:"timestamp"`
		Data      struct {
			Verdict *string `json:"verdict"`
		} `json:"data"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&v); err != nil {
		d.t.Errorf("webhook: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if v.Event == "verification.failed" {
		v.Data.Verdict = new("failed")
	}
	d.learn(v.SessionID, v.Data.Verdict, v.Timestamp, "webhook")
	w.WriteHeader(http.StatusNoContent)
}

// learn keeps the latest outcome by Moveris' time. It needs the lock.
func (d *fakeDaemon) learn(id string, outcome *string, asOf, by string) {
	s := d.session(id)
	if outcome == nil || asOf <= s.asOf {
		return
	}
	s.State, s.Outcome, s.asOf, s.Again = "settled", outcome, asOf, false
	s.Verdict = nil
	if *outcome != "failed" {
		s.Verdict = outcome
	}
	if s.FirstBy == nil {
		s.FirstBy = new(by)
	}
}

func (d *fakeDaemon) poll(ctx context.Context) {
	for sleep(ctx, 50*time.Millisecond) {
		if d.deaf {
			continue
		}
		d.mu.Lock()
		var due []string
		for id, s := range d.sessions {
			if (s.State != "settled" || s.Again) && time.Since(s.seenAt) > 700*time.Millisecond {
				due = append(due, id)
			}
		}
		d.mu.Unlock()
		for _, id := range due {
			d.ask(ctx, id)
		}
	}
}

func (d *fakeDaemon) ask(ctx context.Context, id string) {
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, d.api+"/api/v1/result/"+id, nil)
	req.Header.Set("X-API-Key", "k")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	var v struct {
		Data struct {
			Status      string  `json:"status"`
			Verdict     *string `json:"verdict"`
			CompletedAt string  `json:"completed_at"`
		} `json:"data"`
	}
	if json.NewDecoder(resp.Body).Decode(&v) != nil {
		return
	}
	switch {
	case v.Data.Status == "failed":
		v.Data.Verdict = new("failed")
	case v.Data.Status != "complete":
		return
	case v.Data.Verdict == nil:
		v.Data.Verdict = new("inconclusive")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(id, v.Data.Verdict, v.Data.CompletedAt, "poll")
}
