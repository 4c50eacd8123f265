package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

const (
	livesMax  = 1000 // sessions under way at once; at the cap new ones wait
	askersMax = 16   // questions to moverisd at once
	settleAsk = 500 * time.Millisecond
)

// traffic is one run. The records belong to one life each until all lives have
// ended, then to the comparison.
type traffic struct {
	cfg     trafficConfig
	secret  string
	moveris *moveris
	daemon  *daemon
	stderr  io.Writer
	records []*record
	tally   tally
	newest  atomic.Int64 // highest number of a session whose webhook went out, from 1
}

func newTraffic(c trafficConfig, secret string, stderr io.Writer) *traffic {
	t := &traffic{cfg: c, secret: secret, moveris: newMoveris(c.api), daemon: newDaemon(c.socket, c.account), stderr: stderr}
	t.tally.answers = map[string]int{}
	rng := rand.New(rand.NewPCG(c.seed, 0))
	for i, p := range c.shares.sessions(c.sessions, c.timing, rng) {
		t.records = append(t.records, &record{plan: p, number: i + 1, id: sim.NewID()})
	}
	return t
}

// run lives all lives, waits for moverisd and compares. An error means that
// the run itself could not be made; what moverisd got wrong is in the report.
func (t *traffic) run(ctx context.Context) (*report, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	stop := t.progress(ctx)
	defer stop()
	t.liveAll(ctx, fail)
	t.settle(ctx)
	findings := t.compareAll(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	stats, err := t.moveris.stats(ctx)
	if err != nil {
		return nil, err
	}
	stop()
	return t.report(findings, stats), nil
}

// prepare finds out early that one side is not there.
func (t *traffic) prepare(ctx context.Context) error {
	if _, err := t.moveris.stats(ctx); err != nil {
		return fmt.Errorf("is moveris-sim serve running? %w", err)
	}
	if _, err := t.daemon.session(ctx, sim.NewID()); err != nil {
		return fmt.Errorf("is moverisd running? %w", err)
	}
	if t.cfg.webhookURL == "" {
		return nil
	}
	return t.moveris.register(ctx, t.cfg.webhookURL, t.secret)
}

// liveAll starts each life at its time and returns when all have ended. An
// error of the simulator ends the run: without it there is nothing to compare.
func (t *traffic) liveAll(ctx context.Context, fail context.CancelCauseFunc) {
	begin := time.Now()
	slots := make(chan struct{}, livesMax)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, rec := range t.records {
		if !sleep(ctx, time.Until(begin.Add(rec.plan.start))) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := t.live(ctx, rec); err != nil {
				fail(err)
			}
		})
	}
}

// settle waits until moverisd has an answer for every session, or the time is
// up. It judges nothing: the comparison afterwards asks for all of them again.
func (t *traffic) settle(ctx context.Context) {
	deadline := time.Now().Add(t.cfg.settle)
	open := t.records
	for {
		open = t.stillOpen(ctx, open)
		t.tally.setOpen(len(open))
		if len(open) == 0 || time.Now().After(deadline) || !sleep(ctx, settleAsk) {
			return
		}
	}
}

func (t *traffic) stillOpen(ctx context.Context, records []*record) []*record {
	keep := make([]bool, len(records))
	each(ctx, records, func(i int, rec *record) {
		got, err := t.daemon.session(ctx, rec.id)
		keep[i] = err != nil || !rec.resolved(got)
	})
	var open []*record
	for i, rec := range records {
		if keep[i] {
			open = append(open, rec)
		}
	}
	return open
}

// compareAll asks moverisd for every session and returns what differs, in the
// order of the sessions.
func (t *traffic) compareAll(ctx context.Context) []finding {
	found := make([]finding, len(t.records))
	each(ctx, t.records, func(i int, rec *record) {
		got, err := t.daemon.session(ctx, rec.id)
		if err != nil && sleep(ctx, time.Second) {
			got, err = t.daemon.session(ctx, rec.id)
		}
		found[i] = rec.judge(got, err)
	})
	return found
}

// each runs f for all records, a few at a time, until the context ends.
func each(ctx context.Context, records []*record, f func(int, *record)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(askersMax, len(records)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(records) || ctx.Err() != nil {
					return
				}
				f(i, records[i])
			}
		})
	}
	wg.Wait()
}
