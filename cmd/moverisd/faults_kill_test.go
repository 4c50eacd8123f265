package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/store"
)

// scenario is something a daemon does while it is killed.
type scenario struct {
	name    string
	fresh   bool // every point begins with an empty directory
	change  func(*victim)
	prepare func(t *testing.T, v *victim, round int) // with the daemon down
	work    func(v *victim, round int, over func() bool)
	after   func(v *victim) error
}

// scenarios are what is killed. Forwarding joins them when there is any.
func scenarios() []scenario {
	return []scenario{
		{name: "migrate", fresh: true, work: func(*victim, int, func() bool) {}},
		{name: "receive", work: receiveLoad},
		{name: "poll", change: func(v *victim) { v.poll = quickPoll }, prepare: expectMany, work: receiveLoad},
		{name: "prune", change: func(v *victim) { v.extra = "[retention]\nsettled = \"1d\"\nevents = \"1d\"\n" }, prepare: settleOld,
			work: func(v *victim, round int, over func() bool) {
				go v.call("POST", "/v1/admin/prune?all=1")
				receiveLoad(v, round, over)
			}},
		{name: "backup", change: func(v *victim) {
			v.extra = "[backup]\ndir = \"" + v.dir + "\"\nschedule = \"@every 1s\"\nkeep = 3\n"
		}, work: slowLoad, after: inspectBackups},
		{name: "forward", change: forwardToReceiver, work: receiveLoad, after: everythingForwarded},
	}
}

// receiveLoad delivers some hundred times, or until the daemon is gone.
func receiveLoad(v *victim, round int, over func() bool) { load(v, round, 60, 0, over) }

// slowLoad leaves time for something else to happen.
func slowLoad(v *victim, round int, over func() bool) {
	load(v, round, 1000, 10*time.Millisecond, over)
}

// load delivers n times from each of two clients, until the daemon is gone.
func load(v *victim, round, n int, pause time.Duration, over func() bool) {
	var wg sync.WaitGroup
	for c := range 2 {
		wg.Go(func() {
			for i := 0; i < n && !over(); i++ {
				time.Sleep(pause)
				id := fmt.Sprintf("k-%d-%d-%d", round, c, i)
				if i%4 == 0 {
					v.expect(id)
				}
				v.deliver(id, []string{"live", "fake"}[i%2])
			}
		})
	}
	wg.Wait()
}

// expectMany lets sessions come due that Moveris has finished.
func expectMany(t *testing.T, v *victim, round int) {
	withStore(t, v, func(ctx context.Context, st *store.Store) error {
		for i := range 20 {
			id := fmt.Sprintf("p-%d-%d", round, i)
			if _, err := v.sim.Create(sim.NewSession{ID: id}); err != nil {
				return err
			}
			if _, err := v.sim.Finish(id, sim.Fake); err != nil {
				return err
			}
			if _, err := st.Expect(ctx, store.Expectation{Account: "production", SessionID: id, Grace: time.Second,
				At: time.Now().Add(-time.Minute)}); err != nil {
				return err
			}
			v.ledger.expect(id)
		}
		return nil
	})
}

// settleOld fills the store with sessions that are to be pruned.
func settleOld(t *testing.T, v *victim, round int) {
	withStore(t, v, func(ctx context.Context, st *store.Store) error { return fillOld(ctx, st, round, 120) })
}

