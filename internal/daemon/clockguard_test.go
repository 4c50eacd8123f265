package daemon

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// movedClock is a wall clock that can be set, beside a monotonic one that cannot.
type movedClock struct {
	mono time.Time
	off  time.Duration
}

func (c *movedClock) wall() time.Time { return c.mono.Add(c.off).Round(0) }

// TestClockJumps moves the wall clock of a guard by every amount, with a session that the next
// answer would give up were the clock right, and a settled one that would be pruned.
func TestClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		name    string
		by      time.Duration
		true    bool // the clock is right afterwards: the machine was suspended
		doubted bool
	}{
		{"1 s ahead", time.Second, false, false}, {"1 s back", -time.Second, false, false},
		{"1 h ahead", time.Hour, false, true}, {"1 h back", -time.Hour, false, true},
		{"1 y ahead", year, false, true}, {"1 y back", -year, false, true},
		{"a suspended day", 24 * time.Hour, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := &movedClock{mono: time.Now()}
			st := clockStore(t, clock)
			defer st.Close()
			g := newClockGuard(clock.mono, time.Time{})
			d := &daemon{guard: g, store: st, cfg: &config.Config{}}
			d.cfg.Retention.Settled = 90 * 24 * time.Hour
			ask := func() verdict.State {
				t.Helper()
				r, err := st.Defer(t.Context(), store.Deferred{Account: "a", SessionID: "open", Attempt: store.Attempt{
					At: clock.wall(), Answer: verdict.NotThere, Sent: true, Hold: g.inDoubt()}})
				if err != nil {
					t.Fatal(err)
				}
				return r.Session.State
			}
			for range verdict.AnswersMin {
				clock.mono = clock.mono.Add(time.Minute)
				g.compare(clock.wall(), clock.mono)
				ask()
			}
			clock.off += c.by
			g.compare(clock.wall(), clock.mono)
			if g.inDoubt() != c.doubted {
				t.Fatalf("doubted: %v", g.inDoubt())
			}
			if state := ask(); state == verdict.Missing {
				t.Error("given up early")
			}
			if c.doubted {
				if _, err := d.pruneAt(t.Context(), true, clock.wall()); err == nil {
					t.Error("pruned with the clock in doubt")
				}
			}
			if _, err := st.Get(t.Context(), "a", "settled", false); err != nil {
				t.Errorf("the settled session: %v", err)
			}
			date := clock.mono // what the API says
			if c.true {
				date = clock.wall()
			}
			g.confirm(date, clock.wall())
			if want := c.doubted && !c.true; g.inDoubt() != want {
				t.Errorf("doubted after the API's Date: %v, want %v", g.inDoubt(), want)
			}
			if !c.true {
				clock.off -= c.by // NTP has mended it
				g.compare(clock.wall(), clock.mono)
			}
			if g.inDoubt() {
				t.Error("still doubted after the clock was mended")
			}
			if _, err := d.pruneAt(t.Context(), true, clock.wall()); err != nil {
				t.Errorf("prune with a good clock: %v", err)
			}
		})
	}
	t.Log("clock: 1 s, 1 h and 1 y both ways and a suspended day: nothing given up early, nothing pruned while in doubt, trusted again once the API's Date or NTP says so")
}

// clockStore has a session that waits and one that is settled.
func clockStore(t *testing.T, clock *movedClock) *store.Store {
	t.Helper()
	policy := verdict.Policy{GracePeriod: time.Second, GiveUpAfter: 12 * time.Hour, BackoffMin: time.Second, BackoffMax: time.Minute}
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "m.db"), Now: clock.wall,
		Policy: func(string) verdict.Policy { return policy }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Expect(t.Context(), store.Expectation{Account: "a", SessionID: "open", At: clock.wall()}); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Apply(t.Context(), store.Observed{Account: "a", SessionID: "settled", Observation: verdict.Observation{
		Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", ObservedAt: clock.wall(),
		CreatedAt: clock.wall(), Digest: [32]byte{1}}}); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestClockSchedule shows that a plan of intervals goes by the monotonic clock, so that no
// jump of the wall clock misses a sweep or makes a burst of them.
func TestClockSchedule(t *testing.T) {
	s, err := parseSchedule("@every 15s")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	next := s.Next(now)
	if next.Round(0).Equal(next) && next.String() == next.Round(0).String() {
		t.Error("the time of the next sweep has lost its monotonic reading")
	}
	if wait := next.Sub(now); wait <= 14*time.Second || wait > 15*time.Second {
		t.Errorf("the next sweep comes after %s", wait)
	}
	t.Log("clock: sweeps are planned by the monotonic clock")
}
