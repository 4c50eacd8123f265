package forward

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// Times of the retries.
const (
	refusedFor = time.Hour      // how long a 4xx that means no is asked again
	triedFor   = 72 * time.Hour // how long anything else is
	// attemptsMin is how often an event is sent before it is given up, whatever the clock says.
	attemptsMin = 3
	// horizon is how far ahead an attempt may be planned: more means that the clock was ahead.
	horizon = 2 * time.Hour
)

// timing are the waits that tests shorten.
type timing struct {
	backoffMin, backoffMax time.Duration // of one event
	pauseMin, pauseMax     time.Duration // of a target through which nothing comes
	refusedPause           time.Duration // of a target that answers, but refuses everything
	retryAfterMax          time.Duration
	attempt                time.Duration // one attempt, from the connection to the end of the answer
}

func defaultTiming() timing {
	return timing{backoffMin: 5 * time.Second, backoffMax: time.Hour, pauseMin: time.Second, pauseMax: time.Minute,
		refusedPause: 250 * time.Millisecond, retryAfterMax: 15 * time.Minute, attempt: 15 * time.Second}
}

// answer is what came of one attempt.
type answer struct {
	status     int    // 0 without an answer
	err        string // what went wrong
	retryAfter time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// refused reports whether the target has understood and said no.
func (a answer) refused() bool {
	switch a.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return a.status >= 400 && a.status < 500
}

// next decides what follows an attempt. jitter is from 0 up to but not including 1; doubt
// says that the clock cannot be trusted, so that nothing is given up by it.
func (tm timing) next(turn store.Turn, a answer, now time.Time, jitter float64, doubt bool) store.Sent {
	out := store.Sent{Seq: turn.Seq, At: now, Status: a.status, Error: a.err}
	if a.ok() {
		out.Done, out.Error = true, ""
		return out
	}
	deadline := turn.Since.Add(triedFor)
	if a.refused() {
		if out.RefusedAt = turn.RefusedAt; out.RefusedAt.IsZero() || out.RefusedAt.After(now) {
			out.RefusedAt = now
		}
		if d := out.RefusedAt.Add(refusedFor); d.Before(deadline) {
			deadline = d
		}
	}
	if !doubt && turn.Attempts+1 >= attemptsMin && !now.Before(deadline) {
		out.Dead = true
		return out
	}
	out.NextAt = now.Add(max(tm.backoff(turn.Attempts, jitter), min(a.retryAfter, tm.retryAfterMax)))
	if out.NextAt.After(deadline) && now.Before(deadline) {
		out.NextAt = deadline // the last attempt
	}
	return out
}

// backoff is the wait after an attempt, the first being 0: twice as long each time, a quarter
// more or less.
func (tm timing) backoff(attempts int, jitter float64) time.Duration {
	return spread(tm.backoffMin, tm.backoffMax, attempts, jitter)
}

func spread(low, high time.Duration, doublings int, jitter float64) time.Duration {
	wait := float64(low) * math.Pow(2, float64(min(max(doublings, 0), 40)))
	return time.Duration(min(wait, float64(high)) * (0.75 + jitter/2))
}

// health is what is known of a target from its latest answers.
type health struct {
	failures int       // attempts without success since the last one
	until    time.Time // before it nothing is sent
	probe    bool      // one attempt at a time
	since    time.Time // since when nothing comes through; zero while something does
}

// steady is how many failures in a row say something about the target and not about events.
const steady = 3

// after is the health after an answer.
func (h health) after(a answer, tm timing, now time.Time, jitter float64) health {
	if a.ok() {
		return health{}
	}
	if h.failures < steady || !now.Before(h.until) {
		h.failures++ // several that were on their way together count once
	}
	if h.since.IsZero() || h.since.After(now) {
		h.since = now
	}
	var wait time.Duration
	switch {
	case a.refused():
		// It is there. What it refuses is asked again by each event's own plan; this only keeps
		// a wrong address from being asked without end.
		h.probe = false
		if h.failures > steady {
			wait = tm.refusedPause
		}
	case h.failures >= steady:
		h.probe = true
		wait = spread(tm.pauseMin, tm.pauseMax, h.failures-steady, jitter)
	}
	if a.retryAfter > 0 {
		wait = max(wait, min(a.retryAfter, tm.retryAfterMax))
	}
	if until := now.Add(wait); until.After(h.until) || h.until.Sub(now) > horizon {
		h.until = until
	}
	return h
}

// retryAfter reads how long the target wants to be left alone (RFC 9110: seconds or a date).
// What is no wait is 0; a number too large for a duration is the longest.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return time.Duration(min(n, uint64(math.MaxInt64/time.Second))) * time.Second
	} else if len(text) > 0 && strings.Trim(text, "0123456789") == "" {
		return math.MaxInt64
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
