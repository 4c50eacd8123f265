package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
)

const (
	testKey    = "sk-test-key-0123456789"
	testSecret = "whsec-test-0123456789abcdef"
)

// asMain makes the test binary the program itself, for tests that run it as another user.
const asMain = "MOVERISD_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"moverisd": main, "fakeapi": fakeAPI, "bench": benchMain, "twin": twinMain})
}

// TestScripts runs the real program. Each script has a configuration whose API is a
// simulated Moveris that finishes the session "done" as live and knows no other.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"rc": rc, "await": await}})
}

func setUp(env *testscript.Env) error {
	moveris := sim.New(sim.Config{APIKey: testKey, WebhookSecret: testSecret, ResultBySession: true, RequestsPerMinute: -1})
	srv := httptest.NewServer(moveris.Handler())
	env.Defer(srv.Close)
	if _, err := moveris.Create(sim.NewSession{ID: "done"}); err != nil {
		return err
	}
	if _, err := moveris.Finish("done", sim.Live); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	path := filepath.Join(env.WorkDir, "moverisd.toml")
	env.Setenv("MOVERISD_CONFIG", path)
	env.Setenv("NO_COLOR", "1")
	for name, text := range map[string]string{"key": testKey, "secret": testSecret} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(configText(env.WorkDir, ln.Addr().String(), srv.URL)), 0o600)
}

func configText(dir, webhook, moveris string) string {
	return fmt.Sprintf(`[webhook]
listen = %q
[api]
socket = "%[2]s/moverisd.sock"
[store]
path = "%[2]s/moverisd.db"
[poll]
schedule = "@every 1h"
[[account]]
name = "production"
base_url = %[3]q
api_key = "file:%[2]s/key"
requests_per_minute = 6000
routes = ["/api/v1/result/{session_id}"]
webhook_secrets = [ { label = "one", secret = "file:%[2]s/secret" } ]
`, webhook, dir, moveris)
}

// rc runs a command and checks its exit code: rc CODE [-within DURATION] command…
func rc(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: rc CODE [-within DURATION] command…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	limit := time.Minute
	if args[0] == "-within" {
		limit, err = time.ParseDuration(args[1])
		ts.Check(err)
		args = args[2:]
	}
	start := time.Now()
	err = ts.Exec(args[0], args[1:]...)
	got := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if took := time.Since(start); took > limit {
		ts.Fatalf("it took %s, more than %s", took, limit)
	}
}

// await waits until somebody listens at a socket, or with ! until nobody does.
func await(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != neg {
			return
		}
	}
	ts.Fatalf("waited in vain for %s", args[0])
}

// fakeAPI is a daemon that does one thing wrong: fakeapi SOCKET hang|problem|stale|garbage.
func fakeAPI() {
	ln, err := net.Listen("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answer := map[string]http.HandlerFunc{
		"hang": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(api.Problem{Title: "Conflict", Status: 409, Detail: "the id is known twice", Names: []string{"one", "two"}})
		},
		"stale": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"level":"ok","as_of":"2026-01-01T00:00:00.000Z","via":"socket"}`)
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
	}[os.Args[2]]
	_ = http.Serve(ln, answer)
}
