package status

import (
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// course judges facts at times, given as what changes them.
type course struct {
	t *testing.T
	*Tracker
	at time.Time
}

func newCourse(t *testing.T) *course { return &course{t, NewTracker(), noon()} }

// after lets time pass and judges.
func (c *course) after(d time.Duration, falls ...func(*Facts)) Report {
	c.at = c.at.Add(d)
	f := well()
	for _, fall := range falls {
		fall(&f)
	}
	f.Now = c.at
	return c.Judge(f)
}

// Each reason clears: at once where somebody has dealt with it, else after a minute.
func TestEachReasonClears(t *testing.T) {
	for _, s := range sicknesses() {
		c := newCourse(t)
		if r := c.after(0, s.fall); len(r.Reasons) != 1 || *r.Reasons[0].Since != *Stamp(noon()) {
			t.Fatalf("%s: %+v", s.code, r.Reasons)
		}
		r := c.after(15 * time.Second)
		if told := len(r.Reasons) == 1; told == atOnce(s.code) {
			t.Errorf("%s is told %t at once after it is over", s.code, told)
		} else if told && (r.Level != s.level || r.Reasons[0].Over == nil || *r.Reasons[0].Since != *Stamp(noon())) {
			t.Errorf("%s while it is told: %s %+v", s.code, r.Level, r.Reasons)
		}
		if r.Unready() != nil {
			t.Errorf("%s is over, and yet not ready", s.code)
		}
		if r := c.after(46 * time.Second); r.Level != OK || len(r.Reasons) > 0 {
			t.Errorf("%s after a minute: %s %+v", s.code, r.Level, r.Reasons)
		}
	}
}

// What comes and goes is one reason since its beginning.
func TestNoFlapping(t *testing.T) {
	c := newCourse(t)
	unreachable := account(func(a *Account) { a.Failing, a.FailedAt = true, noon() })
	c.after(0, unreachable)
	for range 10 {
		if r := c.after(30 * time.Second); len(r.Reasons) != 1 || r.Reasons[0].Over == nil {
			t.Fatalf("gone: %+v", r.Reasons)
		}
		if r := c.after(30*time.Second, unreachable); *r.Reasons[0].Since != *Stamp(noon()) || r.Reasons[0].Over != nil {
			t.Fatalf("back: %+v", r.Reasons)
		}
	}
}

// A level goes up at once and down after a minute.
func TestLevelGoesDownSlowly(t *testing.T) {
	c := newCourse(t)
	lost := func(f *Facts) { f.Recent = store.Figures{verdict.DueMissed: 3} }
	unknown := func(f *Facts) { f.Recent = store.Figures{verdict.DueSilent: 3} }
	for i, step := range []struct {
		pass time.Duration
		fall func(*Facts)
		want Level
	}{{0, unknown, Degraded}, {time.Second, lost, Failing}, {30 * time.Second, unknown, Failing}, {29 * time.Second, unknown, Failing},
		{2 * time.Second, unknown, Degraded}, {time.Second, lost, Failing}} {
		if r := c.after(step.pass, step.fall); r.Level != step.want || len(r.Reasons) != 1 || r.Reasons[0].Level != step.want {
			t.Errorf("step %d: %s %+v, want %s", i, r.Level, r.Reasons, step.want)
		}
	}
}

// Accounts are told apart.
func TestTrackerKeepsSubjectsApart(t *testing.T) {
	c := newCourse(t)
	limited := func(names ...string) func(*Facts) {
		return func(f *Facts) {
			f.Accounts = nil
			for _, n := range names {
				f.Accounts = append(f.Accounts, Account{Name: n, Limited: true})
			}
		}
	}
	c.after(0, limited("a"))
	r := c.after(time.Minute, limited("a", "b"))
	if len(r.Reasons) != 2 || *r.Reasons[0].Since == *r.Reasons[1].Since {
		t.Fatalf("%+v", r.Reasons)
	}
	r = c.after(30*time.Second, limited("b"))
	if len(r.Reasons) != 2 || r.Reasons[0].Over == nil || r.Reasons[1].Over != nil {
		t.Errorf("%+v", r.Reasons)
	}
}

// A clock that is set back keeps no reason up.
func TestTrackerWithTheClockSetBack(t *testing.T) {
	c := newCourse(t)
	c.after(0, func(f *Facts) { f.Disk.FreeBytes = 1 })
	if r := c.after(-time.Hour); r.Level != OK {
		t.Errorf("%+v", r.Reasons)
	}
}
