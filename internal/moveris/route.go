package moveris

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
	"github.com/sony/gobreaker/v2"
)

const (
	placeSession = "{session_id}"
	placeJob     = "{job_id}"
)

const (
	// breakerTrips is how many calls in a row must fail before a route is left alone:
	// each stands for up to three requests, so it is no hiccup.
	breakerTrips = 5
	// breakerOpen is how long it is left alone before one call tries it again.
	breakerOpen = 15 * time.Second
	// probeInterval is how often a stopped account, or a denied route, is tried again
	// (product section 4).
	probeInterval = 5 * time.Minute
)

// route is a path template by which the API is asked for a session, with what it has
// answered. The fields below the blank line are guarded by Client.mu.
type route struct {
	template string
	breaker  *gobreaker.CircuitBreaker[*exchange]
	openedAt atomic.Pointer[time.Time] // written by the breaker under its own lock

	last200At time.Time
	answers   map[string]int64
	asked     bool      // in this process
	denied    int       // 401 or 403, 0 while enabled
	deniedAt  time.Time // monotonic
	retryAt   time.Time // of a denied route
	heldUntil time.Time // by a Retry-After
	failure   string    // the failure last logged, empty if it answered since
}

func newRoute(template string, learned RouteStats, now func() time.Time) *route {
	r := &route{template: template, last200At: learned.Last200At, answers: make(map[string]int64)}
	for k, n := range learned.Answers {
		r.answers[k] = n
	}
	r.breaker = gobreaker.NewCircuitBreaker[*exchange](gobreaker.Settings{
		Name:        template,
		MaxRequests: 1,
		Timeout:     breakerOpen,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakerTrips },
		IsExcluded:  isWithdrawn,
		OnStateChange: func(_ string, _, to gobreaker.State) {
			r.openedAt.Store(nil)
			if to == gobreaker.StateOpen {
				at := now()
				r.openedAt.Store(&at)
			}
		},
	})
	return r
}

// proven reports whether the route ever answered for a session that it was asked about.
func (r *route) proven() bool { return !r.last200At.IsZero() }

// openUntil is when an open breaker lets the next call through, zero if it is not open.
func (r *route) openUntil() time.Time {
	if r.breaker.State() != gobreaker.StateOpen {
		return time.Time{}
	}
	if at := r.openedAt.Load(); at != nil {
		return at.Add(breakerOpen)
	}
	return time.Time{}
}

// usableAt is the earliest time at which the route may be asked, zero if that is now.
func (r *route) usableAt(now time.Time) time.Time {
	at := latest(r.heldUntil, r.openUntil())
	if r.denied != 0 {
		at = latest(at, r.retryAt)
	}
	if !at.After(now) {
		return time.Time{}
	}
	return at
}

// checkTemplate refuses what cannot become a path. A placeholder in a query would need
// another way of escaping.
func checkTemplate(template string) error {
	rest := strings.NewReplacer(placeSession, "", placeJob, "").Replace(template)
	switch {
	case !strings.HasPrefix(template, "/"):
		return fmt.Errorf("route %q: does not begin with /", template)
	case rest == template:
		return fmt.Errorf("route %q: has neither %s nor %s", template, placeSession, placeJob)
	case strings.ContainsAny(rest, "{}?#%\\ "):
		return fmt.Errorf("route %q: only a plain path and the two placeholders are allowed", template)
	}
	return nil
}

// askable returns the URL for a session, or "" if a placeholder is not known. An id
// becomes one path segment whatever is in it.
func (r *route) askable(base string, a Asked) string {
	if strings.Contains(r.template, placeJob) && !verdict.ValidID(a.JobID) {
		return ""
	}
	return base + strings.NewReplacer(
		placeSession, url.PathEscape(a.SessionID),
		placeJob, url.PathEscape(a.JobID),
	).Replace(r.template)
}

// target is a route to be asked about one session.
type target struct {
	route *route
	url   string
}

// inOrder lists the routes for a session: the one that answered for it before, then
// those that ever answered, then the others, each in configured order. Two templates
// with the same URL, as for a job id that equals the session id, are one question.
func inOrder(routes []*route, base string, a Asked) []target {
	var ts []target
	for _, r := range routes {
		u := r.askable(base, a)
		if u == "" || slices.ContainsFunc(ts, func(t target) bool { return t.url == u }) {
			continue
		}
		ts = append(ts, target{r, u})
	}
	rank := func(t target) int {
		switch {
		case t.route.template == a.LastRoute:
			return 0
		case t.route.proven():
			return 1
		}
		return 2
	}
	slices.SortStableFunc(ts, func(s, t target) int { return rank(s) - rank(t) })
	return ts
}

// checkBase returns the base URL in the form that templates are appended to. The key
// goes over TLS or stays on this machine.
func checkBase(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "", fmt.Errorf("base URL: %w", err)
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return "", fmt.Errorf("base URL %q: only scheme, host and path are allowed", u.Redacted())
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return "", fmt.Errorf("base URL %q: must be https, or http to a loopback address", u.Redacted())
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, at := range times {
		if at.After(last) {
			last = at
		}
	}
	return last
}
