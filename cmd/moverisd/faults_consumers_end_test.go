package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/api"
)

// settle waits until all is delivered, nothing is pending and the consumers have read to the
// end. The daemon sends again after 5, 10 and 20 seconds, a quarter more or less: the test
// waits for that as everybody has to.
func (c *trial) settle(load *sync.WaitGroup) (*history, error) {
	delivered := make(chan struct{})
	go func() {
		load.Wait()
		close(delivered)
	}()
	if err := c.until("all is delivered", func() bool {
		select {
		case <-delivered:
			return true
		default:
			return false
		}
	}); err != nil {
		return nil, err
	}
	c.target.calm.Store(true)
	client := api.NewClient(filepath.Join(c.v.dir, "s"))
	if err := c.until("nothing is pending", func() bool {
		out, err := client.Forwards(context.Background())
		if err == nil && (len(out.Forwards) != 1 || out.Forwards[0].DeadLetters > 0) {
			c.fail(fmt.Errorf("forwards: %+v", out.Forwards))
		}
		return err == nil && out.Forwards[0].Pending == 0
	}); err != nil {
		return nil, err
	}
	seq, err := c.sequence()
	if err != nil {
		return nil, err
	}
	return seq, c.until("the consumers are at the end", func() bool {
		return c.readers[0].reached.Load() == seq.last && c.readers[1].reached.Load() == seq.last
	})
}

// until waits for something that a daemon which is not killed brings about.
func (c *trial) until(what string, so func() bool) error {
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := c.failure(); err != nil {
			return err
		}
		if so() {
			return nil
		}
		if c.v.running.over() {
			break
		}
	}
	return fmt.Errorf("%s: never\n%s", what, c.v.running.text())
}

// sequence reads all events by the command. What was delivered has made its changes and no
// others, each once.
func (c *trial) sequence() (*history, error) {
	out, err := exec.Command(c.v.bin, "--config", filepath.Join(c.v.dir, "moverisd.toml"), "events").Output()
	if err != nil {
		return nil, fmt.Errorf("moverisd events: %w", err)
	}
	seq, err := readHistory(out)
	if err != nil {
		return nil, err
	}
	for id, want := range c.changes {
		if got := strings.Join(seq.changes[id], " "); got != want {
			return nil, fmt.Errorf("session %s has the changes %q, not %q", id, got, want)
		}
	}
	if len(seq.sessions) != c.sessions || len(c.changes) != c.sessions {
		return nil, fmt.Errorf("the store has events of %d sessions, %d of %d were delivered", len(seq.sessions), len(c.changes), c.sessions)
	}
	c.events = seq.last
	return seq, nil
}

// figures say what was survived.
func (c *trial) figures() string {
	text := fmt.Sprintf("%d sessions, %d events, %d daemons killed, %d calls made again, faults: %s", c.sessions, c.events,
		c.kills, c.again.Load(), c.target.faults())
	for _, a := range c.applications() {
		a.mu.Lock()
		defer a.mu.Unlock()
		text += fmt.Sprintf("; %s: %d arrivals, %d of them again, killed %d times, hung %d times", a.name, a.arrivals,
			a.repeats, a.deaths, a.hangs)
	}
	return text
}
