package daemon

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

func ids(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%05d", prefix, i))
	}
	return out
}

// newcomers expects a fresh session at each call and later tells how long each had to wait.
type newcomers struct {
	n     *night
	due   map[string]time.Time
	every int
	calls int
}

func newNewcomers(n *night, every int) *newcomers {
	return &newcomers{n: n, due: map[string]time.Time{}, every: every}
}

func (f *newcomers) come() {
	if f.calls++; f.calls%f.every != 0 {
		return
	}
	id := fmt.Sprintf("fresh-%05d", len(f.due))
	f.n.check("production", id, sim.Live)
	f.n.expect("production", id)
	f.due[id] = time.Now().Add(nightGrace)
}

// wantPrompt fails if one of those that came due was not asked about in its first sweep:
// that one begins at most an interval after it came due and ends at most one later.
func (f *newcomers) wantPrompt(last time.Time) {
	f.n.t.Helper()
	asked := map[string]time.Time{}
	for _, r := range f.n.sim.Requests() {
		id := r.Path[strings.LastIndexByte(r.Path, '/')+1:]
		if _, ok := asked[id]; !ok {
			asked[id] = r.At
		}
	}
	var longest time.Duration
	count := 0
	for id, due := range f.due {
		if due.After(last) {
			continue
		}
		count++
		at, ok := asked[id]
		if !ok || at.Sub(due) > 2*nightInterval {
			f.n.t.Errorf("%s came due at %s and was asked about at %s (%s later)", id, due, at, at.Sub(due))
			continue
		}
		longest = max(longest, at.Sub(due))
	}
	if count == 0 {
		f.n.t.Error("nobody came due")
	}
	f.n.t.Logf("%d fresh sessions were asked about at most %s after they came due", count, longest)
}

// Issue 4, promise 3.
func TestHopelessBacklogDelaysFreshByOneSweep(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("long")
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		n.expect("production", ids("hopeless", 10_000)...)
		fresh := newNewcomers(n, 1)
		n.run(40*time.Minute, fresh.come)
		fresh.wantPrompt(time.Now().Add(-2 * nightInterval))
		if most := n.sim.MaxRequestsIn(time.Minute); most > nightBudget {
			t.Errorf("%d requests in a minute", most)
		}
		r := n.judge()
		if r.Sessions.Missing > 0 || r.Sessions.Settled < int64(len(fresh.due))*9/10 {
			t.Errorf("%+v of %d fresh", r.Sessions, len(fresh.due))
		}
		t.Logf("%d requests in 40 minutes, at most %d in one", len(n.sim.Requests()), n.sim.MaxRequestsIn(time.Minute))
	})
}

// Issue 4, promise 4: a day without the API, whichever way it fails.
func TestADayOfOutage(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("long")
	}
	for _, fault := range []string{"api-off", "hang"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { dayOfOutage(t, fault) })
		})
	}
}

func dayOfOutage(t *testing.T, fault string) {
	const perHour = 100
	n := newNight(t)
	n.faults(fault)
	n.interval = time.Minute // saves commits; breakers are tried out no more often than swept
	var all []string
	for hour := range 25 { // longer than give_up_after for the first ones
		batch := ids(fmt.Sprintf("hour-%02d", hour), perHour)
		for i, id := range batch {
			n.check("production", id, []sim.Outcome{sim.Live, sim.Fake}[i%2])
		}
		n.expect("production", batch...)
		all = append(all, batch...)
		n.run(time.Hour)
	}
	out := n.judge()
	if out.Sessions.Overdue != int64(len(all)) || out.Sessions.Missing > 0 || n.reasons() != "api_unreachable" {
		t.Errorf("at the end of the outage: %+v, %s", out.Sessions, n.reasons())
	}
	probes := len(n.sim.Requests())
	if limit := 25*60*3 + 100; probes > limit {
		t.Errorf("%d requests in the outage, more than one a sweep for each route", probes)
	}
	asked := 0
	for _, id := range all {
		if v := n.view("production", id); v.Attempts != 0 {
			t.Fatalf("%s: %d attempts in an outage", id, v.Attempts)
		} else if len(v.Entries) > 1 {
			asked++
		}
	}
	estimate := time.Duration(out.Accounts[0].DrainSeconds) * time.Second
	n.sim.SetFaults(nil)
	n.sim.ForgetRequests()
	n.interval = nightInterval
	fresh, drained, start := newNewcomers(n, 2), time.Duration(0), time.Now()
	n.run(45*time.Minute, func() {
		if fresh.come(); drained == 0 && n.judge().Sessions.Overdue < 30 {
			drained = time.Since(start)
		}
	})
	fresh.wantPrompt(time.Now().Add(-2 * nightInterval))
	n.wantOutcomes(all, false)
	r, most := n.judge(), n.sim.MaxRequestsIn(time.Minute)
	if r.Sessions.Missing > 0 || r.Sessions.Overdue > 10 || n.reasons() != "" {
		t.Errorf("afterwards: %+v, %s", r.Sessions, n.reasons())
	}
	if most > nightBudget || most < nightBudget*8/10 {
		t.Errorf("at most %d requests in a minute, the budget is %d", most, nightBudget)
	}
	if drained == 0 || drained < estimate*7/10 || drained > estimate*15/10 {
		t.Errorf("drained in %s, the estimate was %s", drained, estimate)
	}
	t.Logf("%d requests in 25 hours; %d of %d sessions have a record of an attempt; drained in %s, estimate %s; at most %d requests a minute",
		probes, asked, len(all), drained, estimate, most)
}

