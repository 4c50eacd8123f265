package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"
)

// parseSchedule reads a cron expression or @every. The parser panics on some input and
// accepts dates that never come; both are errors here.
func parseSchedule(spec string) (s cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%q is no schedule", spec)
		}
	}()
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	s, err = parser.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("%q is no schedule: %w; write five cron fields or @every with a duration", spec, err)
	}
	if every, ok := s.(cron.ConstantDelaySchedule); ok && every.Delay < time.Second {
		return nil, fmt.Errorf("%q is under one second", spec)
	}
	if s.Next(time.Now().UTC()).IsZero() {
		return nil, fmt.Errorf("%q never comes", spec)
	}
	return s, nil
}

// CheckSchedule reports what is wrong with a schedule.
func CheckSchedule(spec string) error {
	_, err := parseSchedule(spec)
	return err
}

// NextRuns lists the next n times of a schedule after now, in UTC.
func NextRuns(spec string, now time.Time, n int) ([]time.Time, error) {
	s, err := parseSchedule(spec)
	if err != nil {
		return nil, err
	}
	var runs []time.Time
	for at := now.UTC(); len(runs) < n; {
		if at = s.Next(at); at.IsZero() {
			break
		}
		runs = append(runs, at)
	}
	return runs, nil
}

// clock is the cron of the daemon. Its jobs get a context that ends with the daemon, run
// one at a time each, and survive their own panics: Recover lies inside SkipIfStillRunning,
// or a job that panicked would count as running for ever.
type clock struct {
	cron *cron.Cron
	ctx  context.Context
}

func newClock(ctx context.Context, log *slog.Logger) *clock {
	l := cronLog{log}
	return &clock{ctx: ctx, cron: cron.New(cron.WithLocation(time.UTC), cron.WithLogger(l),
		cron.WithChain(cron.SkipIfStillRunning(l), cron.Recover(l)))}
}

// job is an entry of the clock.
type job struct {
	clock *clock
	id    cron.EntryID
}

// add plans a job. do is given the daemon's context and the time of the next run. A run that
// lasts beyond that time made cron skip its successor, which then follows at once.
func (c *clock) add(spec string, do func(ctx context.Context, next time.Time)) (job, error) {
	s, err := parseSchedule(spec)
	if err != nil {
		return job{}, err
	}
	id := c.cron.Schedule(s, cron.FuncJob(func() {
		var next time.Time
		for c.ctx.Err() == nil && !time.Now().Before(next) {
			next = s.Next(time.Now().UTC())
			do(c.ctx, next)
		}
	}))
	return job{c, id}, nil
}

// now runs the job at once, unless it is running.
func (j job) now() { j.clock.cron.Entry(j.id).WrappedJob.Run() }

// next is when the job runs next.
func (j job) next() time.Time { return j.clock.cron.Entry(j.id).Next }

// remove takes the job out of the plan.
func (j job) remove() {
	if j.clock != nil {
		j.clock.cron.Remove(j.id)
	}
}

// stop ends the plan and waits for running jobs, which must heed their context.
func (c *clock) stop(ctx context.Context) error {
	select {
	case <-c.cron.Stop().Done():
		return nil
	case <-ctx.Done():
		return errors.New("a job did not end in time")
	}
}

// cronLog turns cron's log into slog's. Cron tells every wake at Info.
type cronLog struct{ log *slog.Logger }

func (l cronLog) Info(msg string, kv ...any) { l.log.Debug("cron: "+msg, kv...) }

func (l cronLog) Error(err error, msg string, kv ...any) {
	l.log.Error("cron: "+msg, append(kv, "err", err)...)
}
