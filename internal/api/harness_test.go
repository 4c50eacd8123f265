package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// rig is the API over a real store; its Moveris answers 404 to everything.
type rig struct {
	*Server
	t     testing.TB
	st    *store.Store
	clock atomic.Int64 // milliseconds; 0 means the real clock
	names []string     // configured accounts

	broken atomic.Bool // the status says that the store has failed

	commits, operations atomic.Int64 // of the store
}

func newRig(t testing.TB, accounts ...string) *rig {
	t.Helper()
	if len(accounts) == 0 {
		accounts = []string{"production"}
	}
	r := &rig{t: t, names: accounts}
	policy := func(string) verdict.Policy {
		return verdict.Policy{GracePeriod: time.Minute, GiveUpAfter: time.Hour, BackoffMin: 15 * time.Second, BackoffMax: time.Hour}
	}
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "s.db"), Now: r.now, Policy: policy,
		Committed: func(operations int, _ time.Duration) {
			r.commits.Add(1)
			r.operations.Add(int64(operations))
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	log := slog.New(slog.DiscardHandler)
	r.st = st
	r.Server = New(Deps{Store: st, Poller: r.poller(log), Now: r.now, Log: log, Policy: policy,
		Accounts: func() []string { return r.names }, Submission: moveris.ParseSubmission,
		Status: func(context.Context) status.Report {
			f := status.Facts{Now: r.now(), Via: "socket"}
			if r.broken.Load() {
				f.StoreErr = errors.New("input/output error")
			}
			return status.Judge(f)
		}})
	return r
}

func (r *rig) poller(log *slog.Logger) *poll.Poller {
	nothing := httptest.NewServer(http.NotFoundHandler())
	r.t.Cleanup(nothing.Close)
	p := poll.New(r.st, r.now, log)
	var s poll.Settings
	for _, name := range r.names {
		c, err := moveris.Open(moveris.Config{Account: name, BaseURL: nothing.URL, APIKey: "key", Version: "test",
			RequestsPerMinute: 6000, Routes: []string{"/api/v1/result/{session_id}"}, RetryAfterMax: time.Minute, Logger: log})
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(c.Close)
		s.Accounts = append(s.Accounts, poll.Account{Name: name, Client: c})
	}
	s.Concurrency, s.RepeatAfter = 1, 15*time.Second
	p.Configure(s)
	return p
}

func (r *rig) now() time.Time {
	if ms := r.clock.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Now()
}

// do makes a call in this process.
func (r *rig) do(method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

// call makes a call that must be answered with a status, and reads its JSON into out.
func (r *rig) call(want int, method, target, body string, out any) {
	r.t.Helper()
	w := r.do(method, target, body)
	if w.Code != want {
		r.t.Fatalf("%s %s: %d, want %d: %s", method, target, w.Code, want, w.Body)
	}
	if out == nil {
		return
	}
	if err := json.NewDecoder(w.Body).Decode(out); err != nil {
		r.t.Fatal(err)
	}
}

// refused makes a call that must be refused with a problem.
func (r *rig) refused(want int, method, target, body string) Problem {
	r.t.Helper()
	w := r.do(method, target, body)
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != want || p.Status != want || p.Type == "" || p.Title == "" ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		r.t.Errorf("%s %s: %d %s, want a problem with %d: %s", method, target, w.Code, w.Header(), want, w.Body)
	}
	return p
}

// deliver brings a webhook's observation into the store.
func (r *rig) deliver(account, id, word string) {
	r.t.Helper()
	at := r.now().UTC().Format("2006-01-02T15:04:05.000000Z")
	raw := []byte(`{"event":"verification.completed","session_id":"` + id + `","timestamp":"` + at + `","data":{"verdict":"` + word +
		`","score":94.0,"real_score":0.94,"model":"mixed-10-v2","created_at":"` + at + `"}}`)
	d, err := moveris.ParseWebhook(raw)
	if err != nil {
		r.t.Fatal(err)
	}
	o := d.Observation
	o.ObservedAt, o.Label = r.now(), "one"
	if _, err := r.st.Apply(context.Background(), store.Observed{Account: account, SessionID: id, Observation: o, Body: raw}); err != nil {
		r.t.Fatal(err)
	}
}

// lines reads NDJSON.
func lines[T any](t testing.TB, body io.Reader) []T {
	t.Helper()
	var out []T
	for dec := json.NewDecoder(body); ; {
		var v T
		if err := dec.Decode(&v); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
}

// httptestPost posts a body that is read as it comes.
func httptestPost(r *rig, target string, body io.Reader) io.Reader {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("POST", target, body))
	return w.Body
}
