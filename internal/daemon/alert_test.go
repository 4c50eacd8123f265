package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/status"
)

// listener hears alerts, and may be deaf.
type listener struct {
	mu    sync.Mutex
	heard []string // the level and the codes of each
	at    []time.Time
	tries int
	deaf  bool
	hand  func(status.Report) // a look at once
	notes map[string]error
}

func (l *listener) send(_ context.Context, body []byte, _ status.Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tries++; l.deaf {
		return errors.New("deaf")
	}
	var r status.Report
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	text := string(r.Level)
	for _, reason := range r.Reasons {
		text += " " + reason.Code
	}
	l.heard, l.at = append(l.heard, text), append(l.at, time.Now())
	return nil
}

func (l *listener) setDeaf(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
}

func (l *listener) note(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes[name] = err
}

// report is a report with reasons; a capital letter means failing.
func report(codes ...string) status.Report {
	r := status.Report{Level: status.OK}
	for _, code := range codes {
		level := status.Degraded
		if strings.ToLower(code) != code {
			level = status.Failing
		}
		r.Reasons = append(r.Reasons, status.Reason{Code: strings.ToLower(code), Level: level})
		if level.ExitCode() > r.Level.ExitCode() {
			r.Level = level
		}
	}
	return r
}

// alerting runs an alerter in a bubble; looks hands it one report every 15 seconds.
func alerting(t *testing.T, minLevel status.Level, steps func(l *listener, look func(r status.Report, times int))) *listener {
	l := &listener{notes: map[string]error{}}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := &alerter{name: "x", min: minLevel, send: l.send, note: l.note, log: slog.New(slog.DiscardHandler), latest: make(chan status.Report, 1)}
		l.hand = a.look
		done := make(chan struct{})
		go func() { a.run(ctx); close(done) }()
		steps(l, func(r status.Report, times int) {
			for range times {
				a.look(r)
				time.Sleep(healthInterval)
			}
			synctest.Wait()
		})
		cancel()
		<-done
	})
	return l
}

func wantHeard(t *testing.T, l *listener, want ...string) {
	t.Helper()
	if !slices.Equal(l.heard, want) {
		t.Errorf("heard %q, want %q", l.heard, want)
	}
}

// Each change of the level and each new reason is told once; what goes is told where the level
// changes by it.
func TestAlertTellsChanges(t *testing.T) {
	l := alerting(t, status.Degraded, func(_ *listener, look func(status.Report, int)) {
		look(report(), 4)
		look(report("a"), 4)
		look(report("a", "b"), 4)
		look(report("b"), 4)
		look(report("a", "b"), 4)
		look(report("A", "b"), 4)
		look(report("b"), 4)
		look(report(), 4)
	})
	wantHeard(t, l, "degraded a", "degraded a b", "degraded a b", "failing a b", "degraded b", "ok")
}

// What is below min_level is as good as nothing.
func TestAlertMinLevel(t *testing.T) {
	l := alerting(t, status.Failing, func(_ *listener, look func(status.Report, int)) {
		look(report("a"), 4)
		look(report("a", "B"), 4)
		look(report("a", "c", "B"), 4)
		look(report("a", "c"), 4)
	})
	wantHeard(t, l, "failing a b", "degraded a c")
}

// What comes together is one alert, and what is gone at once is none.
func TestAlertDebounce(t *testing.T) {
	l := alerting(t, status.Degraded, func(l *listener, look func(status.Report, int)) {
		begin, hand := time.Now(), l.hand
		for _, r := range []status.Report{report("a"), report("a", "b"), report("A", "b", "c")} {
			hand(r)
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		l.mu.Lock()
		if len(l.at) != 1 || l.at[0].Sub(begin) < alertDebounce || l.at[0].Sub(begin) > 2*alertDebounce {
			t.Errorf("told at %v", l.at)
		}
		l.mu.Unlock()
		look(report("A", "b", "c"), 3)
	})
	wantHeard(t, l, "failing a b c")
}

// An alert that does not get through is tried again, at first soon and then every five
// minutes, with the status by then; its failure is noted until it does.
func TestAlertIsRetried(t *testing.T) {
	l := alerting(t, status.Degraded, func(l *listener, look func(status.Report, int)) {
		l.setDeaf(true)
		look(report("a"), 4)
		if l.tries != alertTries || l.notes["x"] == nil {
			t.Errorf("%d tries in the first minute, noted: %v", l.tries, l.notes["x"])
		}
		look(report("a"), 80) // 20 minutes
		if l.tries < alertTries+3 || l.tries > alertTries+4 {
			t.Errorf("%d tries in 21 minutes", l.tries)
		}
		l.setDeaf(false)
		look(report(), 21)
		if l.notes["x"] != nil {
			t.Errorf("noted although it got through: %v", l.notes["x"])
		}
	})
	wantHeard(t, l, "ok")
}

// An alert does not tell of its own failure; another one does.
func TestAlertOwnFailure(t *testing.T) {
	r := report("alert_failed")
	r.Reasons[0].Subject = "x"
	l := alerting(t, status.Degraded, func(_ *listener, look func(status.Report, int)) { look(r, 4) })
	wantHeard(t, l)
	r.Reasons[0].Subject = "y"
	l = alerting(t, status.Degraded, func(_ *listener, look func(status.Report, int)) { look(r, 4) })
	wantHeard(t, l, "degraded alert_failed")
}

// A command gets the status, an environment without secrets, and a time limit.
func TestAlertCommand(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "/secret")
	t.Setenv("MOVERIS_API_KEY", "sk-secret")
	dir := t.TempDir()
	script := filepath.Join(dir, "page-me")
	text := "#!/bin/sh\nenv > " + dir + "/env; cat > " + dir + "/in; pwd > " + dir + "/pwd\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := runAlert(t.Context(), []string{script}, []byte(`{"level":"failing"}`), report("A", "b")); err != nil {
		t.Fatal(err)
	}
	env, _ := os.ReadFile(filepath.Join(dir, "env"))
	in, _ := os.ReadFile(filepath.Join(dir, "in"))
	if string(in) != `{"level":"failing"}` || !strings.Contains(string(env), "MOVERISD_LEVEL=failing\n") ||
		!strings.Contains(string(env), "MOVERISD_REASONS=a b\n") {
		t.Errorf("in %q, env %q", in, env)
	}
	if strings.Contains(string(env), "ecret") || strings.Contains(string(env), "HOME=") {
		t.Errorf("the environment holds what it must not: %s", env)
	}
}

