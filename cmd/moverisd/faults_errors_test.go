package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// answers counts what deliveries were answered, by status; 0 is no answer.
type answers struct {
	mu      sync.Mutex
	of      map[int]int
	slowest time.Duration
}

func (a *answers) add(code int, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = map[int]int{}
	}
	a.of[code]++
	a.slowest = max(a.slowest, took)
}

// flood delivers from many clients until over says so.
func flood(v *victim, clients int, prefix string, over func() bool) *answers {
	var out answers
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := 0; !over(); i++ {
				start := time.Now()
				code := v.deliver(fmt.Sprintf("%s-%d-%d", prefix, c, i), "live")
				out.add(code, time.Since(start))
				if code != 204 {
					time.Sleep(10 * time.Millisecond) // as a sender would, only faster
				}
			}
		})
	}
	wg.Wait()
	return &out
}

// faultEIO fails writes and fsyncs under load: everyone who waits hears 503, the daemon ends
// with 74, the next one finds everything.
func faultEIO(t *testing.T) string {
	v := newVictim(t, "", nil)
	runs, refused, unanswered := 0, 0, 0
	for _, inject := range []string{"fsync", "pwrite64", "ftruncate"} {
		for _, n := range either([]int{1, 3, 8, 13, 40}, []int{1, 2, 3, 4, 5, 6, 8, 11, 15, 20, 30, 40, 60}) {
			if inject == "ftruncate" && n > 1 {
				continue // there are few of them
			}
			v.run() // a clean start
			if code := v.stop(); code != 0 {
				t.Errorf("clean stop: exit code %d\n%s", code, v.running.text())
			}
			p, ok := v.up("-o", "/dev/null", "-e", "trace="+inject, "-e", fmt.Sprintf("inject=%s:error=EIO:when=%d+", inject, n))
			if ok {
				a := flood(v, 32, fmt.Sprintf("e-%s-%d", inject[:2], n), stopAfter(p, 10*time.Second))
				refused += a.of[503]
				unanswered += a.of[0]
				if a.of[204] > 0 && a.of[503] == 0 { // without a 204 it failed before anyone waited
					t.Errorf("%s number %d failed, nobody was answered 503: %v\n%s", inject, n, a.of, p.text())
				}
			}
			code, err := p.wait(15 * time.Second)
			must(t, err)
			if code != 74 {
				t.Errorf("%s number %d failed (ready %v): exit code %d, not 74\n%s", inject, n, ok, code, p.text())
			}
			if err := v.audit(); err != nil {
				t.Fatalf("%s number %d failed: %v", inject, n, err)
			}
			v.client.CloseIdleConnections()
			runs++
		}
	}
	return fmt.Sprintf("%d failures injected, %d answered 503, %d connections refused, exit 74 each time, %d acks, 0 lost",
		runs, refused, unanswered, v.ledger.size())
}

// stopAfter ends a load when the daemon has ended or a time has passed.
func stopAfter(p *process, limit time.Duration) func() bool {
	deadline := time.Now().Add(limit)
	return func() bool { return p.over() || time.Now().After(deadline) }
}

// faultFull lets the disk be full: by injection, and truly, on a small tmpfs.
func faultFull(t *testing.T) string {
	injected := fullInjected(t)
	return injected + "; " + fullTmpfs(t)
}

