package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var consumersSessions = flag.Int("faults.sessions", 0, "sessions of the row \"consumers\", 0 for those of its form")

// trial is one daemon after the other with three applications: a target of its forward, a
// consumer of pages of events, and one of their stream.
type trial struct {
	v        *victim
	sessions int
	kills    int // of the daemon
	events   int64
	target   *badTarget
	readers  []*reader
	released chan int     // sessions that may be played
	again    atomic.Int64 // calls that were not acknowledged and made again

	mu      sync.Mutex
	changes map[string]string // by session, what should have become of it
	wrong   error
}

// faultConsumers shows that every event arrives at every application at least once, in order
// for its session, that its id makes it exactly once, and that the store's own sequence has
// what was delivered and no gap, whatever they do and however often the daemon is killed.
func faultConsumers(t *testing.T) string {
	c := newTrial(t, cmp.Or(*consumersSessions, either(600, 10_000)), "")
	if err := c.run(); err != nil {
		t.Error(err)
	}
	return c.figures()
}

// newTrial makes a trial with the daemon of a binary, the true one if it is empty.
func newTrial(t *testing.T, sessions int, bin string) *trial {
	t.Helper()
	many := sessions > 2000
	c := &trial{sessions: sessions, kills: 20, released: make(chan int, sessions), changes: map[string]string{}}
	odds, perEach, hangs := 7, 2, 2
	if many {
		c.kills, odds, perEach, hangs = 150, 9, 3, 60
	}
	c.target = newBadTarget(t, odds, perEach, hangs)
	c.v = newVictim(t, "", func(v *victim) {
		v.bin = cmp.Or(bin, v.bin)
		v.extra = fmt.Sprintf("[[forward]]\nname = \"backend\"\nurl = \"http://%s/results\"\nsecrets = [\"file:%s/key\"]\n"+
			"changes = [\"expected\", \"settled\", \"reverified\", \"conflicted\", \"missing\", \"revived\", \"withdrawn\"]\n", c.target.addr, v.dir)
	})
	c.readers = []*reader{{application: newApplication("consumer of pages", ""), v: c.v, life: lifeMax},
		{application: newApplication("consumer of the stream", ""), v: c.v, life: lifeMax, stream: true}}
	return c
}

func (c *trial) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = cmp.Or(c.wrong, err)
}

// failure is the first thing that went wrong.
func (c *trial) failure() error {
	c.mu.Lock()
	err := c.wrong
	c.mu.Unlock()
	for _, a := range c.applications() {
		err = cmp.Or(err, a.failure())
	}
	return err
}

func (c *trial) applications() []*application {
	return []*application{c.target.application, c.readers[0].application, c.readers[1].application}
}

// run plays all sessions and judges in the end.
func (c *trial) run() error {
	ctx, cancel := context.WithCancel(context.Background())
	var load, readers sync.WaitGroup
	for range 8 {
		load.Go(func() { c.deliverAll(ctx) })
	}
	for _, r := range c.readers {
		readers.Go(func() { r.run(ctx) })
	}
	err := c.lives()
	close(c.released)
	var seq *history
	if err == nil {
		seq, err = c.settle(&load)
	}
	cancel()
	load.Wait()
	readers.Wait()
	if err != nil {
		return err
	}
	if code := c.v.stop(); code != 0 {
		return fmt.Errorf("the daemon ended with %d", code)
	}
	for _, a := range c.applications() {
		if err := a.judge(seq); err != nil {
			return err
		}
	}
	return c.v.audit()
}

// lives lets one daemon live after the other, for the first two thirds with new sessions: the
// others only send again.
func (c *trial) lives() error {
	released := 0
	for life := range c.kills {
		c.v.run()
		for due := min(c.sessions, c.sessions*(life+1)*3/(c.kills*2)); released < due; released++ {
			c.released <- released
		}
		if err := c.live(); err != nil {
			return err
		}
		if c.v.running.over() {
			return fmt.Errorf("the daemon has ended by itself:\n%s", c.v.running.text())
		}
		c.v.kill()
		c.v.client.CloseIdleConnections()
		if err := c.failure(); err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	}
	c.v.run()
	return nil
}

// live lets a daemon live until it is killed: after some time, or when the target asks for it.
// Sometimes the target is killed meanwhile, or answers nobody for a while.
func (c *trial) live() error {
	time.Sleep(time.Duration(50+rand.IntN(500)) * time.Millisecond)
	switch rand.IntN(8) {
	case 0:
		c.target.count("target killed")
		if err := c.target.restart(time.Duration(rand.IntN(300)) * time.Millisecond); err != nil {
			return err
		}
	case 1:
		c.target.count("target stalled")
		c.target.stalled.Store(time.Now().Add(time.Duration(rand.IntN(2000)) * time.Millisecond).UnixMilli())
	}
	wait := time.Duration(rand.IntN(500)) * time.Millisecond
	if when := int32(rand.IntN(3)); when != killNever {
		c.target.kill.Store(when)
		wait = 2 * time.Second
	}
	select {
	case <-c.target.asked:
	case <-time.After(wait):
	}
	c.target.kill.Store(killNever)
	return nil
}
