package sim

import (
	"slices"
	"sync"
	"time"
)

// Request is one API request as Moveris saw it. The key itself is never kept.
type Request struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`   // without the query, at most 256 bytes
	Status int       `json:"status"` // 0 while it runs and for answers that were never sent
}

// requestLog is a ring of the latest requests.
type requestLog struct {
	mu    sync.Mutex
	max   int
	ring  []Request
	base  int // number of the first request since the last clear
	total int // requests ever added; the next one goes to (total-base) % max
}

func newRequestLog(limit int) *requestLog { return &requestLog{max: max(limit, 1)} }

// add records an arrival and returns its number for done.
func (l *requestLog) add(r Request) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Path = r.Path[:min(len(r.Path), 256)]
	if len(l.ring) < l.max {
		l.ring = append(l.ring, r)
	} else {
		l.ring[(l.total-l.base)%l.max] = r
	}
	l.total++
	return l.total - 1
}

// done fills in the status, unless the request has left the ring meanwhile,
// pushed out by later ones or cleared.
func (l *requestLog) done(n, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < l.total && n >= l.total-len(l.ring) {
		l.ring[(n-l.base)%l.max].Status = status
	}
}

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < l.max {
		return slices.Clone(l.ring)
	}
	oldest := (l.total - l.base) % l.max
	return append(slices.Clone(l.ring[oldest:]), l.ring[:oldest]...)
}

func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.base = nil, l.total
}

// maxIn slides a window over the arrivals: the largest number of them less
// than the window's length apart.
func (l *requestLog) maxIn(window time.Duration) int {
	all := l.all()
	slices.SortStableFunc(all, func(a, b Request) int { return a.At.Compare(b.At) })
	best, first := 0, 0
	for i, r := range all {
		for first < i && r.At.Sub(all[first].At) >= window {
			first++
		}
		best = max(best, i-first+1)
	}
	return best
}

// window admits at most max requests in any period. It is exact, not a token
// bucket: the daemon's promise is about any 60 seconds, so the limit it is
// held to is as well.
type window struct {
	mu     sync.Mutex
	max    int // negative: no limit
	period time.Duration
	times  []time.Time // admitted within the last period, oldest first
}

func newWindow(limit int, period time.Duration) *window {
	return &window{max: limit, period: period}
}

// admit says whether a request may pass and, if not, after how long one may.
// Refused requests do not count (our choice).
func (w *window) admit(now time.Time) (bool, time.Duration) {
	if w.max < 0 {
		return true, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= w.period {
		old++
	}
	w.times = slices.Delete(w.times, 0, old)
	if len(w.times) >= w.max {
		return false, w.period - now.Sub(w.times[0])
	}
	w.times = append(w.times, now)
	return true, 0
}
