package forward

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// body is the JSON of an event in the tests; package api makes the real one.
type body struct {
	Type string `json:"type"`
	Data struct {
		Event struct {
			Seq       int64  `json:"seq"`
			SessionID string `json:"session_id"`
		} `json:"event"`
		Session struct {
			Metadata json.RawMessage `json:"metadata"`
		} `json:"session"`
	} `json:"data"`
	Late bool `json:"late,omitempty"`
}

func render(_ string, e store.Event, v store.View) []byte {
	return fmt.Appendf(nil, `{"type":"session.%s","data":{"event":{"seq":%d,"session_id":%q},"session":{"session_id":%q,"metadata":null}}}`,
		e.Change, e.Seq, v.ID, v.ID)
}

func forwardingOf(names ...string) store.Forwarding {
	f := store.Forwarding{Render: render}
	for _, name := range names {
		f.Forwards = append(f.Forwards, store.Forward{Name: name,
			Changes: []verdict.Change{verdict.ChangeSettled, verdict.ChangeReverified, verdict.ChangeConflicted}})
	}
	return f
}

// rig is a store with a forwarder to one target.
type rig struct {
	t     *testing.T
	path  string
	store *store.Store
	fwd   *Forwarder
	n     int
}

func newRig(t *testing.T, names ...string) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "moverisd.db")}
	st, err := store.Open(context.Background(), store.Options{Path: r.path, Forwarding: forwardingOf(names...)})
	if err != nil {
		t.Fatal(err)
	}
	r.store = st
	t.Cleanup(func() {
		if r.fwd != nil {
			r.stop(0)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// start begins to forward. A transport replaces the network.
func (r *rig) start(tm timing, way http.RoundTripper, list ...Target) {
	r.fwd = New(Options{Store: r.store})
	r.fwd.timing = tm
	if way != nil {
		r.fwd.roundTripper = func() http.RoundTripper { return way }
	}
	r.fwd.Configure(list)
}

func (r *rig) stop(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	r.fwd.Stop(ctx)
}

// settle applies one more verification of a session, which makes an event.
func (r *rig) settle(id string) {
	r.t.Helper()
	r.n++
	if err := settle(r.store, id, r.n); err != nil {
		r.t.Fatal(err)
	}
}

// settle makes the n-th observation: each is a verification of its own.
func settle(st *store.Store, id string, n int) error {
	raw := fmt.Appendf(nil, "%s %d", id, n)
	at := time.Now()
	created := time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC)
	_, err := st.Apply(context.Background(), store.Observed{Account: "production", SessionID: id, Body: raw,
		Observation: verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: []string{"live", "fake"}[n%2],
			CreatedAt: created, AsOf: created, ObservedAt: at, Label: "one", Digest: sha256.Sum256(raw)}})
	return err
}

func (r *rig) figures(name string) store.ForwardFigures {
	r.t.Helper()
	list, err := r.store.ForwardFigures(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range list {
		if f.Name == name {
			return f
		}
	}
	return store.ForwardFigures{}
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.t.Fatalf("never: %s", what)
}

func (r *rig) drained(name string) {
	r.t.Helper()
	r.eventually("nothing is pending for "+name, func() bool { return r.figures(name).Pending == 0 })
}

func (r *rig) sound() {
	r.t.Helper()
	wrong, err := r.store.Verify(context.Background())
	if err != nil || len(wrong) > 0 {
		r.t.Errorf("verify: %v, %v", wrong, err)
	}
}

// request is one request that a receiver got.
type request struct {
	at     time.Time
	id     string
	header http.Header
	raw    []byte
	body   body
}

// receiver is an application. It answers as its function says; nil means 204.
type receiver struct {
	mu     sync.Mutex
	got    []request
	answer func(n int, r request) (int, http.Header)
}

// RoundTrip makes it a transport, for tests in fake time.
func (v *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header := v.take(r.Header, r.Body)
	if status == 0 {
		return nil, fmt.Errorf("connection refused")
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, header := v.take(r.Header, r.Body)
	for k, list := range header {
		w.Header()[k] = list
	}
	w.WriteHeader(status)
}

func (v *receiver) take(header http.Header, in io.Reader) (int, http.Header) {
	raw, err := io.ReadAll(in)
	if err != nil {
		return 400, nil
	}
	q := request{at: time.Now(), id: header.Get("webhook-id"), header: header.Clone(), raw: raw}
	_ = json.NewDecoder(bytes.NewReader(raw)).Decode(&q.body)
	v.mu.Lock()
	n := len(v.got)
	v.got = append(v.got, q)
	v.mu.Unlock()
	if v.answer == nil {
		return 204, nil
	}
	return v.answer(n, q)
}

func (v *receiver) all() []request {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]request(nil), v.got...)
}

func quick() timing {
	return timing{backoffMin: time.Millisecond, backoffMax: 20 * time.Millisecond, pauseMin: time.Millisecond,
		pauseMax: 10 * time.Millisecond, refusedPause: time.Millisecond, retryAfterMax: 5 * time.Millisecond, attempt: time.Second}
}
