package status

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Tracker remembers since when each reason is up.
type Tracker struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// NewTracker returns an empty tracker.
func NewTracker() *Tracker { return &Tracker{since: map[string]time.Time{}} }

// Judge is Judge with the times since when the reasons are up.
func (t *Tracker) Judge(f Facts) Report {
	r := Judge(f)
	t.mu.Lock()
	defer t.mu.Unlock()
	up := make(map[string]time.Time, len(r.Reasons))
	for i := range r.Reasons {
		reason := &r.Reasons[i]
		since, ok := t.since[reason.Code]
		if !ok {
			since = f.Now
		}
		up[reason.Code] = since
		reason.Since = Stamp(since)
	}
	t.since = up
	return r
}

// sortReasons puts the worst first, then by code, so that the order does not flap.
func sortReasons(reasons []Reason) {
	slices.SortStableFunc(reasons, func(a, b Reason) int {
		if a.Level != b.Level {
			return b.Level.ExitCode() - a.Level.ExitCode()
		}
		return strings.Compare(a.Code, b.Code)
	})
}
