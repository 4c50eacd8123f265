package moveris

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// fullest is the largest number of times within any closed window.
func fullest(at []time.Time, window time.Duration) int {
	most, from := 0, 0
	for i := range at {
		for at[i].Sub(at[from]) > window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// Promise 6: whatever is asked for and whenever, with 429s and recoveries in between
// and restarts too, no 60 seconds hold more requests than the budget.
func TestNoWindowExceedsTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.OneOf(rapid.IntRange(1, 12), rapid.IntRange(13, 3000)).Draw(t, "budget")
		now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		b := newBucket(budget, 0, now)
		var at []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "pause")) * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				b.slow(now, now)
			case 1:
				b.recover(now)
			case 2: // a new process
				b = newBucket(budget, b.rate, now)
			default:
				for range rapid.IntRange(1, budget+1).Draw(t, "requests") {
					for wait := b.tryAt(now); wait > 0; wait = b.tryAt(now) {
						now = now.Add(wait)
					}
					at = append(at, now)
				}
			}
		}
		if n := fullest(at, time.Minute); n > budget {
			t.Fatalf("%d requests within a minute, budget %d", n, budget)
		}
	})
}

// The promise as Moveris sees it: real calls, with retries, through a slow network.
func TestBudgetHoldsOnTheWire(t *testing.T) {
	for _, budget := range []int{1, 7, 120} {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{answer: func(n int, _ *http.Request) (*http.Response, error) {
				time.Sleep(time.Duration(n%7) * 20 * time.Millisecond)
				if n%3 == 0 {
					return says(503, ""), nil
				}
				return says(404, ""), nil
			}}
			c := open(t, w, func(cfg *Config) { cfg.RequestsPerMinute = budget })
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			for range 4 {
				go func() {
					for ctx.Err() == nil {
						c.Ask(ctx, Asked{SessionID: testID, JobID: testJob})
						time.Sleep(50 * time.Millisecond)
					}
				}()
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			most := fullest(w.at, time.Minute)
			if most > budget {
				t.Errorf("budget %d: %d requests within a minute", budget, most)
			}
			if least := budget * 3; budget > 10 && w.count() < least {
				t.Errorf("budget %d: only %d requests in four minutes", budget, w.count())
			}
		})
	}
}

func TestBucketStartsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := always(404, "")
		c := open(t, w, routes(byID), func(cfg *Config) { cfg.RequestsPerMinute = 60 })
		start := time.Now()
		if c.Tokens(start) != 0 {
			t.Error("tokens at the start")
		}
		ask(c)
		if took := time.Since(start); took < time.Second {
			t.Errorf("the first request went out after %v", took)
		}
		time.Sleep(time.Hour)
		if n := c.Tokens(time.Now()); n != 6 {
			t.Errorf("after an hour of rest the burst is %d, want a tenth of the budget", n)
		}
		if n := c.Tokens(time.Now().Add(time.Minute)); n < 55 || n > 60 {
			t.Errorf("Tokens for a minute = %d", n)
		}
	})
}

func TestRateHalvesAndRecovers(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	b := newBucket(120, 0, now)
	b.slow(now, now)
	b.slow(now.Add(-time.Second), now) // was on its way when the rate was halved
	if b.rate != 60 {
		t.Fatalf("rate = %v after one 429", b.rate)
	}
	for range 20 {
		now = now.Add(time.Second)
		b.slow(now, now)
	}
	if b.rate != rateMin {
		t.Errorf("rate = %v, never below one a minute", b.rate)
	}
	b.recover(now.Add(59 * time.Second))
	if b.rate != rateMin {
		t.Error("recovered before a minute without a 429")
	}
	for range 100 {
		now = now.Add(time.Minute)
		before := b.rate
		b.recover(now)
		b.recover(now)
		if b.rate-before > 6.0001 {
			t.Fatalf("recovered by %v in one minute", b.rate-before)
		}
	}
	if b.rate != 120 {
		t.Errorf("rate = %v, never above the budget", b.rate)
	}
}

func TestTokenWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(1, 0, time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := b.take(ctx); err != errNoToken || time.Since(start) != 0 {
			t.Errorf("a hopeless wait: %v after %v", err, time.Since(start))
		}
		ctx, cancel = context.WithCancel(t.Context())
		go func() { time.Sleep(5 * time.Second); cancel() }()
		if err := b.take(ctx); err != context.Canceled || time.Since(start) != 5*time.Second {
			t.Errorf("a cancelled wait: %v after %v", err, time.Since(start))
		}
	})
}

func TestLearnedRateIsRestored(t *testing.T) {
	c := open(t, always(404, ""), func(cfg *Config) { cfg.Learned.Rate = 30 })
	if l := c.LearnedState(); l.Rate != 30 {
		t.Errorf("Learned.Rate = %v", l.Rate)
	}
	for _, rate := range []float64{0, 1e9} {
		c := open(t, always(404, ""), func(cfg *Config) { cfg.Learned.Rate = rate })
		if l := c.LearnedState(); l.Rate != 0 || c.Health().RatePerMinute != 600 {
			t.Errorf("%v: Learned.Rate = %v", rate, l.Rate)
		}
	}
}
