package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

// fate is what happens to the true webhook of a session. A session has one
// fate, so that each kind of bad luck can be counted by itself.
type fate int

const (
	told       fate = iota // delivered once, at once
	lost                   // never delivered
	delayed                // delivered late
	duplicated             // delivered twice or three times
	early                  // reordered: before the session is announced
	overtaken              // reordered: after the webhook of a later session
)

// shares are the parts of all sessions, each from 0 to 1.
type shares struct {
	lose, delay, duplicate, reorder     float64 // fates; together at most 1
	fake, inconclusive, null, failed    float64 // outcomes; the rest is live
	forge, withJobID, again, unfinished float64 // independent of the others
}

// plan is everything decided beforehand about one session. It is a pure
// function of the seed but for the ids, which are new in every run: moverisd
// remembers the sessions of earlier ones.
type plan struct {
	start      time.Duration // after the beginning of the run
	processing time.Duration // until the check finishes
	outcome    sim.Outcome
	fate       fate
	late       time.Duration // of a delayed delivery, or between redeliveries
	copies     int           // redeliveries
	forge      sim.Forgery   // one forged delivery beside the true one
	withJobID  bool
	again      sim.Outcome // outcome of a second verification, "" for none
	unfinished bool        // the person has closed the window; no result ever
}

// sessions makes the plans. Shares are exact, not probable: 30 % of 300 are 90,
// so that what a demo prints can be checked by head.
func (s shares) sessions(n int, cfg timing, rng *rand.Rand) []plan {
	plans := make([]plan, n)
	for i := range plans {
		plans[i] = plan{
			start:      cfg.duration * time.Duration(i) / time.Duration(n),
			processing: between(rng, cfg.processingMax/10, cfg.processingMax),
			outcome:    sim.Live,
		}
	}
	deal(plans, rng,
		part{s.fake, func(p *plan) { p.outcome = sim.Fake }},
		part{s.inconclusive, func(p *plan) { p.outcome = sim.Inconclusive }},
		part{s.null, func(p *plan) { p.outcome = sim.Null }},
		part{s.failed, func(p *plan) { p.outcome = sim.Failed }})
	deal(plans, rng,
		part{s.lose, func(p *plan) { p.fate = lost }},
		part{s.delay, func(p *plan) { p.fate, p.late = delayed, between(rng, cfg.delay/2, cfg.delay*3/2) }},
		part{s.duplicate, func(p *plan) { p.fate, p.copies, p.late = duplicated, 1+rng.IntN(2), pickPause(rng) }},
		part{s.reorder, func(p *plan) { p.fate = pick(rng, early, overtaken) }})
	deal(plans, rng, part{s.forge, func(p *plan) { p.forge = pick(rng, sim.WrongSecret, sim.FlippedBit) }})
	deal(plans, rng, part{s.withJobID, func(p *plan) { p.withJobID = true }})
	deal(plans, rng, part{s.again, func(p *plan) { p.again = pick(rng, sim.Live, sim.Fake); p.withJobID = false }})
	deal(plans, rng, part{s.unfinished, func(p *plan) { p.unfinished = true }})
	return plans
}

// part is a share of the sessions and what is decided for them.
type part struct {
	share float64
	apply func(*plan)
}

// deal gives each part its number of sessions, in random places, no session
// twice.
func deal(plans []plan, rng *rand.Rand, parts ...part) {
	order := rng.Perm(len(plans))
	for _, p := range parts {
		n := min(int(math.Round(p.share*float64(len(plans)))), len(order))
		for _, i := range order[:n] {
			p.apply(&plans[i])
		}
		order = order[n:]
	}
}

// check says which shares are impossible.
func (s shares) check() error {
	for _, v := range []float64{s.lose, s.delay, s.duplicate, s.reorder, s.fake, s.inconclusive, s.null,
		s.failed, s.forge, s.withJobID, s.again, s.unfinished} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("a share must be from 0 to 1, not %v", v)
		}
	}
	const slack = 1e-9 // 0.1+0.2 is more than 0.3
	if s.lose+s.delay+s.duplicate+s.reorder > 1+slack {
		return fmt.Errorf("--lose, --delay, --duplicate and --reorder are parts of all sessions and together more than 1")
	}
	if s.fake+s.inconclusive+s.null+s.failed > 1+slack {
		return fmt.Errorf("--fake, --inconclusive, --null and --failed are parts of all sessions and together more than 1")
	}
	return nil
}

func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(rng.Int64N(int64(high-low)))
}

// pickPause lets half of the redeliveries go out together with the first.
func pickPause(rng *rand.Rand) time.Duration {
	return pick(rng, 0, between(rng, 100*time.Millisecond, 2*time.Second))
}

func pick[T any](rng *rand.Rand, a, b T) T {
	if rng.IntN(2) == 0 {
		return a
	}
	return b
}
