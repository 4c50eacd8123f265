package moveris

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// errRetired says that another client has taken over the account.
var errRetired = errors.New("the account has a new client")

// errNoToken says that the caller's deadline comes before the next token.
var errNoToken = errors.New("no token of the request budget before the deadline")

const (
	// window is the time over which the budget is promised for 60 seconds. The one
	// second more is what a granted request may be late on its way without making the
	// window that Moveris sees a fuller one than ours.
	window = 61 * time.Second

	rateMin      = 1.0         // requests a minute: a slowed account still asks
	recoveryStep = 0.05        // of the budget, for each
	recoveryTime = time.Minute // without a 429
)

// bucket is the request budget of an account. It starts empty, holds at most a tenth of
// the budget and fills so that burst + 60 s × rate never exceed the budget: then no
// 60 seconds do, across restarts included.
//
// The bucket runs on the monotonic clock, not on the client's: a wall clock that is set
// forward must not fill it.
type bucket struct {
	budget float64       // requests in any 60 seconds
	turn   chan struct{} // held by the one that waits for the next token

	mu       sync.Mutex // guards the rest; the time is read under it, so it never runs back
	limiter  *rate.Limiter
	rate     float64 // requests a minute now, from rateMin to budget
	slowedAt time.Time
	stepAt   time.Time
	sent     []time.Time // within the last minute, oldest first
	retired  bool        // for good: another bucket grants the account's requests
}

// newBucket returns an empty bucket. learned is the rate that an earlier process was
// slowed down to, 0 if to none.
func newBucket(budget int, learned float64, now time.Time) *bucket {
	b := &bucket{budget: float64(budget), rate: float64(budget), stepAt: now, turn: make(chan struct{}, 1)}
	if learned > 0 {
		b.rate = min(max(learned, rateMin), b.budget)
	}
	b.limiter = rate.NewLimiter(b.limit(), b.burst())
	b.limiter.AllowN(now, b.burst())
	return b
}

func (b *bucket) burst() int { return max(1, int(b.rate/10)) }

// limit is the filling rate. The smallest budgets leave nothing beside a burst of one;
// one request in each window is within any of them.
func (b *bucket) limit() rate.Limit {
	fill := max(b.rate-float64(b.burst()), 1)
	return rate.Limit(fill / window.Seconds())
}

// take waits for a token and spends it. It fails at once if ctx ends before the token
// would come.
func (b *bucket) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		wait, err := b.try()
		if wait == 0 {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return errNoToken
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (b *bucket) try() (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retired {
		return 0, errRetired
	}
	now := time.Now()
	wait := b.tryAt(now)
	if wait == 0 {
		b.forget(now)
		b.sent = append(b.sent, now)
	}
	return wait, nil
}

func (b *bucket) retire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retired = true
}

// tryAt spends a token, or returns how long the next one takes to come. Nothing is ever
// reserved ahead: a reservation made at one rate and kept at another could fall together
// with those made after it.
func (b *bucket) tryAt(now time.Time) time.Duration {
	if b.limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - b.limiter.TokensAt(now)
	return max(time.Duration(missing/float64(b.limiter.Limit())*float64(time.Second)), 0) + 1
}

// slow halves the rate after a 429 to a request sent at sentAt. Answers to requests
// that were on their way when the rate was halved halve it no further.
func (b *bucket) slow(sentAt, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stepAt = now
	if !b.slowedAt.IsZero() && sentAt.Before(b.slowedAt) {
		return
	}
	b.slowedAt = now
	b.setRate(now, max(b.rate/2, rateMin))
}

// recover takes note of an answer that was no 429.
func (b *bucket) recover(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate >= b.budget || now.Sub(b.stepAt) < recoveryTime {
		return
	}
	b.stepAt = now
	b.setRate(now, min(b.rate+recoveryStep*b.budget, b.budget))
}

func (b *bucket) setRate(now time.Time, to float64) {
	b.rate = min(to, b.budget)
	b.limiter.SetLimitAt(now, b.limit())
	b.limiter.SetBurstAt(now, b.burst())
}

// grants returns how many requests can be made from after a hold until then.
func (b *bucket) grants(hold, until time.Duration) int {
	if until < hold {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retired {
		return 0
	}
	limit := float64(b.limiter.Limit())
	tokens := min(b.limiter.TokensAt(time.Now())+limit*hold.Seconds(), float64(b.limiter.Burst()))
	return max(0, int(tokens+limit*(until-hold).Seconds()))
}

// usage returns the requests sent in the last minute and the rate in force.
func (b *bucket) usage() (sent int, perMinute float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(time.Now())
	return len(b.sent), b.rate
}

// forget drops what was sent more than a minute ago, so that sent is never longer than
// the budget.
func (b *bucket) forget(now time.Time) {
	i := 0
	for i < len(b.sent) && now.Sub(b.sent[i]) > time.Minute {
		i++
	}
	b.sent = append(b.sent[:0], b.sent[i:]...)
}
