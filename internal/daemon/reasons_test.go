package daemon

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

func up(r status.Report, code string) bool {
	return slices.ContainsFunc(r.Reasons, func(r status.Reason) bool { return r.Code == code && r.Over == nil })
}

// raised waits until a reason is up in the status and the metrics alike.
func (r *rig) raised(code string) {
	r.t.Helper()
	r.eventually(code+" is up", func() bool { return up(r.status(), code) })
	hasLine(r.t, string(r.call(200, "GET", "/metrics", nil)), `moverisd_reason{code="`+code+`"} 1`)
}

// cleared waits until a reason no longer holds.
func (r *rig) cleared(code string) {
	r.t.Helper()
	r.eventually(code+" is over", func() bool { return !up(r.status(), code) })
}

// What waits for a person is up until the person has dealt with it.
func TestPeoplesReasons(t *testing.T) {
	r := newRig(t, func(r *rig) { r.poll = strings.Replace(fastPoll, `"1h"`, `"2s"`, 1) })
	r.deliver(signed(`{"event":"verification.completed"}`))
	r.raised("dead_letters")
	r.call(200, "POST", "/v1/admin/ack", api.AckRequest{What: store.AckDeadLetters})
	r.cleared("dead_letters")

	now := time.Now()
	r.deliver(signed(completed(id1, "live", now)))
	r.deliver(signed(strings.Replace(completed(id1, "fake", now), `"real_score":0.94`, `"real_score":0.1`, 1)))
	r.raised("conflicts")
	r.call(200, "POST", "/v1/admin/ack", api.AckRequest{What: store.AckConflicts})
	r.cleared("conflicts")

	r.call(201, "PUT", "/v1/sessions/nobody", api.Expectation{})
	r.raised("missing_sessions")
	r.call(200, "DELETE", "/v1/sessions/nobody", nil)
	r.cleared("missing_sessions")

	body, header := signed(completed("other", "live", now))
	header.Set("X-Webhook-Session", "mismatch")
	r.deliver(body, header)
	r.raised("header_mismatch")
}

// A refused reload is told until one is accepted.
func TestConfigRejected(t *testing.T) {
	r := newRig(t, nil)
	r.write("moverisd.toml", "nonsense = 1\n")
	r.call(422, "POST", "/v1/admin/reload", nil)
	r.raised("config_rejected")
	r.writeConfig()
	r.call(200, "POST", "/v1/admin/reload", nil)
	r.cleared("config_rejected")
}

// A backup that cannot be made is told until one is.
func TestBackupFailed(t *testing.T) {
	var dir string
	r := newRig(t, func(r *rig) {
		dir = filepath.Join(r.dir, "backup")
		r.extra = fmt.Sprintf("[backup]\ndir = %q\nschedule = \"@every 1s\"\n", dir)
	})
	r.raised("backup_failed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.cleared("backup_failed")
}

// Deliveries without a valid signature while sessions are due name the likely cause.
func TestReplacedSecret(t *testing.T) {
	r := newRig(t, nil)
	for i := range 3 {
		id := fmt.Sprint("s", i)
		r.call(201, "PUT", "/v1/sessions/"+id, api.Expectation{})
		body, header := signed(completed(id, "live", time.Now()))
		header.Set("X-Webhook-Signature", sim.Sign("another secret", body))
		if code := r.deliver(body, header); code != http.StatusUnauthorized {
			t.Fatal(code)
		}
	}
	r.eventually("the cause is named", func() bool {
		return slices.ContainsFunc(r.status().Reasons, func(r status.Reason) bool {
			return r.Code == "signature_failures" && strings.Contains(r.Text, "probably replaced")
		})
	})
}

// quietNight runs a night in which a session is expected every so often; deliver says whether its
// webhook comes. It returns the level of the silence after each quarter of a minute.
func quietNight(t *testing.T, every time.Duration, known bool, deliver func(since time.Duration) bool, length time.Duration) (first time.Duration, levels map[status.Level]int) {
	n := newNight(t)
	begin := time.Now()
	next := begin
	levels = map[status.Level]int{}
	i := 0
	n.run(length, func() {
		for !next.After(time.Now()) {
			id := fmt.Sprint("s", i)
			i++
			n.expect("production", id)
			if known {
				n.check("production", id, sim.Live)
			}
			if deliver(time.Since(begin)) {
				n.hear(id)
			}
			next = next.Add(every)
		}
		for _, r := range n.judge().Reasons {
			if r.Code == "silence" {
				if levels[r.Level]++; first == 0 {
					first = time.Since(begin)
				}
			}
		}
	})
	return first, levels
}

// hear has a delivery about a session arrive.
func (n *night) hear(id string) {
	n.t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	o := verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", CreatedAt: now, AsOf: now,
		ObservedAt: now, Label: "one", RepeatAfter: 15 * time.Second}
	copy(o.Digest[:], id)
	if _, err := n.store.Apply(n.t.Context(), store.Observed{Account: "production", SessionID: id, Observation: o, Body: []byte(id)}); err != nil {
		n.t.Fatal(err)
	}
}

