package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
)

// beg has people ask by hand, for sessions and with probes, until the context ends; both
// spend the account's budget.
func (n *night) beg(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			time.Sleep(50 * time.Millisecond) // people; and fake time stands still for a busy loop
			if i%2 == 0 {
				_, _ = n.poller.Ask(ctx, "production", fmt.Sprintf("backlog-%05d", i%500))
			} else {
				_, _ = n.poller.Probe(ctx, "production", "nobody", "")
			}
		}
	})
}

// renew puts a new client into the place of the account's, as a start and a reload with
// changed routes do.
func (n *night) renew() {
	n.t.Helper()
	l, err := n.store.LoadLearned(n.t.Context(), "production")
	if err != nil {
		n.t.Fatal(err)
	}
	n.accounts[0].client = n.client(n.accounts[0].cfg, moveris.Learned{Rate: l.Rate})
	n.poller.Configure(n.settings())
}

// Issue 4: 20 restarts in a minute, with reloads in between, sweeps of a backlog, and people
// who poll and probe; no 60 seconds hold more requests than the budget.
func TestBudgetOverRestartsAndReloads(t *testing.T) {
	for _, c := range []struct {
		budget, restarts, reloads int
		faults                    string
	}{
		{60, 20, 0, ""}, {60, 20, 2, ""}, {60, 1, 30, ""}, {7, 20, 1, ""}, {240, 20, 2, ""}, {1, 20, 2, ""},
		{60, 20, 2, "status-503:0.3,retry-after=0:0.02"}, {60, 20, 1, "reset:0.5"},
	} {
		t.Run(fmt.Sprintf("budget %d, %d restarts, %d reloads, %s", c.budget, c.restarts, c.reloads, c.faults), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t, nightAccount{name: "production", budget: c.budget})
				n.faults(c.faults)
				n.expect("production", ids("backlog", 500)...)
				n.run(3 * time.Minute) // the bucket is as full as it gets
				n.poller.Wait()
				for range c.restarts {
					n.live(time.Minute/time.Duration(c.restarts), c.reloads)
				}
				n.renew()
				n.run(2 * time.Minute)
				most := n.sim.MaxRequestsIn(time.Minute)
				t.Logf("at most %d requests in a minute", most)
				if most > c.budget {
					t.Errorf("the budget is %d", c.budget)
				}
				if c.faults == "" && c.budget > 1 && most < c.budget/2 {
					t.Error("the budget is hardly used: the test shows nothing")
				}
			})
		})
	}
}

// live is one life of a daemon on the same store.
func (n *night) live(d time.Duration, reloads int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), d)
	defer cancel()
	n.poller = poll.New(n.store, time.Now, slog.New(slog.DiscardHandler))
	n.renew()
	var wg sync.WaitGroup
	n.beg(ctx, &wg)
	wg.Go(func() {
		for ctx.Err() == nil {
			next := time.Now().Add(n.interval)
			if err := n.poller.Sweep(ctx, next); err != nil && ctx.Err() == nil {
				n.t.Error(err)
			}
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
			}
		}
	})
	for range reloads {
		time.Sleep(d / time.Duration(reloads+1))
		n.renew()
	}
	<-ctx.Done()
	wg.Wait()
}

// The same with the whole daemon over sockets: fewer seconds, so the bound is the bucket's,
// burst and filling, for windows of all lengths.
func TestBudgetOfTheDaemonOverRestarts(t *testing.T) {
	t.Parallel()
	const budget = 600
	r := newRig(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.edit(func(toml string) string { return strings.Replace(toml, "6000", fmt.Sprint(budget), 1) })
	r.sim.ForgetRequests()
	var batch []map[string]string
	for _, id := range ids("backlog", 400) {
		batch = append(batch, map[string]string{"session_id": id})
	}
	for life := range 20 {
		r.start()
		if life == 0 {
			for _, b := range batch {
				r.call(201, "PUT", "/v1/sessions/"+b["session_id"], api.Expectation{})
			}
		}
		r.bother(700*time.Millisecond, life)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for _, window := range []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, time.Minute} {
		limit := min(budget/10+int(0.9*budget*window.Seconds()/61)+2, budget)
		most := r.sim.MaxRequestsIn(window)
		t.Logf("at most %d requests in %s, %d are allowed", most, window, limit)
		if most > limit {
			t.Errorf("%d requests in %s", most, window)
		}
	}
}

func (r *rig) edit(change func(string) string) {
	r.t.Helper()
	name := filepath.Join(r.dir, "moverisd.toml")
	text, err := os.ReadFile(name)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("moverisd.toml", change(string(text)))
}

// bother polls and probes by hand and reloads with other routes for a time.
func (r *rig) bother(d time.Duration, life int) {
	r.t.Helper()
	var over atomic.Bool
	var wg sync.WaitGroup
	for _, call := range []string{"/v1/sessions/backlog-00001/poll", "/v1/admin/sessions/backlog-00002/probe?account=production"} {
		wg.Go(func() {
			for !over.Load() {
				if text, code := r.tryCall("POST", call, nil); code != 200 && code != 202 && code != 0 && code < 500 && !over.Load() {
					r.t.Errorf("%s: %d %s", call, code, text)
				}
			}
		})
	}
	time.Sleep(d / 2)
	r.edit(func(toml string) string {
		toml, _, _ = strings.Cut(toml, "\nroutes = ")
		return toml + fmt.Sprintf("\nroutes = [\"/api/v1/result/{session_id}\", \"/api/v1/other-%d/{session_id}\"]\n", life)
	})
	r.call(200, "POST", "/v1/admin/reload", nil)
	time.Sleep(d / 2)
	over.Store(true)
	wg.Wait()
}