// While routes must be left alone, sessions that only they could answer for keep their
// place, and nobody else's.
func TestBlockedSessionsDoNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jobs []string
		deny := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/blocked-") {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
		n := newNight(t, nightAccount{name: "production", handler: deny, routes: []string{nightRoutes[0], nightRoutes[2]}})
		n.expect("production", ids("blocked-a", 1000)...)
		time.Sleep(time.Second)
		for _, id := range ids("asked", 30) {
			if _, err := n.sim.Create(sim.NewSession{ID: id, JobID: "job-" + id}); err != nil {
				t.Fatal(err)
			}
			if _, err := n.sim.Finish(id, sim.Live); err != nil {
				t.Fatal(err)
			}
			if _, err := n.store.Expect(t.Context(), store.Expectation{Account: "production", SessionID: id, JobID: "job-" + id, At: time.Now()}); err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, id)
		}
		time.Sleep(time.Second)
		n.expect("production", ids("blocked-b", 1000)...)
		n.run(8 * time.Minute) // with the account's one probe after five
		for _, id := range jobs {
			if v := n.view("production", id); v.State != verdict.Settled {
				t.Fatalf("%s is still %s", id, v.State)
			}
		}
		if h := n.accounts[0].client.Health(); h.Routes[1].Denied != 403 || h.Breaker == "stopped" {
			t.Errorf("%+v", h)
		}
	})
}

// Issue 4: several accounts do not slow each other.
func TestHangingAccountSlowsNoOther(t *testing.T) {
	for _, fault := range []string{"hang", "drip", "retry-after=3600", "status-401"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t, nightAccount{name: "sick"}, nightAccount{name: "healthy"})
				n.faults(fault)
				n.expect("sick", ids("sick", 300)...)
				n.run(2 * time.Minute) // the sick one is at its worst
				settledIn := time.Duration(0)
				for round := range 20 {
					batch := ids(fmt.Sprintf("round-%02d", round), 5)
					for _, id := range batch {
						n.check("healthy", id, sim.Live)
					}
					n.expect("healthy", batch...)
					due := time.Now().Add(nightGrace)
					n.run(nightGrace + 2*nightInterval)
					for _, id := range batch {
						v := n.view("healthy", id)
						if v.State != verdict.Settled {
							t.Fatalf("%s is %s %s after it came due", id, v.State, time.Since(due))
						}
						settledIn = max(settledIn, v.Session.SettledAt.Sub(due))
					}
				}
				t.Logf("settled at most %s after they came due", settledIn)
				if settledIn > nightInterval+time.Second {
					t.Errorf("that is more than a sweep")
				}
			})
		})
	}
}

// While nothing is usable sessions keep their place, nothing is counted as an attempt, and
// nothing is sent beyond the probes: one every 15 s of a broken route, one every 5 minutes of
// a stopped account (issue 4; product section 4).
func TestNothingIsSentBeyondProbes(t *testing.T) {
	if raceEnabled {
		t.Skip("long")
	}
	for fault, every := range map[string]time.Duration{
		"api-off": breakerPause, "status-500": breakerPause, "hang": breakerPause,
		"status-401": stopPause, "status-402": stopPause, "status-403": stopPause, "key-revoked": stopPause,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { onlyProbes(t, fault, every) })
		})
	}
}

const (
	breakerPause = 15 * time.Second
	stopPause    = 5 * time.Minute
)

func onlyProbes(t *testing.T, fault string, every time.Duration) {
	n := newNight(t, nightAccount{name: "production", routes: nightRoutes[1:2]})
	n.faults(fault)
	waiting := ids("waiting", 300)
	n.expect("production", waiting...)
	due := time.Now().Add(nightGrace)
	n.run(5 * time.Minute) // the breaker opens, or the account stops
	n.sim.ForgetRequests()
	const long = 2 * time.Hour
	n.run(long)
	reqs := n.sim.Requests()
	for i := 1; i < len(reqs); i++ {
		if pause := reqs[i].At.Sub(reqs[i-1].At); pause < every {
			t.Fatalf("two requests %s apart", pause)
		}
	}
	if n := len(reqs); n < int(long/every)/3 || n > int(long/every)+1 {
		t.Errorf("%d requests in %s", n, long)
	}
	kept, asked := 0, 0
	for _, id := range waiting {
		v := n.view("production", id)
		if v.Attempts != 0 || v.State != verdict.Overdue {
			t.Fatalf("%s: %s after %d attempts", id, v.State, v.Attempts)
		}
		if v.NextPollAt.Equal(due.Truncate(time.Millisecond)) {
			kept++
		} else {
			asked++
		}
	}
	total := len(reqs)
	if every == stopPause && kept < len(waiting)-total-10 {
		t.Errorf("only %d of %d sessions kept their place, %d probes", kept, len(waiting), total)
	}
	n.sim.SetFaults(nil)
	for _, id := range waiting {
		n.check("production", id, sim.Live)
	}
	n.run(15 * time.Minute)
	if r := n.judge(); r.Sessions.Settled != int64(len(waiting)) || n.reasons() != "" {
		t.Errorf("afterwards %+v, %s", r.Sessions, n.reasons())
	}
	t.Logf("%d probes in %s; %d of %d sessions kept their place", total, long, kept, len(waiting))
}