// The silence alarm, at the defaults: within ten minutes of the last delivery, failing where
// polls found the results and degraded where nothing is known; never while deliveries come,
// nor where nothing is expected, nor before anything was due (product section 6).
func TestSilence(t *testing.T) {
	const stop = 20 * time.Minute
	for _, c := range []struct {
		name    string
		every   time.Duration
		known   bool
		deliver func(time.Duration) bool
		want    status.Level // "" for none
		begin   time.Duration
		within  time.Duration
	}{
		{"webhooks stop", 30 * time.Second, true, func(d time.Duration) bool { return d < stop }, status.Failing, stop, 10 * time.Minute},
		{"webhooks stop, few sessions", 3 * time.Minute, true, func(d time.Duration) bool { return d < stop }, status.Failing, stop, 10 * time.Minute},
		{"never a webhook", 30 * time.Second, true, func(time.Duration) bool { return false }, status.Failing, 0, 3 * time.Minute},
		{"nothing is known", 30 * time.Second, false, func(time.Duration) bool { return false }, status.Degraded, 0, 3 * time.Minute},
		{"two in three are lost", time.Minute, true, func(d time.Duration) bool { return d/time.Minute%3 == 0 }, "", 0, 0},
		{"all comes", 30 * time.Second, true, func(time.Duration) bool { return true }, "", 0, 0},
		{"nothing is expected", 100 * time.Hour, true, func(time.Duration) bool { return true }, "", 0, 0},
		{"one in six minutes", 6 * time.Minute, true, func(time.Duration) bool { return false }, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first, levels := quietNight(t, c.every, c.known, c.deliver, 45*time.Minute)
				switch {
				case c.want == "" && len(levels) > 0:
					t.Errorf("silence after %s: %v", first, levels)
				case c.want != "" && (first <= c.begin || first > c.begin+c.within):
					t.Errorf("silence after %s, began at %s", first, c.begin)
				case c.want != "" && levels[c.want] < 60:
					t.Errorf("levels %v, want mostly %s", levels, c.want)
				case c.want == status.Degraded && levels[status.Failing] > 0:
					t.Errorf("levels %v", levels)
				}
				if c.begin == 0 && c.want != "" && first < nightGrace {
					t.Errorf("silence after %s: nothing was due yet", first)
				}
			})
		})
	}
}

// Sessions that come due later in the same slot of ten seconds are not due.
func TestSilenceWaitsForWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		time.Sleep(time.Until(time.Now().Truncate(10 * time.Second).Add(18 * time.Second)))
		n.expect("production", "a", "b", "c")
		due := time.Now().Add(nightGrace)
		for time.Now().Before(due) {
			if up(n.judge(), "silence") {
				t.Fatalf("silence %s before anything was due", time.Until(due))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		if !up(n.judge(), "silence") {
			t.Error("no silence ten seconds after three came due")
		}
		n.hear("a")
		if up(n.judge(), "silence") {
			t.Error("silence although a delivery came")
		}
	})
}
