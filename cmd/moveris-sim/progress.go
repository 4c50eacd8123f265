package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	terminalEvery = time.Second     // in place
	linesEvery    = 5 * time.Second // in a log file
)

// progress prints where the run is until the returned function is called.
func (t *traffic) progress(ctx context.Context) (stop func()) {
	inPlace := isTerminal(t.stderr)
	every := linesEvery
	if inPlace {
		every = terminalEvery
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		begin := time.Now()
		for sleep(ctx, every) {
			line := t.tally.line(time.Since(begin), len(t.records))
			if inPlace {
				fmt.Fprintf(t.stderr, "\r\x1b[K%s", line)
			} else {
				fmt.Fprintln(t.stderr, line)
			}
		}
		if inPlace {
			fmt.Fprint(t.stderr, "\r\x1b[K")
		}
	})
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

func (c *tally) line(elapsed time.Duration, sessions int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := fmt.Sprintf("%4.0fs  %d sessions: %d announced, %d finished; webhooks: %d sent, %d lost, %d forged",
		elapsed.Seconds(), sessions, c.announced, c.finished, c.sent, c.lost, c.forged)
	if c.waiting {
		s += fmt.Sprintf("; %d not settled yet", c.open)
	}
	return s
}

// isTerminal is true for any character device, which is near enough.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
