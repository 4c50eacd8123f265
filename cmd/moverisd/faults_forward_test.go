package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// receiver is an application that results are forwarded to. It remembers which events it was
// told of, and in which order.
type receiver struct {
	url string

	mu    sync.Mutex
	told  map[string][]int64 // session to sequences, repetitions left out
	wrong error              // the first event that came before an earlier one of its session
}

// forwardToReceiver makes the daemon forward its results to a receiver of the victim's.
func forwardToReceiver(v *victim) {
	r := &receiver{told: map[string][]int64{}}
	srv := httptest.NewServer(r)
	v.t.Cleanup(srv.Close)
	r.url, v.receiver = srv.URL, r
	v.extra = fmt.Sprintf("[[forward]]\nname = \"backend\"\nurl = %q\nsecrets = [\"file:%s/key\"]\n", srv.URL, v.dir)
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var in struct {
		Data struct {
			Event struct {
				Seq       int64  `json:"seq"`
				SessionID string `json:"session_id"`
			} `json:"event"`
		} `json:"data"`
	}
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil || in.Data.Event.Seq == 0 {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	r.hear(in.Data.Event.SessionID, in.Data.Event.Seq)
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) hear(id string, seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.told[id] {
		if known == seq {
			return // at least once
		}
		if known > seq && r.wrong == nil {
			r.wrong = fmt.Errorf("session %s: event %d came after event %d", id, seq, known)
		}
	}
	r.told[id] = append(r.told[id], seq)
}

// missing counts the acknowledged sessions that the receiver was never told of.
func (r *receiver) missing(l *ledger) (n int, first string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range l.acked {
		if len(r.told[id]) == 0 {
			n, first = n+1, id
		}
	}
	return n, first, r.wrong
}

// everythingForwarded lets the daemon run undisturbed: whatever was acknowledged before it was
// killed reaches the receiver, in order for each session.
func everythingForwarded(v *victim) error {
	v.run()
	defer v.kill()
	var n int
	var first string
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if n, first, err = v.receiver.missing(v.ledger); n == 0 || err != nil {
			return err
		}
	}
	return fmt.Errorf("%d acknowledged sessions were not forwarded, such as %s", n, first)
}
