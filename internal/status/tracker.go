package status

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// clearAfter is how long a reason must not hold before it is told no more: four looks of the
// daemon. What comes and goes within it is one reason, with one alert, and not a dozen.
const clearAfter = time.Minute

// Tracker remembers since when each reason is up, and keeps reasons from flapping. A reason is
// told as soon as it holds, for each has a threshold of its own; it is told for another minute
// after it last held, at the worst level that it had within that minute. What a person has
// dealt with is gone at once.
type Tracker struct {
	mu   sync.Mutex
	held map[string]held
}

// held is a reason that is told.
type held struct {
	Reason
	since, seen time.Time // first and last time it held
	worst       time.Time // the last time it held at its level
}

// NewTracker returns an empty tracker.
func NewTracker() *Tracker { return &Tracker{held: map[string]held{}} }

// Judge is Judge with what was judged before in mind.
func (t *Tracker) Judge(f Facts) Report {
	r := Judge(f)
	t.mu.Lock()
	defer t.mu.Unlock()
	up := make(map[string]held, len(r.Reasons))
	for _, reason := range r.Reasons {
		key := keyOf(reason, up)
		up[key] = t.held[key].again(reason, f.Now)
	}
	for key, h := range t.held {
		if _, holds := up[key]; !holds && h.lingers(f.Now) {
			h.Over = Stamp(h.seen)
			up[key] = h
		}
	}
	t.held = up
	r.Reasons = r.Reasons[:0]
	for _, h := range up {
		r.Reasons = append(r.Reasons, h.Reason)
	}
	r.conclude()
	return r
}

// keyOf names a reason. There may be several with one code: of several accounts, or, not told
// apart any further, of one.
func keyOf(r Reason, taken map[string]held) string {
	for n := 0; ; n++ {
		key := fmt.Sprintf("%s/%d/%s", r.Code, n, r.Subject)
		if _, ok := taken[key]; !ok {
			return key
		}
	}
}

// again is a reason that holds now, after what it was before; the zero value means that it was
// not told.
func (h held) again(now Reason, at time.Time) held {
	if h.since.IsZero() {
		h.since = at
	}
	if h.Level.worse(now.Level) && within(h.worst, at) {
		now.Level = h.Level
	} else {
		h.worst = at
	}
	h.Reason, h.seen = now, at
	h.Reason.Since = Stamp(h.since)
	return h
}

func (h held) lingers(now time.Time) bool { return !atOnce(h.Code) && within(h.seen, now) }

// within reports whether less than clearAfter has passed; a clock set back has passed it.
func within(since, now time.Time) bool {
	d := now.Sub(since)
	return d >= 0 && d < clearAfter
}

// conclude puts the reasons in order and takes the level from them.
func (r *Report) conclude() {
	r.Level = OK
	for _, reason := range r.Reasons {
		if reason.Level.worse(r.Level) {
			r.Level = reason.Level
		}
	}
	sortReasons(r.Reasons)
}

// sortReasons puts the worst first, then by code, so that the order does not flap.
func sortReasons(reasons []Reason) {
	slices.SortStableFunc(reasons, func(a, b Reason) int {
		if a.Level != b.Level {
			return b.Level.ExitCode() - a.Level.ExitCode()
		}
		if a.Code != b.Code {
			return strings.Compare(a.Code, b.Code)
		}
		return strings.Compare(a.Subject+a.Text, b.Subject+b.Text)
	})
}