// fillOld applies sessions that settled ten days ago, many at a time.
func fillOld(ctx context.Context, st *store.Store, round, n int) error {
	at := time.Now().Add(-240 * time.Hour)
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			id := fmt.Sprintf("old-%d-%d", round, i)
			body := deliveryOf(id, "live", at)
			d, err := moveris.ParseWebhook(body)
			if err != nil {
				errs <- err
				return
			}
			d.Observation.ObservedAt = at
			if _, err := st.Apply(ctx, store.Observed{Account: "production", SessionID: id, Observation: d.Observation, Body: body}); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func withStore(t *testing.T, v *victim, do func(context.Context, *store.Store) error) {
	t.Helper()
	st, err := openDead(t.Context(), v.store())
	must(t, err)
	err = do(t.Context(), st)
	must(t, st.Close())
	must(t, err)
}

// inspectBackups looks at every backup that has its final name: it is whole.
func inspectBackups(v *victim) error {
	return filepath.WalkDir(v.dir, func(path string, e fs.DirEntry, err error) error {
		if name := e.Name(); err == nil && strings.HasPrefix(name, "moverisd-") && strings.HasSuffix(name, ".db") {
			_, err = store.Inspect(v.t.Context(), path)
		}
		return err
	})
}

// point is where a daemon is killed: at its n-th call of a kind.
type point struct {
	call string
	n    int
}

// storeRounds is how many daemons in turn are killed on one store.
const storeRounds = 12

// pointsOf are the points of a scenario. strace counts the calls of each thread by itself.
func pointsOf(sc scenario, budget int) []point {
	shares := []struct {
		call string
		part float64
		max  int
	}{{"fsync", 0.25, 12}, {"pwrite64", 0.45, 120}, {"write", 0.15, 25}, {"ftruncate", 0.07, 3}, {"/^rename", 0.04, 1}, {"unlink", 0.04, 2}}
	var out []point
	for _, s := range shares {
		count := max(1, int(float64(budget)*s.part))
		for i := range count {
			out = append(out, point{s.call, 1 + (i*s.max/count+i)%s.max})
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// faultKillPoints kills daemons at their system calls, two scenarios side by side.
func faultKillPoints(t *testing.T) string {
	budget := either(90, 480) // of a scenario; some points are not reached
	var reached, missed, audits, acked atomic.Int64
	var mu sync.Mutex
	at := map[string]bool{}
	t.Run("scenarios", func(t *testing.T) {
		for _, sc := range scenarios() {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				var v *victim
				for round, p := range pointsOf(sc, budget) {
					if v == nil || sc.fresh || round%storeRounds == 0 {
						if v != nil {
							acked.Add(int64(v.ledger.size()))
						}
						v = newVictim(t, "", sc.change)
					}
					if sc.prepare != nil {
						sc.prepare(t, v, round)
					}
					hit, killed := killAt(v, sc, p, round)
					if killed {
						reached.Add(1)
						mu.Lock()
						at[sc.name+" "+hit] = true
						mu.Unlock()
					} else {
						missed.Add(1)
					}
					if err := v.audit(); err != nil {
						t.Fatalf("killed at %s: %v", hit, err)
					}
					audits.Add(1)
					if sc.after != nil {
						must(t, sc.after(v))
					}
				}
				acked.Add(int64(v.ledger.size()))
			})
		}
	})
	if want := int64(either(300, 2000)); reached.Load() < want {
		t.Errorf("only %d points were reached, %d are wanted", reached.Load(), want)
	}
	return fmt.Sprintf("%d kills at %d different points (%d not reached), %d acks, %d audits clean", reached.Load(),
		len(at), missed.Load(), acked.Load(), audits.Load())
}

// killAt runs a daemon that strace kills at a point, and says at which of its calls of the
// whole process that was.
func killAt(v *victim, sc scenario, p point, round int) (string, bool) {
	v.t.Helper()
	trace := filepath.Join(v.dir, "trace")
	proc, ready := v.up("-y", "-s", "1", "-o", trace, "-e", "trace="+p.call,
		"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", p.call, p.n))
	deadline := time.Now().Add(1500 * time.Millisecond)
	if ready {
		sc.work(v, round, func() bool { return proc.over() || time.Now().After(deadline) })
	}
	killed := proc.over()
	v.kill()
	v.client.CloseIdleConnections()
	calls, err := readTrace(trace)
	must(v.t, err)
	if len(calls) == 0 {
		return "nothing", false
	}
	last := calls[len(calls)-1]
	return fmt.Sprintf("%s number %d (%s)", last.name, len(calls), filepath.Base(last.path)), killed
}

// faultRandomKill kills a daemon under load again and again, and lets the next one recover.
func faultRandomKill(t *testing.T) string {
	n := either(110, 600)
	v := newVictim(t, "", func(v *victim) { v.poll = quickPoll })
	seed := rand.Uint64N(1 << 32)
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range n {
		p := v.run()
		until := time.Now().Add(time.Duration(20+r.IntN(200)) * time.Millisecond)
		time.AfterFunc(time.Until(until), v.kill)
		load(v, round, 1000, time.Millisecond, p.over)
		v.kill()
		v.client.CloseIdleConnections()
		if round%10 == 9 {
			if err := v.audit(); err != nil {
				t.Fatalf("after %d kills, seed %d: %v", round+1, seed, err)
			}
		}
	}
	if err := v.audit(); err != nil {
		t.Fatalf("after %d kills, seed %d: %v", n, seed, err)
	}
	return fmt.Sprintf("%d kills under load, %d acks and %d expectations, 0 lost", n, v.ledger.size(), len(v.ledger.copy().expected))
}
