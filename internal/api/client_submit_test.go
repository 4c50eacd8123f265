package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// results are lines that submit a verdict for each session.
func results(n int) string {
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, "{\"session_id\":\"s%d\",\"verdict\":\"live\"}\n", i)
	}
	return in.String()
}

// Results are handed over several at a time, share commits, and are reported in order.
func TestSubmitAll(t *testing.T) {
	r := newRig(t)
	c := serve(t, r)
	const n = 600
	last := 0
	err := c.SubmitAll(t.Context(), "", strings.NewReader(results(n)), func(s SubmitResult) error {
		if last++; s.Line != last || s.Err != nil || !s.Created || s.Session.SessionID != fmt.Sprintf("s%d", last-1) ||
			s.Session.State != "settled" {
			t.Fatalf("line %d: %+v", last, s)
		}
		return nil
	})
	if err != nil || last != n {
		t.Errorf("%d reported: %v", last, err)
	}
	if commits := r.commits.Load(); commits > n/2 {
		t.Errorf("%d results took %d commits", n, commits)
	}
}

// Those of one session are handed over in their order, and a bad line stops no other. The
// bytes are submitted as they were.
func TestSubmitAllInOrder(t *testing.T) {
	r := newRig(t)
	c := serve(t, r)
	var in strings.Builder
	for i := range 100 {
		fmt.Fprintf(&in, "{\"session_id\":\"s%d\", \"verdict\":\"live\"}\r\n{\"verdict\":\"live\"}\n\n{\"session_id\":\"s%d\",\"verdict\":\"fake\"}\n", i, i)
	}
	fmt.Fprintf(&in, "%s\n{", strings.Repeat("x", lineMax))
	var said []string
	err := c.SubmitAll(t.Context(), "production", strings.NewReader(in.String()), func(s SubmitResult) error {
		text := fmt.Sprint(s.Line, " ", s.Session.Conflict)
		if p := (*Problem)(nil); errors.As(s.Err, &p) {
			text = fmt.Sprint(s.Line, " ", p.Status)
		}
		said = append(said, text)
		return nil
	})
	if err != nil || len(said) != 302 || said[300] != "401 413" || said[301] != "402 400" {
		t.Fatalf("%d: %v, %v", len(said), said, err)
	}
	for i := range 100 {
		if n := 4 * i; said[3*i] != fmt.Sprint(n+1, " false") || said[3*i+1] != fmt.Sprint(n+2, " 400") || said[3*i+2] != fmt.Sprint(n+4, " true") {
			t.Errorf("session %d: %v", i, said[3*i:3*i+3])
		}
		var s Session
		r.call(200, "GET", fmt.Sprintf("/v1/sessions/s%d?raw=1", i), "", &s)
		if !slices.ContainsFunc(s.Observations, func(o Observation) bool {
			return *o.Body == fmt.Sprintf("{\"session_id\":\"s%d\", \"verdict\":\"live\"}", i)
		}) {
			t.Errorf("session %d: the bytes are others: %s, %s", i, *s.Observations[0].Body, *s.Observations[1].Body)
		}
	}
}

// Whoever has seen enough, or leaves, is not held up by an input that gives no more lines.
func TestSubmitAllEnds(t *testing.T) {
	slow := make(chan struct{})
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "s1") {
			<-slow
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer close(slow)
	enough := errors.New("enough")
	for _, want := range []error{enough, context.Canceled} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		report := func(SubmitResult) error { return want }
		if want == context.Canceled {
			report = func(SubmitResult) error { cancel(); return nil }
		}
		in, w := io.Pipe()
		defer w.Close()
		go func() { _, _ = io.WriteString(w, results(2)) }()
		done := make(chan error, 1)
		go func() { done <- c.SubmitAll(ctx, "", in, report) }()
		select {
		case err := <-done:
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%v: it still waits", want)
		}
	}
}
