package moveris

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
	"github.com/sony/gobreaker/v2"
)

// Asked is a session to be asked about.
type Asked struct {
	SessionID string
	JobID     string        // empty if not known
	LastRoute string        // the template that answered for this session before
	Backoff   time.Duration // in force; becomes Observation.RepeatAfter
}

// Reply is what came of asking about one session.
type Reply struct {
	Routes []RouteAnswer  // each route that was asked or skipped, in order
	Told   *Told          // what is to be applied, or nil
	Answer verdict.Answer // NoAnswer, NotThere or Said

	// RetryAt is the time before which asking again is of no use, zero if there is none.
	// It is set with NoAnswer only.
	RetryAt time.Time
}

// Ask asks route after route until one says something about the session. NotThere
// means that every usable route was asked and answered with 404 or an unfinished status;
// an unfinished status is an answer for this session, so no further route is asked. It
// sends nothing while the account is stopped or told to wait.
func (c *Client) Ask(ctx context.Context, a Asked) Reply {
	if !verdict.ValidID(a.SessionID) {
		return Reply{}
	}
	var rep Reply
	targets, probing := c.plan(a)
	var silent []target
	spoke, denied := false, false
	retries := quickRetries // of the attempt, whichever route needs them
	for _, t := range targets {
		ans, told := c.askRoute(ctx, t, a, probing, retries)
		retries -= max(ans.Requests-1, 0)
		if ans.Conclusion == "" {
			continue
		}
		rep.Routes = append(rep.Routes, ans)
		denied = denied || ans.Conclusion == Denied
		if told != nil {
			rep.Told, rep.Answer = told, verdict.Said
			return rep
		}
		if bears(ans.Conclusion) {
			spoke = true
		} else {
			silent = append(silent, t)
		}
		if final(ans.Conclusion) {
			break
		}
	}
	if denied {
		c.stopIfDenied(targets)
	}
	if spoke && len(silent) == 0 {
		rep.Answer = verdict.NotThere
		return rep
	}
	rep.RetryAt = c.retryAt(a, silent)
	return rep
}

// Askable reports whether asking about a session now can lead to a request, or to the
// finding that no route ever will. Sessions whose routes must all be left alone are not: in
// a sweep they would take the places of others. Of a stopped account neither are those
// whose probe could bring no news, while there are routes that could.
func (c *Client) Askable(a Asked) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	targets := inOrder(c.routes, c.base, a)
	untried := func(r *route) bool { return !r.asked && r.denied == 0 }
	switch {
	case len(targets) == 0:
		return true
	case c.state.stopped == AccountDenied && !c.state.stopRoute.proven() && slices.ContainsFunc(c.routes, untried):
		return slices.ContainsFunc(targets, func(t target) bool { return untried(t.route) })
	case c.state.stopped != "":
		return true
	}
	return slices.ContainsFunc(targets, func(t target) bool { return t.route.usableAt(now).IsZero() })
}

// bears reports whether a conclusion is a word about the session.
func bears(conclusion string) bool {
	switch conclusion {
	case Settles, NullVerdict, UnknownWord, Unfinished, NotFound:
		return true
	}
	return false
}

// final reports whether no further route is to be asked: the session's answer is
// there, or the next route would fare no better.
func final(conclusion string) bool {
	switch conclusion {
	case Unfinished, NoCredits, RateLimited, Transport, GivenUp, SkippedStopped:
		return true
	}
	return false
}

// askRoute asks one route through its gates and takes note of what it said; retries is how
// many quick retries are left to the attempt. The conclusion is empty if the route is not
// usable.
func (c *Client) askRoute(ctx context.Context, t target, a Asked, probing bool, retries int) (RouteAnswer, *Told) {
	m, skipped := c.enter(t.route, probing)
	var x *exchange
	switch m {
	case freely:
		if x = c.fetchGuarded(ctx, t, retries); x == nil {
			skipped = SkippedBreaker
		}
	case once:
		// A try of a stopped account or a denied route is a single request, whatever
		// the breaker thinks of it.
		x = c.fetch(ctx, t.url, 0, true, func() error { return c.gate(probing) })
	}
	if x == nil {
		return RouteAnswer{Route: t.route.template, URL: t.url, Conclusion: skipped}, nil
	}
	ans, told := conclude(t.route.template, a, x, c.now(), c.retryAfterMax)
	ans.URL = t.url
	c.learn(t.route, ans, x)
	if m == once && ans.Conclusion == GivenUp && x.requests == 0 {
		c.release(t.route, probing)
	}
	return ans, told
}

// fetchGuarded asks a route through its breaker. It returns nil if that is open.
func (c *Client) fetchGuarded(ctx context.Context, t target, retries int) *exchange {
	x, err := t.route.breaker.Execute(func() (*exchange, error) {
		x := c.fetch(ctx, t.url, min(t.route.retries(), max(retries, 0)), true, func() error { return c.gate(false) })
		return x, x.failure()
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil
	}
	return x
}

// retries is how many quick retries a call may make: none while the breaker tries the
// route out.
func (r *route) retries() int {
	if r.breaker.State() == gobreaker.StateClosed {
		return quickRetries
	}
	return 0
}

// retryAt is when asking again may help: when the account may be asked, and every
// route that stayed silent.
func (c *Client) retryAt(a Asked, silent []target) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	at := c.state.blockedUntil(now)
	for _, t := range silent {
		at = latest(at, t.route.usableAt(now))
	}
	if len(silent) > 0 {
		return at
	}
	// Nothing was asked: the first route that becomes usable again.
	var first time.Time
	for _, t := range inOrder(c.routes, c.base, a) {
		if u := t.route.usableAt(now); first.IsZero() || u.Before(first) {
			first = u
		}
	}
	return latest(at, first)
}
