package moveris

import (
	"slices"
	"strconv"
	"time"
)

// learn takes note of an answer. What ended on our side teaches nothing.
func (c *Client) learn(r *route, ans RouteAnswer, x *exchange) {
	if ans.Conclusion == GivenUp {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	r.asked = true
	r.answers[countedAs(ans)]++
	c.state.note(ans, now)
	c.logChange(r, ans)
	switch ans.Conclusion {
	case RateLimited:
		c.bucket.slow(x.sentAt, time.Now())
		c.state.heldUntil = latest(c.state.heldUntil, now.Add(orDuration(ans.RetryAfter, rateLimitedWait)))
		return
	case Denied:
		c.deny(r, ans.Status, now)
	case NoCredits:
		c.stop(AccountNoCredits, r, ans.Err, now)
	case ServerError:
		if ans.RetryAfter > 0 {
			r.heldUntil = now.Add(ans.RetryAfter)
		}
	case Settles, NullVerdict, UnknownWord, Unfinished:
		r.last200At = now.UTC().Truncate(time.Millisecond)
		c.readmit(r, x.sentAt)
	case NotFound:
		// Of a route that was never denied, a 404 says nothing about the key: a gateway
		// may answer so before it looks at it.
		if r.denied != 0 || r == c.state.stopRoute || c.state.stopped == AccountNoCredits {
			c.readmit(r, x.sentAt)
		}
	}
	if ans.Conclusion != Transport {
		c.bucket.recover(time.Now())
	}
}

// countedAs is the key under which an answer is counted: its status, or what a 200 was
// refused for.
func countedAs(ans RouteAnswer) string {
	switch {
	case ans.Conclusion == Transport:
		return "error"
	case ans.Status == 200 && !bears(ans.Conclusion):
		return ans.Conclusion
	}
	return strconv.Itoa(ans.Status)
}

// note keeps the account's figures.
func (s *standing) note(ans RouteAnswer, now time.Time) {
	s.noteRuns(ans.Conclusion, now)
	if ans.Conclusion == Transport {
		s.transportErrors++
		return
	}
	s.lastStatus, s.lastAnswerAt = ans.Status, now
	if !ans.Date.IsZero() {
		s.skew = ans.Date.Sub(now).Truncate(time.Second)
	}
	switch ans.Conclusion {
	case ServerError:
		s.serverErrors++
	case RateLimited:
		s.rateLimited++
		s.lastRateLimitedAt = now
	}
}

// noteRuns keeps the two runs of bad calls: those in which the API did not work, and those
// in which it may have worked but was of no use.
func (s *standing) noteRuns(conclusion string, now time.Time) {
	switch {
	case conclusion != Transport && conclusion != ServerError:
		s.failures, s.failingSince = 0, time.Time{}
	default:
		if s.failures++; s.failures == 1 {
			s.failingSince = now
		}
	}
	if bears(conclusion) {
		s.useless, s.uselessSince = 0, time.Time{}
	} else if s.useless++; s.useless == 1 {
		s.uselessSince = now
	}
}

// deny disables a route. A 401 of one that once answered means the key.
func (c *Client) deny(r *route, status int, now time.Time) {
	r.denied, r.deniedAt, r.retryAt = status, time.Now(), now.Add(probeInterval)
	if status == 401 && r.proven() {
		c.stop(AccountDenied, r, &AnswerError{Status: status, Reason: "from a route that has answered before"}, now)
	}
}

// stopIfDenied stops the account if every route that was asked now, or ever was in use,
// is disabled. A route whose placeholder was never known does not count either way.
func (c *Client) stopIfDenied(targets []target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.stopped != "" {
		return
	}
	enabled := func(r *route) bool { return r.denied == 0 }
	inUse := func(r *route) bool { return r.asked || r.proven() }
	for _, r := range c.routes {
		if enabled(r) && (inUse(r) || slices.ContainsFunc(targets, func(t target) bool { return t.route == r })) {
			return
		}
	}
	r := targets[0].route
	c.stop(AccountDenied, r, &AnswerError{Status: r.denied, Reason: "from every usable route"}, c.now())
}

func (c *Client) stop(reason string, r *route, why error, now time.Time) {
	if c.state.stopped != reason {
		c.log.Error("account stopped", "account", c.account, "err", why)
	}
	if c.state.stopped == "" {
		c.state.nextProbeAt = now.Add(probeInterval)
	}
	c.state.stopped, c.state.stopRoute, c.state.stoppedAt = reason, r, time.Now()
}

// readmit takes a good answer of r as the end of its denial, and of the account's stop,
// with all denials that led there. An answer to what was sent before is none to that.
func (c *Client) readmit(r *route, sentAt time.Time) {
	if r.denied != 0 && sentAt.After(r.deniedAt) {
		r.denied = 0
	}
	if c.state.stopped == "" || sentAt.Before(c.state.stoppedAt) {
		return
	}
	c.log.Info("account runs again", "account", c.account)
	c.state.stopped, c.state.stopRoute = "", nil
	for _, other := range c.routes {
		other.denied = 0
	}
}

// logChange logs a failure of a route when it is another one than before, and its end;
// the counts tell of the rest.
func (c *Client) logChange(r *route, ans RouteAnswer) {
	failure := ""
	if !bears(ans.Conclusion) {
		failure = ans.Conclusion
	}
	if failure == r.failure {
		return
	}
	r.failure = failure
	if failure != "" {
		c.log.Warn("route fails", "account", c.account, "err", &routeError{r.template, ans.Err})
		return
	}
	c.log.Info("route answers again", "account", c.account)
}

// routeError names the route in a log line that has no key for it.
type routeError struct {
	template string
	err      error
}

func (e *routeError) Error() string { return e.template + ": " + e.err.Error() }
func (e *routeError) Unwrap() error { return e.err }