func fullInjected(t *testing.T) string {
	v := newVictim(t, "", nil)
	v.run()
	v.stop()
	// Each thread finds the disk full for a while.
	p := v.run("-o", "/dev/null", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=30..60")
	a := flood(v, 16, "n", stopAfter(p, 4*time.Second))
	if p.over() {
		t.Fatalf("the daemon ended: %v\n%s", p.cmd.ProcessState, p.text())
	}
	if a.of[503] == 0 || a.of[204] == 0 || a.of[0] > 0 {
		t.Errorf("answers under injected ENOSPC: %v", a.of)
	}
	if code := v.deliver("after", "live"); code != 204 {
		t.Errorf("after ENOSPC: answered %d\n%s", code, p.text())
	}
	if code := v.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	must(t, v.audit())
	return fmt.Sprintf("injected: %d answered 503, %d 204, recovered alone", a.of[503], a.of[204])
}

func fullTmpfs(t *testing.T) string {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		t.Fatalf("mount a tmpfs: %v (root is needed)", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	v := newVictim(t, dir, nil)
	p := v.run()
	var a *answers
	var recovered time.Duration
	for round := range 3 {
		ballast := filepath.Join(dir, "ballast")
		fillDisk(t, ballast)
		a = flood(v, 8, fmt.Sprintf("t-%d", round), stopAfter(p, 2*time.Second))
		if p.over() {
			t.Fatalf("the daemon ended on a full disk: %v\n%s", p.cmd.ProcessState, p.text())
		}
		if a.of[503] == 0 || a.of[0] > 0 {
			t.Errorf("answers on a full disk: %v", a.of)
		}
		if _, body := v.call("GET", "/v1/status"); !strings.Contains(string(body), "disk_low") {
			t.Errorf("status on a full disk does not name disk_low: %.400s", body)
		}
		must(t, os.Remove(ballast))
		recovered = max(recovered, untilAcked(t, v, fmt.Sprintf("space-%d", round), 15*time.Second))
	}
	// A start on a full disk.
	v.kill()
	fillDisk(t, filepath.Join(dir, "ballast"))
	p = v.start()
	started := firstAnswer(t, v, p)
	a = flood(v, 4, "s", stopAfter(p, 5*time.Second))
	if p.over() || a.of[503] == 0 || a.of[204] > 0 {
		t.Errorf("start on a full disk: ended %v, answers %v\n%s", p.over(), a.of, p.text())
	}
	must(t, os.Remove(filepath.Join(dir, "ballast")))
	waited := untilAcked(t, v, "again", 30*time.Second)
	if code := v.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	must(t, v.audit())
	return fmt.Sprintf("tmpfs: 3 times full and recovered in %s; a start on a full disk answers 503 after %s and serves %s after there is space; %d acks, 0 lost",
		recovered.Round(time.Millisecond), started.Round(time.Millisecond), waited.Round(time.Millisecond), v.ledger.size())
}

// fillDisk takes all the space of a file system.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
}

// untilAcked delivers until it is acknowledged.
func untilAcked(t *testing.T, v *victim, id string, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for i := 0; time.Since(start) < limit; i++ {
		if v.deliver(fmt.Sprintf("%s-%d", id, i), "live") == 204 {
			return time.Since(start)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("not acknowledged %s after there is space again\n%s", limit, v.running.text())
	return limit
}

// firstAnswer waits until a delivery is answered 503.
func firstAnswer(t *testing.T, v *victim, p *process) time.Duration {
	t.Helper()
	start := time.Now()
	for time.Since(start) < 15*time.Second && !p.over() {
		if v.deliver("first", "live") == 503 {
			return time.Since(start)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("a start on a full disk is not answered 503\n%s", p.text())
	return 0
}

// faultSlow makes every fsync take two seconds: the queue is bounded, nobody waits ten
// seconds, memory stays flat.
func faultSlow(t *testing.T) string {
	v := newVictim(t, "", nil)
	v.run()
	v.stop()
	p := v.run("-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=2000000")
	untilAcked(t, v, "warm", 20*time.Second)
	start, length := time.Now(), either(16*time.Second, time.Minute)
	over := stopAfter(p, length)
	var early, late atomic.Int64 // peaks of memory in both halves
	go func() {
		for !over() {
			peak := &early
			if time.Since(start) > length/2 {
				peak = &late
			}
			peak.Store(max(peak.Load(), residentKiB(p.pid())))
			time.Sleep(100 * time.Millisecond)
		}
	}()
	a := flood(v, 1000, "slow", over)
	if p.over() {
		t.Fatalf("the daemon ended: %v\n%s", p.cmd.ProcessState, p.text())
	}
	// 250 share a commit of two seconds; half of that must be left for those who still wait.
	if least := int(length.Seconds()) / 4 * 250; a.of[0] > 0 || a.slowest > 10*time.Second || a.of[204] < least {
		t.Errorf("answers with a slow fsync: %v, at least %d acks are wanted, the slowest after %s", a.of, least, a.slowest)
	}
	if late.Load() > early.Load()*5/4 || late.Load() > 128<<10 {
		t.Errorf("memory grew: at most %d KiB in the first half, %d in the second", early.Load(), late.Load())
	}
	v.stop()
	must(t, v.audit())
	return fmt.Sprintf("%d acks, %d answered 503, the slowest after %.1f s, RSS at most %d MiB in the first half, %d in the second, with 1000 senders",
		a.of[204], a.of[503], a.slowest.Seconds(), early.Load()>>10, late.Load()>>10)
}

// residentKiB is the memory of a process.
func residentKiB(pid int) int64 {
	var pages, resident int64
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(data), &pages, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize()) >> 10
}
