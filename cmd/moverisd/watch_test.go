package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/status"
)

func exampleFindings() findings {
	r := status.Judge(status.Facts{Now: time.Now(), Via: "socket", Version: "1.2.3"})
	r.Level = status.Failing
	r.Reasons = []status.Reason{{Code: "silence", Level: status.Failing, Text: strings.Repeat("words and ", 20), Do: strings.Repeat("do this and ", 20)}}
	return findings{report: r}
}

func exampleSeries() *api.Series {
	s := &api.Series{}
	for i := range 60 {
		lag := float64(i) / 10
		s.Deliveries, s.Rescues, s.Lag = append(s.Deliveries, int64(i)), append(s.Rescues, int64(i%7)), append(s.Lag, &lag)
	}
	return s
}

// A frame fits its screen, whatever its size, and begins with the judgement.
func TestFrameFits(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {132, 50}, {200, 60}, {60, 20}, {40, 12}, {20, 5}, {10, 3}, {1, 1}} {
		for _, color := range []bool{true, false} {
			lines := frame(exampleFindings(), exampleSeries(), size[0], size[1], color)
			if len(lines) > max(size[1], 2) {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, line := range lines {
				if n := columns(line); n > size[0] {
					t.Errorf("%v: %d columns: %q", size, n, line)
				}
			}
			if size[1] > 10 && !strings.Contains(lines[0], "failing") {
				t.Errorf("%v begins with %q", size, lines[0])
			}
		}
	}
	wide := strings.Join(frame(exampleFindings(), exampleSeries(), 132, 50, false), "\n")
	for _, part := range []string{"deliveries a minute", "rescues a minute", "webhook lag", "┤", "sessions "} {
		if !strings.Contains(wide, part) {
			t.Errorf("no %q in\n%s", part, wide)
		}
	}
}

func TestCutEndsColours(t *testing.T) {
	if got := cut("\x1b[1;31mfailing\x1b[0m and more", 5); got != "\x1b[1;31mfail…\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := columns("\x1b[1;31mfähig\x1b[0m"); got != 5 {
		t.Error(got)
	}
}

// terminal is a pseudo-terminal and what was written to it.
type terminal struct {
	master, slave *os.File
	mu            sync.Mutex
	text          strings.Builder
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave}
	t.Cleanup(func() { slave.Close(); master.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.mu.Unlock()
		}
	}()
	return term
}

func (term *terminal) shows(t *testing.T, part string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		term.mu.Lock()
		text := term.text.String()
		term.mu.Unlock()
		if strings.Contains(text, part) {
			return
		}
	}
	t.Fatalf("the terminal never shows %q: %q", part, term.text.String())
}

// However it ends, the terminal is as it was: keys are seen, the cursor is there, the first
// screen is back. The exit code is that of the last judgement, here of a daemon that is down.
func TestWatchLeavesTheTerminalClean(t *testing.T) {
	for name, end := range map[string]func(*terminal, *exec.Cmd){
		"q":       func(term *terminal, _ *exec.Cmd) { _, _ = term.master.WriteString("q") },
		"Ctrl-C":  func(term *terminal, _ *exec.Cmd) { _, _ = term.master.WriteString("\x03") },
		"SIGTERM": func(_ *terminal, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			term := newTerminal(t)
			before, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "status", "--watch", "--socket", t.TempDir()+"/none.sock")
			cmd.Env = append(os.Environ(), asMain+"=1", "NO_COLOR=1")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			term.shows(t, "does not run")
			end(term, cmd)
			err = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 2 {
				t.Errorf("exit code %d, %v", code, err)
			}
			term.shows(t, leaveScreen)
			after, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
			if err != nil || *after != *before {
				t.Errorf("the terminal is another: %v\n%+v\n%+v", err, before, after)
			}
		})
	}
}

// Without a terminal there is nothing to draw on: 3, as for all that keeps status from telling.
func TestWatchNeedsATerminal(t *testing.T) {
	cmd := exec.Command(os.Args[0], "status", "--watch")
	cmd.Env = append(os.Environ(), asMain+"=1")
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), "needs a terminal") {
		t.Errorf("%v: %s", err, out)
	}
}
