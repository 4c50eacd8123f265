package moveris

import (
	"errors"
	"slices"
	"time"
)

// Reasons why an account is stopped.
const (
	AccountDenied    = "account_denied" // by 401 or 403
	AccountNoCredits = "no_credits"     // by 402
)

// rateLimitedWait is how long an account waits after a 429 that does not say how long.
const rateLimitedWait = 15 * time.Second

// errHeld says that the account was stopped, or told to wait, while a request waited
// for its token.
var errHeld = errors.New("the account is stopped or was told to wait")

// standing is how an account stands with Moveris. It is guarded by Client.mu.
type standing struct {
	since time.Time // of the counts below

	stopped     string    // the reason, empty while it runs
	stopRoute   *route    // the route that said so
	stoppedAt   time.Time // monotonic
	nextProbeAt time.Time
	heldUntil   time.Time // by a 429

	lastStatus   int
	lastAnswerAt time.Time
	failingSince time.Time // of the unbroken run of transport errors and 5xx
	failures     int       // calls in that run, over all routes
	uselessSince time.Time // of the unbroken run of calls that told nothing of any session
	useless      int       // calls in that run
	skew         time.Duration

	transportErrors, serverErrors, rateLimited int64
	lastRateLimitedAt                          time.Time
}

// blockedUntil is when the account may next send anything, zero if it may now.
func (s *standing) blockedUntil(now time.Time) time.Time {
	at := s.heldUntil
	if s.stopped != "" {
		at = latest(at, s.nextProbeAt)
	}
	if !at.After(now) {
		return time.Time{}
	}
	return at
}

// plan chooses the routes to be asked. Of a stopped account it claims the one probe
// that is allowed in each interval.
func (c *Client) plan(a Asked) (targets []target, probing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	targets = inOrder(c.routes, c.base, a)
	if len(targets) == 0 || !c.state.blockedUntil(now).IsZero() {
		return nil, false
	}
	if c.state.stopped == "" {
		return targets, false
	}
	c.state.nextProbeAt = now.Add(probeInterval)
	return []target{c.state.probeTarget(targets)}, true
}

// probeTarget prefers the route that stopped the account: its word counts most. Only
// where no route has ever answered, one that was never asked may do better: the scope
// that the key lacks may not be the one that it needs.
func (s *standing) probeTarget(targets []target) target {
	i := -1
	if s.stopped == AccountDenied && !s.stopRoute.proven() {
		i = slices.IndexFunc(targets, func(t target) bool { return !t.route.asked })
	}
	if i < 0 {
		i = slices.IndexFunc(targets, func(t target) bool { return t.route == s.stopRoute })
	}
	return targets[max(i, 0)]
}

// mode is how a route may be asked.
type mode int

const (
	notUsable mode = iota
	once           // one request, past the breaker
	freely
)

// enter passes the gates of the account and the route before a token is taken. skipped
// is the conclusion for a usable route that must not be asked now.
func (c *Client) enter(r *route, probing bool) (m mode, skipped string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	switch {
	case c.state.heldUntil.After(now):
		return notUsable, SkippedRetryAfter
	case probing:
		r.retryAt = now.Add(probeInterval)
		return once, ""
	case c.state.stopped != "":
		return notUsable, SkippedStopped
	case r.denied != 0 && r.retryAt.After(now):
		return notUsable, ""
	case r.denied != 0:
		r.retryAt = now.Add(probeInterval)
		return once, ""
	case r.heldUntil.After(now):
		return notUsable, SkippedRetryAfter
	}
	return freely, ""
}

// release gives back a try of a stopped account or a denied route that was never sent.
func (c *Client) release(r *route, probing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.retryAt = c.now()
	if probing {
		c.state.nextProbeAt = c.now()
	}
}

// gate is asked once more when a token has come.
func (c *Client) gate(probing bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.heldUntil.After(c.now()) || c.state.stopped != "" && !probing {
		return errHeld
	}
	return nil
}
