package moveris

import (
	"maps"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Learned is what a client learned about its account that is worth keeping over a
// restart. Losing it costs requests, nothing else.
type Learned struct {
	Rate   float64 // requests a minute that a 429 has slowed the account to, 0 = none
	Routes map[string]RouteStats
}

// RouteStats is what a route has answered so far.
type RouteStats struct {
	Last200At time.Time // of an answer for the session asked about, zero if never

	// Answers counts calls by status ("200", "404"), "error" for transport errors, and
	// for a 200 that was refused "wrong_session" or "not_a_result".
	Answers map[string]int64
}

// Health is how an account stands, for status and metrics.
type Health struct {
	Account     string
	Breaker     string    // "closed", "half-open", "open" (nothing but failures lately), "stopped"
	Reason      string    // AccountDenied or AccountNoCredits if stopped
	NextProbeAt time.Time // of a stopped account
	HeldUntil   time.Time // by a 429, zero if not held

	LastStatus   int // 0 before the first answer
	LastAnswerAt time.Time
	FailingSince time.Time // of the unbroken run of transport errors and 5xx, zero if none

	// UselessSince begins the unbroken run of at least five calls that told nothing of any
	// session, whatever the reason: a maintenance page with status 200 fails no breaker. Zero
	// if there is none.
	UselessSince time.Time
	ClockSkew    time.Duration // their clock minus ours, whole seconds, from the last answer

	UsedLastMinute  int
	BudgetPerMinute int
	RatePerMinute   float64 // the budget, or less after a 429

	Since             time.Time // of the counts
	TransportErrors   int64
	ServerErrors      int64
	RateLimited       int64
	LastRateLimitedAt time.Time

	Routes []RouteHealth // in configured order
}

// RouteHealth is how one route stands.
type RouteHealth struct {
	Route     string
	Breaker   string    // "closed", "half-open", "open"
	Denied    int       // 401 or 403 while disabled by it, else 0
	HeldUntil time.Time // by a Retry-After
	Asked     bool      // in this process
	RouteStats
}

// Health returns a snapshot.
func (c *Client) Health() Health {
	sent, perMinute := c.bucket.usage()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.state
	h := Health{
		Account: c.account, Reason: s.stopped,
		LastStatus: s.lastStatus, LastAnswerAt: s.lastAnswerAt, FailingSince: s.failingSince, ClockSkew: s.skew,
		UsedLastMinute: sent, BudgetPerMinute: int(c.bucket.budget), RatePerMinute: perMinute,
		Since: s.since, TransportErrors: s.transportErrors, ServerErrors: s.serverErrors,
		RateLimited: s.rateLimited, LastRateLimitedAt: s.lastRateLimitedAt,
	}
	if s.useless >= breakerTrips {
		h.UselessSince = s.uselessSince
	}
	if s.heldUntil.After(c.now()) {
		h.HeldUntil = s.heldUntil
	}
	if s.stopped != "" {
		h.NextProbeAt = s.nextProbeAt
	}
	for _, r := range c.routes {
		h.Routes = append(h.Routes, RouteHealth{
			Route: r.template, Breaker: r.breaker.State().String(), Denied: r.denied,
			HeldUntil: r.heldUntil, Asked: r.asked, RouteStats: r.stats(),
		})
	}
	h.Breaker = s.breaker(c.routes)
	return h
}

// breaker sums the routes up. A route that is not asked, for want of job ids, stays closed
// throughout an outage; it has no say while nothing but failures came from the others.
func (s *standing) breaker(routes []*route) string {
	if s.stopped != "" {
		return "stopped"
	}
	best, worst := gobreaker.StateOpen, gobreaker.StateClosed
	for _, r := range routes {
		// The states are numbered closed, half-open, open.
		if r.denied == 0 {
			best, worst = min(best, r.breaker.State()), max(worst, r.breaker.State())
		}
	}
	if s.failures >= breakerTrips {
		return worst.String()
	}
	return best.String()
}

func (r *route) stats() RouteStats {
	return RouteStats{Last200At: r.last200At, Answers: maps.Clone(r.answers)}
}

// LearnedState returns what is worth keeping. It is cheap, and changes with each
// answer.
func (c *Client) LearnedState() Learned {
	_, perMinute := c.bucket.usage()
	l := Learned{Routes: make(map[string]RouteStats, len(c.routes))}
	if perMinute < c.bucket.budget {
		l.Rate = perMinute
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.routes {
		l.Routes[r.template] = r.stats()
	}
	return l
}

// Usable reports whether asking now can lead to a request: the account is not told to
// wait, not stopped unless its probe is due, and has a route that may be asked.
func (c *Client) Usable(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.blockedUntil(now).IsZero() {
		return false
	}
	if c.state.stopped != "" {
		return true
	}
	for _, r := range c.routes {
		if r.usableAt(now).IsZero() {
			return true
		}
	}
	return false
}

// Tokens returns how many requests the budget grants until then, for the size of a
// sweep. A stopped account has one while its probe is due.
func (c *Client) Tokens(until time.Time) int {
	c.mu.Lock()
	now := c.now()
	blocked, stopped := c.state.blockedUntil(now), c.state.stopped != ""
	c.mu.Unlock()
	hold := max(blocked.Sub(now), 0)
	if blocked.IsZero() {
		hold = 0
	}
	n := c.bucket.grants(hold, until.Sub(now))
	if stopped {
		return min(n, 1)
	}
	return n
}
