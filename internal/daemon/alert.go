package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/status"
)

// Limits of alerts.
const (
	// alertDebounce is how long something must be the matter before somebody is told: what comes
	// at once is told at once, in one alert.
	alertDebounce = 10 * time.Second
	// alertTime bounds one try, command or POST.
	alertTime = 20 * time.Second
	// alertTries are made in quick succession; then it is tried every alertSlow, with the status
	// as it is by then, until it gets through.
	alertTries = 4
	alertFirst = 2 * time.Second // the first wait between tries, then twice as long each time
	alertSlow  = 5 * time.Minute
)

// alerter tells one command or URL of changes. What it was told last is compared with what is
// to be told now, so that nothing is told twice, and a failure is made good by the next try.
//
// It is told of each change of its level and of each new reason; reasons below min_level are
// as good as none to it. What goes away is told where the level changes by it.
type alerter struct {
	name string
	min  status.Level
	send func(ctx context.Context, body []byte, r status.Report) error
	note func(name string, err error) // into the status
	log  *slog.Logger

	latest chan status.Report // holds the newest report that was not looked at
	told   *notice            // nil: not known what they know there
}

// notice is what an alert is about.
type notice struct {
	level   status.Level
	reasons map[string]bool
}

// noticeOf is what a report says to an alert.
func (a *alerter) noticeOf(r status.Report) notice {
	n := notice{status.OK, map[string]bool{}}
	for _, reason := range r.Reasons {
		own := reason.Code == "alert_failed" && reason.Subject == a.name
		if own || reason.Level.ExitCode() < a.min.ExitCode() {
			continue // that its own failure is up, it need not be told
		}
		n.reasons[reason.Code+"/"+reason.Subject] = true
		if reason.Level.ExitCode() > n.level.ExitCode() {
			n.level = reason.Level
		}
	}
	return n
}

// news reports whether n is to be told to somebody who was told before.
func (n notice) news(before *notice) bool {
	if before == nil || n.level != before.level {
		return true
	}
	for reason := range n.reasons {
		if !before.reasons[reason] {
			return true
		}
	}
	return false
}

// look hands over a report. It does not wait.
func (a *alerter) look(r status.Report) {
	select {
	case <-a.latest: // nobody has looked at the one before
	default:
	}
	select {
	case a.latest <- r:
	default:
	}
}

// run tells until the context ends.
func (a *alerter) run(ctx context.Context) {
	a.told = &notice{status.OK, nil} // that all is well is what everybody assumes
	for {
		r, ok := a.next(ctx, nil)
		if !ok {
			return
		}
		if !a.noticeOf(r).news(a.told) {
			a.told.reasons = a.noticeOf(r).reasons // one that comes back is a new one
			continue
		}
		if r, ok = a.settle(ctx, r); !ok {
			return
		}
		if a.noticeOf(r).news(a.told) && !a.tell(ctx, r) {
			return
		}
	}
}

// next waits for a report, or for a time, after which it returns the one given.
func (a *alerter) next(ctx context.Context, after <-chan time.Time) (r status.Report, ok bool) {
	select {
	case r = <-a.latest:
		return r, true
	case <-after:
		return r, false
	case <-ctx.Done():
		return r, false
	}
}

// settle waits until things have settled and returns the newest report.
func (a *alerter) settle(ctx context.Context, r status.Report) (status.Report, bool) {
	return a.pause(ctx, r, alertDebounce)
}

// pause waits and returns the newest report by then, r if there was none.
func (a *alerter) pause(ctx context.Context, r status.Report, d time.Duration) (status.Report, bool) {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		newer, ok := a.next(ctx, over.C)
		if !ok {
			return r, ctx.Err() == nil
		}
		r = newer
	}
}

// tell tries until it gets through; false means that the context has ended.
func (a *alerter) tell(ctx context.Context, r status.Report) bool {
	wait := alertFirst
	for n := 1; ; n++ {
		err := a.try(ctx, r)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			told := a.noticeOf(r)
			a.told = &told
			a.note(a.name, nil)
			a.log.Info("alert told", "alert", a.name, "level", r.Level)
			return true
		}
		if n == 1 || n == alertTries {
			a.log.Error("alert failed", "alert", a.name, "attempt", n, "err", err)
		}
		a.note(a.name, err)
		a.told = nil // it may have been told in part
		if n >= alertTries {
			wait = alertSlow
		}
		var ok bool
		if r, ok = a.pause(ctx, r, wait); !ok {
			return false
		}
		wait *= 2
	}
}

func (a *alerter) try(ctx context.Context, r status.Report) error {
	ctx, cancel := context.WithTimeout(ctx, alertTime)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return a.send(ctx, append(body, '\n'), r)
}

// alerts are the alerts in force.
type alerts struct {
	note func(name string, err error)
	log  *slog.Logger

	mu   sync.Mutex // guards the fields below
	ctx  context.Context
	cfg  []config.Alert
	list []*alerter
	stop func()
}

// start begins to tell, until the context ends or end is called.
func (s *alerts) start(ctx context.Context, cfg []config.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cfg = ctx, cfg
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for i, c := range cfg {
		a := &alerter{name: alertName(i, c), min: status.Level(c.MinLevel), send: sender(c), note: s.note, log: s.log,
			latest: make(chan status.Report, 1)}
		s.list = append(s.list, a)
		running.Go(func() { a.run(ctx) })
	}
	s.stop = func() { cancel(); running.Wait() }
}

// replace puts the alerts of a new configuration into force, unless they are the old ones.
func (s *alerts) replace(cfg []config.Alert) {
	s.mu.Lock()
	ctx, old, list := s.ctx, s.cfg, s.list
	s.mu.Unlock()
	if ctx == nil || ctx.Err() != nil || reflect.DeepEqual(old, cfg) {
		return
	}
	s.end()
	for _, a := range list {
		s.note(a.name, nil)
	}
	s.start(ctx, cfg)
}

// look hands a report to all of them.
func (s *alerts) look(r status.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.list {
		a.look(r)
	}
}

// end ends them; what is being told is cut short.
func (s *alerts) end() {
	s.mu.Lock()
	stop := s.stop
	s.stop, s.list = nil, nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// alertName names an alert in the log and the status, without what may be secret about a URL.
func alertName(i int, c config.Alert) string {
	if c.URL == "" {
		return fmt.Sprintf("%d (%s)", i+1, filepath.Base(c.Command[0]))
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Sprint(i + 1)
	}
	return fmt.Sprintf("%d (%s)", i+1, u.Host)
}
