package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

// args is a short run against the world, before the test's own flags, of which
// the last wins.
func (d *fakeDaemon) args(more ...string) []string {
	secret := filepath.Join(filepath.Dir(d.socket), "secret")
	if err := os.WriteFile(secret, []byte(testSecret+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return append([]string{"traffic", "--api", d.api, "--socket", d.socket, "--webhook-url", d.webhook, "--secret-file", secret,
		"--sessions", "60", "--duration", "300ms", "--processing-max", "100ms", "--delay-by", "200ms",
		"--settle-timeout", "15s", "--seed", "5", "--forge", "0.2"}, more...)
}

func (d *fakeDaemon) run(more ...string) (out string, code int) {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(d.t.Context(), d.args(more...), &stdout, &stderr)
	if strings.Contains(stdout.String()+stderr.String(), testSecret) {
		d.t.Error("the secret was printed")
	}
	return stdout.String(), exitCode(err, &stderr)
}

func TestTrafficAllRight(t *testing.T) {
	t.Parallel()
	d := world(t, sim.Config{})
	out, code := d.run()
	if code != 0 || !strings.Contains(out, "\nevery session accounted for: 60 sessions, ") || !strings.HasSuffix(out, " rescued by polling, 0 wrong, 0 absent\n") {
		t.Fatalf("code %d\n%s", code, out)
	}
	if !regexp.MustCompile(`12 forged \(0 not refused\)`).MatchString(out) || !strings.Contains(out, "12 × 401") {
		t.Errorf("forgeries:\n%s", out)
	}
	example := regexp.MustCompile(`rescued example: (\S+)`).FindStringSubmatch(out)
	if example == nil || *d.sessions[example[1]].FirstBy != "poll" {
		t.Errorf("no rescued example:\n%s", out)
	}
}

func TestTrafficJSON(t *testing.T) {
	t.Parallel()
	d := world(t, sim.Config{})
	out, code := d.run("--output", "json", "--with-job-id", "0.5", "--unfinished", "0.1")
	var rep report
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != 0 {
		t.Fatalf("code %d, %v\n%s", code, err, out)
	}
	if !rep.Accounted || rep.Sessions != 54 || rep.Unfinished != 6 || rep.Told+rep.Rescued != 54 || rep.Seed != 5 || rep.Webhooks.Lost < 12 {
		t.Errorf("%+v", rep)
	}
	withJob := 0
	for _, s := range d.sessions {
		if s.JobID != "" {
			withJob++
		}
	}
	if withJob != 30 {
		t.Errorf("%d announced with a job id, want 30", withJob)
	}
}

func TestTrafficSecondVerification(t *testing.T) {
	t.Parallel()
	d := world(t, sim.Config{})
	out, code := d.run("--again", "0.3", "--again-after", "900ms")
	if code != 0 {
		t.Errorf("code %d\n%s", code, out)
	}
}

// once spoils the answer about the first session asked for that fits.
func once(fits func(fakeSession) bool, change func(*fakeSession) *fakeSession) func(string, fakeSession) *fakeSession {
	victim := ""
	return func(id string, s fakeSession) *fakeSession {
		if victim == "" && fits(s) {
			victim = id
		}
		if id == victim {
			return change(&s)
		}
		return &s
	}
}

func deaf(d *fakeDaemon) { d.deaf = true }

func settledLive(s fakeSession) bool { return s.Outcome != nil && *s.Outcome == "live" }

func lie(s *fakeSession) *fakeSession {
	s.Outcome, s.Verdict = new("fake"), new("fake")
	return s
}

func TestTrafficFinds(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(string, fakeSession) *fakeSession
		want  string
		list  string
	}{
		"a lie":      {once(settledLive, lie), "1 wrong, 0 absent", "moverisd says fake, Moveris decided live"},
		"a loss":     {once(settledLive, func(*fakeSession) *fakeSession { return nil }), "0 wrong, 1 absent", "does not know it"},
		"a conflict": {once(settledLive, func(s *fakeSession) *fakeSession { s.Conflict = true; return s }), "1 wrong, 0 absent", "says conflict"},
		"no outcome": {once(settledLive, func(s *fakeSession) *fakeSession { s.State, s.Outcome = "missing", nil; return s }), "0 wrong, 0 absent, 1 unsettled", "moverisd says missing, Moveris decided live"},
		"half a lie": {once(settledLive, func(s *fakeSession) *fakeSession { s.Verdict = new("fake"); return s }), "1 wrong, 0 absent", "the verdict says fake"},
		"a wrong source": {once(func(s fakeSession) bool { return s.FirstBy != nil && *s.FirstBy == "poll" },
			func(s *fakeSession) *fakeSession { s.FirstBy = new("webhook"); return s }), "1 wrong, 0 absent", "first_by is webhook, but the webhook was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := world(t, sim.Config{}, func(d *fakeDaemon) { d.spoil = c.spoil })
			out, code := d.run("--settle-timeout", "2s", "--delay", "0")
			if code != 1 || !strings.Contains(out, "NOT every session accounted for: 60 sessions, ") || !strings.HasSuffix(out, c.want+"\n") || !strings.Contains(out, c.list) {
				t.Errorf("code %d\n%s", code, out)
			}
		})
	}
}

