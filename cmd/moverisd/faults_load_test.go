package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/store"
)

// faultPrune measures how much longer deliveries take while the retention deletes. The machine
// has other things to do too, so the best of a few tries counts.
func faultPrune(t *testing.T) string {
	n := either(3000, 50_000)
	best := time.Hour
	var figures string
	for round := range 4 {
		v := newVictim(t, "", func(v *victim) { v.extra = "[retention]\nsettled = \"1d\"\nevents = \"1d\"\ndead_letters = \"1d\"\n" })
		withStore(t, v, func(ctx context.Context, st *store.Store) error { return fillOld(ctx, st, round, n) })
		v.run()
		alone, _, _ := sequence(v, "alone", func() bool { return false }, 300)
		pruned := make(chan []byte, 1)
		go func() {
			_, data := v.call("POST", "/v1/admin/prune?all=1")
			pruned <- data
		}()
		var out []byte
		beside, worst, k := sequence(v, "beside", func() bool {
			select {
			case out = <-pruned:
				return true
			default:
				return false
			}
		}, 1<<30)
		var got store.Pruned
		if err := json.Unmarshal(out, &got); err != nil || got.Sessions != int64(n) {
			t.Fatalf("pruned: %s (%v)", out, err)
		}
		if delay := worst - alone; delay < best {
			best = delay
			figures = fmt.Sprintf("%d sessions pruned while %d deliveries came: p99 %.1f ms, the slowest %.1f ms, without it p99 %.1f ms",
				n, k, ms(beside), ms(worst), ms(alone))
		}
		v.stop()
		if size := sizeOf(t, v.store()); round == 0 && size == 0 {
			t.Error("the store is empty")
		}
		must(t, v.audit())
		if best <= 50*time.Millisecond && round > 0 {
			break
		}
	}
	if best > 50*time.Millisecond {
		t.Errorf("a delivery was delayed by %s: %s", best, figures)
	}
	return figures
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sequence delivers one after another, at most n, and returns the p99 and the slowest.
func sequence(v *victim, prefix string, over func() bool, n int) (p99, worst time.Duration, count int) {
	var took []time.Duration
	for i := 0; i < n && !over(); i++ {
		start := time.Now()
		v.deliver(fmt.Sprintf("%s-%d", prefix, i), "live")
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	if len(took) == 0 {
		return 0, 0, 0
	}
	return took[len(took)*99/100], took[len(took)-1], len(took)
}

var clockFigures = regexp.MustCompile(`(?m)^.*clock: (.*)$`)

// faultClock runs the tests of the daemon's clock guard: the wall clock of a process cannot be
// moved without moving everyone's, so this row is shown at the level of the package.
func faultClock(t *testing.T) string {
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "^TestClock", "../../internal/daemon")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestClock") {
		t.Errorf("%v\n%s", err, out)
	}
	var figures []string
	for _, m := range clockFigures.FindAllStringSubmatch(string(out), -1) {
		figures = append(figures, m[1])
	}
	return "in package daemon: " + strings.Join(figures, "; ")
}

// faultSoak is ten minutes of traffic with every fault of the simulated API: memory,
// descriptors, threads and the log stay flat.
func faultSoak(t *testing.T) string {
	length := 10 * time.Minute
	v := newVictim(t, "", func(v *victim) { v.poll = quickPoll })
	p := v.run()
	pid := p.pid()
	names := sim.FaultNames()
	type sample struct{ rss, fds, threads, wal int64 }
	look := func() sample {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		s := sample{residentKiB(pid), int64(len(fds)), int64(len(threads)), 0}
		if info, err := os.Stat(v.store() + "-wal"); err == nil {
			s.wal = info.Size()
		}
		return s
	}
	over := stopAfter(p, length)
	var early, late sample
	start := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { soakLoad(v, over) })
	for i := 0; !over(); i++ {
		if faults, err := sim.ParseFaults(names[i%len(names)] + ":0.3"); err == nil {
			v.sim.SetFaults(faults)
		}
		time.Sleep(2 * time.Second)
		into := &early
		switch s := time.Since(start); {
		case s < length/6:
			continue // warming up
		case s > length/2:
			into = &late
		}
		now := look()
		*into = sample{max(into.rss, now.rss), max(into.fds, now.fds), max(into.threads, now.threads), max(into.wal, now.wal)}
	}
	wg.Wait()
	if p.over() {
		t.Fatalf("the daemon ended: %v\n%s", p.cmd.ProcessState, p.text())
	}
	if late.rss > early.rss*13/10 || late.fds > early.fds+20 || late.threads > early.threads+8 || late.wal > 64<<20 {
		t.Errorf("not flat: %+v in the first half, %+v in the second", early, late)
	}
	v.stop()
	must(t, v.audit())
	return fmt.Sprintf("%s, %d acks: RSS %d then %d MiB, descriptors %d then %d, threads %d then %d, log %.1f then %.1f MiB; ledger complete",
		length, v.ledger.size(), early.rss>>10, late.rss>>10, early.fds, late.fds, early.threads, late.threads,
		float64(early.wal)/(1<<20), float64(late.wal)/(1<<20))
}

// soakLoad expects sessions and delivers for half of them; the others are polled for.
func soakLoad(v *victim, over func() bool) {
	for i := 0; !over(); i++ {
		id := fmt.Sprintf("soak-%d", i)
		if _, err := v.sim.Create(sim.NewSession{ID: id}); err == nil {
			_, _ = v.sim.Finish(id, sim.Live)
		}
		v.expect(id)
		if i%2 == 0 {
			v.deliver(id, "live")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
