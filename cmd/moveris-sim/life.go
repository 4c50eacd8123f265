package main

import (
	"context"
	"net/http"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

const (
	announceMax  = time.Minute // an application gives up some time too
	overtakenMax = 3 * time.Second
	forgedTries  = 3 // while moverisd is down or says 503
)

// record is one session: the plan, and what has come of it.
type record struct {
	plan        plan
	number      int // from 1, in the order of their starts
	id          string
	announceErr error
	finished    sim.Outcome // of the latest verification; "" while none has finished
	sent        bool        // at least one true delivery left the house
	forgeries   []int       // answers to forged deliveries, 0 for none
}

// live is one session from the first frame to the last redelivery. It returns
// an error only when the simulator itself does not work.
func (t *traffic) live(ctx context.Context, rec *record) error {
	err := t.verify(ctx, rec, rec.plan.outcome, 1)
	if err == nil && rec.plan.again != "" && !rec.plan.unfinished && sleep(ctx, t.cfg.againAfter) {
		t.announce(ctx, rec, announcement{Again: true})
		err = t.verify(ctx, rec, rec.plan.again, 2)
	}
	if ctx.Err() != nil {
		return nil // the run is over, for a reason that is known already
	}
	return err
}

// verify is one verification: created, announced, processed, told.
func (t *traffic) verify(ctx context.Context, rec *record, outcome sim.Outcome, n int) error {
	s, err := t.moveris.create(ctx, rec.id)
	if err != nil {
		return err
	}
	first := announcement{}
	if rec.plan.withJobID {
		first.JobID = s.JobID
	}
	if n == 1 && rec.plan.fate != early {
		t.announce(ctx, rec, first)
	}
	if rec.plan.unfinished {
		if rec.plan.fate == early {
			t.announce(ctx, rec, first)
		}
		return nil
	}
	if !sleep(ctx, rec.plan.processing) {
		return ctx.Err()
	}
	if err := t.moveris.finish(ctx, rec.id, outcome); err != nil {
		return err
	}
	rec.finished = outcome
	t.tally.add(func(c *tally) { c.finished++ })
	err = t.tell(ctx, rec, n)
	if n == 1 && rec.plan.fate == early {
		t.announce(ctx, rec, first)
	}
	return err
}

func (t *traffic) announce(ctx context.Context, rec *record, a announcement) {
	ctx, cancel := context.WithTimeout(ctx, announceMax)
	defer cancel()
	if err := t.daemon.announce(ctx, rec.id, a); err != nil {
		rec.announceErr = err
		return
	}
	t.tally.add(func(c *tally) { c.announced++ })
}

// tell sends the webhook of a verification as its fate wants it. The forgery
// goes first, where it can do most harm.
func (t *traffic) tell(ctx context.Context, rec *record, n int) error {
	if rec.plan.forge != sim.Genuine && n == 1 {
		if err := t.forge(ctx, rec); err != nil {
			return err
		}
	}
	switch rec.plan.fate {
	case lost:
		t.tally.add(func(c *tally) { c.lost++ })
		return nil
	case delayed:
		t.tally.add(func(c *tally) { c.delayed++ })
		sleep(ctx, rec.plan.late)
	case overtaken:
		t.tally.add(func(c *tally) { c.reordered++ })
		t.awaitLater(ctx, rec)
	case early:
		t.tally.add(func(c *tally) { c.reordered++ })
	}
	if err := t.deliver(ctx, rec, n); err != nil {
		return err
	}
	for range rec.plan.copies {
		sleep(ctx, rec.plan.late)
		t.tally.add(func(c *tally) { c.duplicated++ })
		if err := t.deliver(ctx, rec, n); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends the true webhook once.
func (t *traffic) deliver(ctx context.Context, rec *record, n int) error {
	r, err := t.moveris.deliver(ctx, rec.id, n, sim.Genuine)
	if err != nil {
		return err
	}
	if !r.Sent {
		t.tally.add(func(c *tally) { c.lost++ }) // the fault webhooks-off
		return nil
	}
	rec.sent = true
	t.tally.answer(r.Status)
	for { // the highest number wins, whoever comes last
		newest := t.newest.Load()
		if newest >= int64(rec.number) || t.newest.CompareAndSwap(newest, int64(rec.number)) {
			return nil
		}
	}
}

// forge sends the forged webhook until it is answered for good.
func (t *traffic) forge(ctx context.Context, rec *record) error {
	for try := range forgedTries {
		if try > 0 && !sleep(ctx, time.Second) {
			return ctx.Err()
		}
		r, err := t.moveris.deliver(ctx, rec.id, 1, rec.plan.forge)
		if err != nil || !r.Sent {
			return err
		}
		t.tally.answer(r.Status)
		t.tally.add(func(c *tally) { c.forged++ })
		rec.forgeries = append(rec.forgeries, r.Status)
		if r.Status != 0 && r.Status != http.StatusServiceUnavailable {
			return nil
		}
	}
	return nil
}

// awaitLater holds a webhook back until that of a later session has gone out.
// The last ones have no later session, so there is an end to it.
func (t *traffic) awaitLater(ctx context.Context, rec *record) {
	deadline := time.Now().Add(overtakenMax)
	for t.newest.Load() <= int64(rec.number) && time.Now().Before(deadline) && sleep(ctx, 50*time.Millisecond) {
	}
}
