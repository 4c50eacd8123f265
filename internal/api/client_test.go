package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serve serves a handler at a socket and returns a client of it.
func serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return NewClient(socket)
}

// Only a socket that is not there, or that nobody listens at, says that the daemon is down.
func TestClientNotRunning(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left")
	ln, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{left, file, filepath.Join(dir, "none"), filepath.Join(dir, "none", "none")} {
		if _, err := NewClient(socket).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", socket, err)
		}
	}
	for name, client := range map[string]*Client{
		"a path that cannot be": NewClient(filepath.Join(file, "below")),
		"one that hangs up": serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		})),
	} {
		if _, err := client.Status(t.Context()); err == nil || errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClientPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may use every socket; cmd/moverisd tests it as somebody else")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(filepath.Join(dir, "s")).Status(t.Context()); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func TestClientTimeout(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}

func TestClientRefusal(t *testing.T) {
	oldest := int64(7)
	want := Problem{Type: "about:blank", Title: "Gone", Status: 410, Detail: "pruned", Oldest: &oldest, Store: "s"}
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/events":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(want.Status)
			_ = json.NewEncoder(w).Encode(want)
		case "/v1/status":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			http.Error(w, "<html>", http.StatusBadGateway)
		}
	}))
	_, err := c.Events(t.Context(), "3", 0, 0)
	var got *Problem
	if !errors.As(err, &got) || !cmp.Equal(*got, want) {
		t.Errorf("%v: %+v", err, got)
	}
	if _, err := c.Status(t.Context()); !errors.As(err, &got) || got.Status != http.StatusFound {
		t.Errorf("a redirect was followed: %v", err)
	}
	if err := c.Reload(t.Context()); !errors.As(err, &got) || got.Status != 502 || strings.Contains(err.Error(), "html") {
		t.Error(err)
	}
}

// Whatever an id consists of, the server gets it as it is; what would name another path is
// not sent.
func TestClientIDs(t *testing.T) {
	var path, got atomic.Value
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.EscapedPath())
		got.Store(r.PathValue("id"))
		_, _ = io.WriteString(w, "{}")
	})
	c := serve(t, mux)
	for _, id := range []string{"a", "a/b", "../c", "a?b=c#d", "100%", "%2F", "a b", "é", "...", "a//b", ";"} {
		if _, err := c.Session(t.Context(), "", id, false); err != nil || got.Load() != id {
			t.Errorf("%q became %v by %v: %v", id, got.Load(), path.Load(), err)
		}
	}
	for _, id := range []string{"", ".", "..", "a\nb", "\xff", strings.Repeat("x", 201)} {
		got.Store("not called")
		var p *Problem
		if _, err := c.Session(t.Context(), "", id, false); !errors.As(err, &p) || p.Status != 400 || got.Load() != "not called" {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// echo answers each line with its number, as the server does; the line "bad" is refused.
func echo(posts *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		body, _ := io.ReadAll(r.Body)
		enc := json.NewEncoder(w)
		for i, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
			result := LineResult{Line: i + 1, SessionID: line, Status: 201}
			if line == "bad" {
				result = LineResult{Line: i + 1, Status: 400, Problem: problem(400, "bad")}
			}
			_ = enc.Encode(result)
		}
	}
}

func TestExpectAll(t *testing.T) {
	var posts atomic.Int64
	c := serve(t, echo(&posts))
	var in strings.Builder
	want := map[int]int{}
	for n := 1; n <= 1300; n++ {
		text, status := fmt.Sprintf("line %d", n), 201
		switch {
		case n%100 == 0:
			text, status = " \r", 0
		case n == 333:
			text, status = strings.Repeat("x", lineMax), 413
		case n%77 == 0:
			text, status = "bad", 400
		}
		if status != 0 {
			want[n] = status
		}
		in.WriteString(text)
		if n < 1300 { // the last line has no end
			in.WriteString("\n")
		}
	}
	got, last := map[int]int{}, 0
	err := c.ExpectAll(t.Context(), strings.NewReader(in.String()), func(r LineResult) error {
		if r.Line <= last {
			t.Errorf("line %d after line %d", r.Line, last)
		}
		if r.Status == 201 && r.SessionID != fmt.Sprintf("line %d", r.Line) {
			t.Errorf("line %d was answered as %q", r.Line, r.SessionID)
		}
		last, got[r.Line] = r.Line, r.Status
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := posts.Load(); n < 3 {
		t.Errorf("%d requests: too large ones", n)
	}
}

// Whoever pipes lines in one by one gets each answer before the next line.
func TestExpectAllAnswersAtOnce(t *testing.T) {
	var posts atomic.Int64
	c := serve(t, echo(&posts))
	in, w := io.Pipe()
	answers := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- c.ExpectAll(t.Context(), in, func(r LineResult) error { answers <- r.SessionID; return nil })
	}()
	for _, id := range []string{"a", "b"} {
		if _, err := io.WriteString(w, id+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-answers; got != id {
			t.Errorf("%q was answered for %q", got, id)
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An answer that does not come, an input that breaks off and a caller who leaves are errors.
func TestExpectAllErrors(t *testing.T) {
	var posts atomic.Int64
	short := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"line":1,"status":201}`+"\n")
	}))
	n := 0
	err := short.ExpectAll(t.Context(), strings.NewReader("a\nb\n"), func(LineResult) error { n++; return nil })
	if n != 1 || err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%d answers, %v", n, err)
	}

	broken := errors.New("broken")
	in, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "a\n")
		w.CloseWithError(broken)
	}()
	n = 0
	err = serve(t, echo(&posts)).ExpectAll(t.Context(), in, func(LineResult) error { n++; return nil })
	if n != 1 || !errors.Is(err, broken) {
		t.Errorf("%d answers, %v", n, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	in, w = io.Pipe()
	defer w.Close()
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := serve(t, echo(&posts)).ExpectAll(ctx, in, func(LineResult) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestHandlerClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/sessions/{id}/observations", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(Session{SessionID: r.PathValue("id"), Account: string(body) + r.URL.Query().Get("account")})
	})
	c := NewHandlerClient(mux)
	s, created, err := c.Submit(t.Context(), "two", "a/b", []byte("one"))
	if err != nil || !created || s.SessionID != "a/b" || s.Account != "onetwo" {
		t.Errorf("%+v, %v, %v", s, created, err)
	}
	var p *Problem
	if _, err := c.Status(t.Context()); !errors.As(err, &p) || p.Status != http.StatusNotFound {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
