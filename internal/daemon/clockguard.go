package daemon

import (
	"sync"
	"time"
)

// Limits of the guard of the clock.
const (
	// jumpMin is how far the wall clock may move against the monotonic one between two looks
	// before it counts as a jump: more than a slewing NTP moves it, less than harms.
	jumpMin = 2 * time.Second
	// confirmMax is how far the API's Date may be from our clock to confirm it.
	confirmMax = 2 * time.Minute
	// quietMax is how long the store may have been silent before the wall clock is doubted: a
	// machine that was off so long may have come back with a wrong clock.
	quietMax = 48 * time.Hour
)

// clockGuard doubts the wall clock after it has jumped, until the API's Date confirms it or it
// jumps back. While it is in doubt nothing is concluded from time having passed: nothing is
// given up, nothing pruned.
type clockGuard struct {
	mu        sync.Mutex
	wall      time.Time // at the last look
	mono      time.Time // the same moment, with its monotonic reading
	offset    time.Duration
	doubted   bool
	confirmed time.Time // the API's Date agreed at this time
}

// newClockGuard starts with the time of the store's last commit, the zero time if there is
// none.
func newClockGuard(now, lastCommit time.Time) *clockGuard {
	g := &clockGuard{wall: now.Round(0), mono: now}
	g.doubted = !lastCommit.IsZero() && (now.Sub(lastCommit) > quietMax || lastCommit.Sub(now) > confirmMax)
	return g
}

// look compares the clocks; now must carry a monotonic reading. It returns how far the wall
// clock has jumped since the last look.
func (g *clockGuard) look(now time.Time) time.Duration {
	return g.compare(now.Round(0), now)
}

func (g *clockGuard) compare(wall, mono time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	jump := wall.Sub(g.wall) - mono.Sub(g.mono)
	g.wall, g.mono = wall, mono
	if jump.Abs() < jumpMin {
		return 0
	}
	g.offset += jump
	// A jump that takes back an earlier one leaves nothing to doubt.
	g.doubted = g.offset.Abs() >= jumpMin
	return jump
}

// confirm takes in the Date of an answer of the API.
func (g *clockGuard) confirm(date, now time.Time) {
	if date.IsZero() || now.Sub(date).Abs() > confirmMax {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doubted, g.offset, g.confirmed = false, 0, now
}

// inDoubt reports whether the wall clock is not to be relied on.
func (g *clockGuard) inDoubt() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.doubted
}