func TestTrafficFindsTrust(t *testing.T) {
	t.Parallel()
	d := world(t, sim.Config{}, func(d *fakeDaemon) { d.trusting = true })
	out, code := d.run("--settle-timeout", "1s")
	if code != 1 || !strings.Contains(out, "12 wrong") || !strings.Contains(out, "(12 not refused)") || !strings.Contains(out, "answered 204, not 401") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestTrafficFindsInvention(t *testing.T) {
	t.Parallel()
	invent := once(func(s fakeSession) bool { return s.Outcome == nil }, func(s *fakeSession) *fakeSession {
		s.State, s.FirstBy = "settled", new("poll")
		return lie(s)
	})
	d := world(t, sim.Config{}, func(d *fakeDaemon) { d.spoil = invent })
	out, code := d.run("--unfinished", "1", "--settle-timeout", "1s")
	if code != 1 || !strings.Contains(out, "1 wrong") || !strings.Contains(out, "the check never finished") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestTrafficLongListIsCut(t *testing.T) {
	t.Parallel()
	d := world(t, sim.Config{}, deaf)
	out, code := d.run("--lose", "0.5", "--settle-timeout", "100ms")
	if code != 1 || !strings.Contains(out, "\nand 1") || strings.Count(out, "unsettled: session") != listedMax {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestTrafficWithWebhooksOff(t *testing.T) {
	t.Parallel()
	d := world(t, sim.Config{Faults: []sim.Fault{{Name: "webhooks-off"}}})
	out, code := d.run("--sessions", "20")
	if code != 0 || !strings.Contains(out, "20 sessions, 0 told by webhook, 20 rescued by polling, 0 wrong, 0 absent") || !strings.Contains(out, "0 sent") {
		t.Errorf("code %d\n%s", code, out)
	}
}

// A signal ends the run soon, whatever it is waiting for.
func TestTrafficStops(t *testing.T) {
	for name, flags := range map[string][]string{
		"while sessions begin":   {"--duration", "1h"},
		"while webhooks delay":   {"--lose", "0", "--delay", "0.7", "--delay-by", "1h"},
		"while moverisd is slow": {"--settle-timeout", "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := world(t, sim.Config{}, deaf)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(stopped{syscall.SIGTERM}) })
			begin := time.Now()
			var stdout, stderr bytes.Buffer
			err := run(ctx, d.args(flags...), &stdout, &stderr)
			if code := exitCode(err, &stderr); code != 143 || time.Since(begin) > 5*time.Second {
				t.Errorf("code %d after %s, %v", code, time.Since(begin), err)
			}
		})
	}
}

// The simulator going away is an error of the run, not of moverisd.
func TestTrafficWithoutSimulator(t *testing.T) {
	d := world(t, sim.Config{})
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), d.args("--api", "http://127.0.0.1:1"), &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "is moveris-sim serve running") || stdout.Len() > 0 {
		t.Errorf("%v\n%s", err, stdout.String())
	}
	err = run(t.Context(), d.args("--socket", "/nonexistent/s"), &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "is moverisd running") {
		t.Errorf("%v", err)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, line := range []string{
		"", "dance", "serve", "serve --api-key k --fault oops", "serve --api-key k extra", "serve --api-key k --webhook-url http://192.0.2.1/ --secret-env HOME",
		"traffic --lose 0.6 --delay 0.5", "traffic --fake 1 --null 0.5", "traffic --forge -1", "traffic --sessions 0", "traffic --output xml",
		"traffic --webhook-url http://127.0.0.1/", "traffic --api nowhere", "traffic --forge NaN", "serve --api-key k --api-key-env HOME",
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), strings.Fields(line), &stdout, &stderr)
		if code := exitCode(err, &stderr); code != exitUsage {
			t.Errorf("%q: code %d, %v", line, code, err)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, line := range []string{"--help", "serve --help", "traffic -h"} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), strings.Fields(line), &stdout, &stderr)
		if code := exitCode(err, &stderr); code != 0 || stdout.Len()+stderr.Len() < 300 {
			t.Errorf("%q: code %d\n%s", line, code, stderr.String())
		}
	}
}

func TestExitCodes(t *testing.T) {
	var w bytes.Buffer
	for want, err := range map[int]error{0: nil, 1: errors.New("x"), 130: stopped{syscall.SIGINT}, 143: stopped{syscall.SIGTERM}} {
		if got := exitCode(err, &w); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