func TestAlertCommandFails(t *testing.T) {
	err := runAlert(t.Context(), []string{"/bin/sh", "-c", "echo no pager; exit 3"}, nil, report())
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no pager") {
		t.Error(err)
	}
	if err := runAlert(t.Context(), []string{"/nowhere"}, nil, report()); err == nil {
		t.Error("a command that is not there succeeds")
	}
	if err := runAlert(t.Context(), []string{"/bin/true"}, []byte(strings.Repeat("x", 1<<20)), report()); err != nil {
		t.Errorf("a command that does not read the status: %v", err)
	}
	// What it started ends with it.
	mark := filepath.Join(t.TempDir(), "mark")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = runAlert(ctx, []string{"/bin/sh", "-c", fmt.Sprintf("(sleep 2; touch %s) & sleep 60", mark)}, nil, report())
	if err == nil || time.Since(start) > 1900*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	time.Sleep(2200*time.Millisecond - time.Since(start))
	if _, err := os.Stat(mark); err == nil {
		t.Error("a child of the command lives on")
	}
}

func TestAlertPost(t *testing.T) {
	var got []byte
	answer := 204
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		if answer == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(answer)
	}))
	defer srv.Close()
	if err := post(t.Context(), srv.URL+"/secret-path", []byte("{}")); err != nil || string(got) != "{}" {
		t.Errorf("%v, got %q", err, got)
	}
	for _, answer = range []int{302, 404, 500} {
		err := post(t.Context(), srv.URL+"/secret-path", nil)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(answer)) || strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%d: %v", answer, err)
		}
	}
	srv.Close()
	if err := post(t.Context(), srv.URL+"/secret-path", nil); err == nil || strings.Contains(err.Error(), "secret-path") {
		t.Error(err)
	}
}

// A running daemon tells, notes an alert that fails, and takes alerts from a reload.
func TestAlerts(t *testing.T) {
	heard := make(chan status.Report, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got status.Report
		if json.NewDecoder(r.Body).Decode(&got) == nil {
			heard <- got
		}
	}))
	defer srv.Close()
	var good string
	r := newRig(t, func(r *rig) {
		good = fmt.Sprintf("[[alert]]\nurl = %q\n", srv.URL)
		r.extra = good + "[[alert]]\ncommand = [\"/bin/false\"]\n"
	})
	r.deliver(signed(`{"event":"verification.completed"}`)) // before its second look, 15 s after the first
	select {
	case got := <-heard:
		if got.Level != status.Degraded || got.Reasons[0].Code != "dead_letters" {
			t.Errorf("told %+v", got)
		}
	case <-time.After(40 * time.Second):
		t.Fatalf("nothing was told\n%s", r.log)
	}
	r.eventually("the failure of the other is visible", func() bool { return up(r.status(), "alert_failed") })
	if !strings.Contains(r.log.String(), "alert failed") {
		t.Error("the log does not tell of it")
	}
	r.extra = good
	r.writeConfig()
	r.call(200, "POST", "/v1/admin/reload", nil)
	if up(r.status(), "alert_failed") {
		t.Error("an alert that is no more still fails")
	}
}

func TestAlertName(t *testing.T) {
	for want, c := range map[string]config.Alert{"1 (page-me)": {Command: []string{"/usr/bin/page-me", "--key", "x"}},
		"1 (hooks.example)": {URL: "https://hooks.example/T0/secret"}} {
		if got := alertName(0, c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
