package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// When the target asks for the daemon to be killed: at the moments at which the most is at stake.
const (
	killNever   = iota
	killHeld    // the target has an event, and has not answered
	killAnswers // the answer has just gone out, and is perhaps not written down
)

// badTarget is a forward's target that hangs, refuses, breaks off and lies.
type badTarget struct {
	*application
	addr string
	srv  *http.Server

	odds    int // one request in so many meets a fault
	perEach int // faults of one event, as its next attempt waits twice as long each time
	calm    atomic.Bool
	kill    atomic.Int32  // one of the moments above
	asked   chan struct{} // asks for the kill
	stalled atomic.Int64  // Unix milliseconds until which nothing is answered

	mu       sync.Mutex     // guards the fields below
	met      map[string]int // by id, the faults that it has met
	counts   map[string]int // faults by name
	hangsMax int            // each takes the daemon's 15 seconds
}

func newBadTarget(t *testing.T, odds, perEach, hangs int) *badTarget {
	t.Helper()
	b := &badTarget{application: newApplication("target", "evt_"), odds: odds, perEach: perEach, hangsMax: hangs,
		asked: make(chan struct{}, 1), met: map[string]int{}, counts: map[string]int{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b.addr = ln.Addr().String()
	b.serve(ln)
	t.Cleanup(func() { _ = b.srv.Close() })
	return b
}

func (b *badTarget) serve(ln net.Listener) {
	b.srv = &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	go b.srv.Serve(ln)
}

// restart kills the target: its connections break, and for a while nobody listens.
func (b *badTarget) restart(away time.Duration) error {
	_ = b.srv.Close()
	b.died()
	time.Sleep(away)
	var ln net.Listener
	var err error
	for range 100 { // another process may have the port for a moment
		if ln, err = net.Listen("tcp", b.addr); err == nil {
			b.serve(ln)
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// ServeHTTP implements http.Handler.
func (b *badTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/results" {
		b.fail("a redirect was followed to %s", r.URL.Path)
	}
	id := r.Header.Get("webhook-id")
	fault := b.draw(id)
	if fault == "cut before reading" {
		panic(http.ErrAbortHandler)
	}
	in, err := b.read(r)
	if err != nil {
		if r.Context().Err() == nil && in.body != nil {
			b.fail("%v", err)
		}
		panic(http.ErrAbortHandler) // the daemon was killed while it sent
	}
	b.hear(in)
	if until := time.UnixMilli(b.stalled.Load()); time.Now().Before(until) {
		time.Sleep(time.Until(until))
	}
	if b.kill.CompareAndSwap(killHeld, killNever) {
		b.count("daemon killed while an event is held")
		b.heldAtKill(r, in)
	}
	if fault != "" {
		b.misbehave(fault, w, r, in)
		return
	}
	b.apply(in)
	w.WriteHeader(http.StatusNoContent)
	if b.kill.CompareAndSwap(killAnswers, killNever) {
		b.count("daemon killed after an answer")
		_ = http.NewResponseController(w).Flush()
		b.ask()
	}
}

func (b *badTarget) ask() {
	select {
	case b.asked <- struct{}{}:
	default:
	}
}

// heldAtKill has the daemon killed that waits for an answer. The target may have kept the
// event by then, or not.
func (b *badTarget) heldAtKill(r *http.Request, in arrival) {
	if rand.IntN(2) == 0 {
		b.apply(in)
	}
	b.ask()
	b.hang(r)
	panic(http.ErrAbortHandler)
}

// hang waits until the daemon gives up or is gone.
func (b *badTarget) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(30 * time.Second):
	}
}

// read reads a request and checks its signature.
func (b *badTarget) read(r *http.Request) (arrival, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return arrival{}, err
	}
	id := r.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, []byte(testKey))
	fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("webhook-timestamp"), raw)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
		return arrival{body: raw}, fmt.Errorf("event %s is not signed by its secret", id)
	}
	var body struct {
		Type string `json:"type"`
		Data struct {
			Event   json.RawMessage `json:"event"`
			Session struct {
				SessionID string `json:"session_id"`
			} `json:"session"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return arrival{body: raw}, err
	}
	in, err := arrivalOf(id, raw, body.Data.Event)
	if err == nil && body.Data.Session.SessionID != in.session {
		err = fmt.Errorf("event %s comes with the session %q", id, body.Data.Session.SessionID)
	}
	in.body = raw
	return in, err
}
