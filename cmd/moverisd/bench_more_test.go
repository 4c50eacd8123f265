package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// overdueSessions wait for their result while the intake is measured.
const overdueSessions = 10_000

// overdue measures the intake while many sessions are polled with the whole budget, and while as
// many are known and nobody is asked.
func (b *bench) overdue() error {
	sim := exec.Command(b.lab.sim, "serve", "--listen", "127.0.0.1:0", "--api-key-file", filepath.Join(b.lab.dir, "key"), "--rate", "-1")
	out, err := sim.StderrPipe()
	if err != nil {
		return err
	}
	if err := sim.Start(); err != nil {
		return err
	}
	defer func() {
		_ = sim.Process.Kill()
		_ = sim.Wait()
	}()
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).Find(buf[:n])
	if err != nil || addr == nil {
		return fmt.Errorf("moveris-sim serve: %q: %w", buf[:n], err)
	}
	before := b.lab.api
	b.lab.api = string(addr)
	defer func() { b.lab.api = before }()
	for round := range b.rounds {
		for _, grace := range turn(round, "24h", "1s") {
			name := map[string]string{"24h": "nobody is overdue", "1s": "10,000 are overdue"}[grace]
			progress("round %d of %d: %s", round+1, b.rounds, name)
			r, err := b.besideExpected(grace)
			if err != nil {
				return err
			}
			b.report.load(name, r)
		}
	}
	b.report.ratio("intake while 10,000 are overdue ÷ without", "10,000 are overdue acked_per_second", "nobody is overdue acked_per_second", 0.90, 0.97)
	return nil
}

// besideExpected measures the intake beside expected sessions with a grace period.
func (b *bench) besideExpected(grace string) (r loadResult, err error) {
	dir := filepath.Join(b.lab.dir, "overdue")
	defer os.RemoveAll(dir)
	s, err := b.lab.start("moverisd", dir)
	if err != nil {
		return r, err
	}
	var lines bytes.Buffer
	for i := range overdueSessions {
		fmt.Fprintf(&lines, `{"session_id":"waiting-%d","grace_period":%q}`+"\n", i, grace)
	}
	_, err = s.get(http.MethodPost, "/v1/sessions", &lines)
	time.Sleep(2 * time.Second) // for the grace period, and the first sweep
	if err == nil {
		r, err = b.warmed(s, 0, "--connections", "64")
	}
	return r, errors.Join(err, s.stop())
}

// fsyncs counts how often moverisd waits for the disk, under strace; its speed there says nothing.
func (b *bench) fsyncs() error {
	if _, err := exec.LookPath("strace"); err != nil {
		b.report.Notes = append(b.report.Notes, "fsyncs were not counted: strace is missing")
		return nil
	}
	for _, c := range b.connections {
		dir, table := filepath.Join(b.lab.dir, "traced"), filepath.Join(b.lab.dir, "strace")
		s, err := b.lab.start("moverisd", dir, "strace", "-f", "-c", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", table)
		if err != nil {
			return err
		}
		r, err := b.lab.load(s, b.length, "--connections", strconv.Itoa(c))
		// strace passes no signal on.
		err = errors.Join(err, exec.Command("pkill", "-TERM", "-P", strconv.Itoa(s.cmd.Process.Pid)).Run(), <-s.ended, os.RemoveAll(dir))
		if err != nil {
			return err
		}
		text, err := os.ReadFile(table)
		if err != nil {
			return err
		}
		calls := 0.0
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 4 && strings.HasSuffix(f[len(f)-1], "sync") {
				n, _ := strconv.ParseFloat(f[3], 64)
				calls += n
			}
		}
		b.report.row(fmt.Sprintf("fsyncs for a delivery, %d connections", c), values{calls / float64(r.Acked)}, 0, 0, true, "")
	}
	return nil
}

// commitTime is the median time of a transaction with one row.
func commitTime(dir string) (time.Duration, error) {
	path := filepath.Join(dir, "commit.db")
	db, err := openNaive(path)
	if err != nil {
		return 0, err
	}
	defer func() {
		db.Close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(path + suffix)
		}
	}()
	var took []time.Duration
	for range 300 {
		start := time.Now()
		if _, err := db.Exec("INSERT INTO events (change) VALUES ('x')"); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// residentMiB is the memory of a process that is in RAM now.
func residentMiB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no VmRSS for process %d", pid)
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	return kib / 1024, err
}
