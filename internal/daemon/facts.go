package daemon

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
)

// Limits of the report.
const (
	// dueMax is how far due sessions are counted.
	dueMax = 100_000
	// factsTimeout bounds the gathering: a report that comes late is no report.
	factsTimeout = 1500 * time.Millisecond
	// lateAfter is added to the interval of sweeps before one counts as late.
	lateAfter = 60 * time.Second
	// limitedFor is how long a 429 is told after it came.
	limitedFor = 5 * time.Minute
)

// storeFacts reads what the store knows. It serves the running daemon and the file of a
// stopped one.
func storeFacts(ctx context.Context, st *store.Store, now time.Time) (status.Facts, error) {
	f := status.Facts{Now: now, StoreID: st.ID(), Path: st.Path(), Disk: st.Disk()}
	var err error
	if f.Totals, err = st.Totals(ctx, now); err != nil {
		return f, err
	}
	if f.Day, err = st.Figures(ctx, now.Add(-status.WindowLength), now); err != nil {
		return f, err
	}
	if f.Recent, err = st.Figures(ctx, now.Add(-status.RecentLength), now); err != nil {
		return f, err
	}
	uses, err := st.LabelUses(ctx)
	for _, u := range uses {
		if u.LastUsedAt.After(f.LastAt) {
			f.LastAt = u.LastUsedAt
		}
	}
	return f, err
}

// accountFacts describes the configured accounts and their secrets; clients may be nil.
func accountFacts(ctx context.Context, st *store.Store, cfg *config.Config, accounts []account, now time.Time) ([]status.Account, int64, error) {
	uses, err := st.LabelUses(ctx)
	if err != nil {
		return nil, 0, err
	}
	var out []status.Account
	var total int64
	for i, a := range cfg.Accounts {
		due, err := st.CountDue(ctx, a.Name, now, dueMax)
		if err != nil {
			return nil, 0, err
		}
		total += int64(due)
		f := status.Account{Name: a.Name, Breaker: "unknown", BudgetPerMinute: a.RequestsPerMinute, Routes: []status.Route{}}
		if i < len(accounts) {
			fillClient(&f, accounts[i].client.Health(), now)
			f.DrainSeconds = drain(due, f.RatePerMinute)
		}
		for _, s := range a.WebhookSecrets {
			sec := status.Secret{Label: s.Label}
			if j := slices.IndexFunc(uses, func(u store.LabelUse) bool { return u.Account == a.Name && u.Label == s.Label }); j >= 0 {
				sec.LastUsedAt = status.Stamp(uses[j].LastUsedAt)
			}
			f.Secrets = append(f.Secrets, sec)
		}
		out = append(out, f)
	}
	return out, total, nil
}

// refill is the part of its rate that a bucket refills with; the rest is its burst
// (moveris.Client).
const refill = 0.885

// drain estimates how long a backlog takes at a rate, one request for each session. What a
// second of budget takes care of is no backlog.
func drain(due int, rate float64) int64 {
	if rate <= 0 || due == 0 {
		return 0
	}
	return int64(float64(due) * 60 / (rate * refill))
}

func fillClient(f *status.Account, h moveris.Health, now time.Time) {
	f.Breaker, f.LastStatus, f.UsedLastMinute, f.RatePerMinute = h.Breaker, h.LastStatus, h.UsedLastMinute, h.RatePerMinute
	f.Stopped, f.FailedAt, f.UselessAt = h.Reason, h.FailingSince, h.UselessSince
	f.Failing = h.Breaker == "open" || h.Breaker == "half-open"
	f.Limited = !h.HeldUntil.IsZero() || !h.LastRateLimitedAt.IsZero() && now.Sub(h.LastRateLimitedAt) < limitedFor
	if !h.LastAnswerAt.IsZero() {
		skew := h.ClockSkew.Seconds()
		f.ClockSkew = &skew
	}
	for _, r := range h.Routes {
		disabled := ""
		switch {
		case r.Denied != 0:
			disabled = "denied"
		case r.Breaker == "open":
			disabled = "breaker"
		}
		answers := r.Answers
		if answers == nil {
			answers = map[string]int64{}
		}
		f.Routes = append(f.Routes, status.Route{Route: r.Route, Last200At: status.Stamp(r.Last200At),
			Disabled: disabled, Answers: answers})
	}
}

// report gathers the facts of the running daemon and judges them.
func (d *daemon) report(ctx context.Context) status.Report {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	now := time.Now()
	cfg, accounts := d.current()
	f, err := storeFacts(ctx, d.store, now)
	f.Via, f.Version, f.StartedAt = "socket", d.version, d.startedAt
	if err == nil {
		f.Accounts, f.Due, err = accountFacts(ctx, d.store, cfg, accounts, now)
	}
	if err == nil {
		f.Forward, err = forwardFacts(ctx, d.store, cfg, now)
	}
	if err == nil {
		f.Unconfigured, err = d.unconfigured(ctx, cfg)
	}
	f.ReadErr = err
	f.Poll = d.pollFacts(now)
	f.Poll.Due = f.Due
	d.notes.fill(&f)
	if err := d.store.Err(); err != nil {
		f.StoreErr = err
	}
	f.ClockDoubted = d.guard.inDoubt()
	return d.tracker.Judge(f)
}

func (d *daemon) unconfigured(ctx context.Context, cfg *config.Config) ([]string, error) {
	open, err := d.store.OpenByAccount(ctx)
	var names []string
	for name := range open {
		if !slices.Contains(accountNames(cfg), name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// pollFacts describes the sweeper. A sweep is late if none has ended for three intervals and
// a minute.
func (d *daemon) pollFacts(now time.Time) status.Poll {
	last, next := d.poller.Last(), d.nextSweep()
	p := status.Poll{LastSweepAt: status.Stamp(last.StartedAt), LastSweepOK: last.OK, NextSweepAt: status.Stamp(next)}
	since := last.StartedAt
	if since.IsZero() {
		since = d.startedAt
	}
	p.Late = now.Sub(since) > 3*d.sweepInterval()+lateAfter
	return p
}

// notes are what only the daemon itself knows about its health.
type notes struct {
	mu       sync.Mutex
	rejected string
	listener error
	commit   error
	backup   error
	alerts   map[string]error
}

// fill adds the notes to the facts.
func (n *notes) fill(f *status.Facts) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f.ConfigRejected, f.ListenerErr, f.StoreErr, f.BackupErr = n.rejected, n.listener, n.commit, n.backup
	for _, name := range slices.Sorted(maps.Keys(n.alerts)) {
		f.AlertErrs = append(f.AlertErrs, status.AlertErr{Name: name, Err: n.alerts[name]})
	}
}

func (n *notes) setBackup(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.backup = err
}

func (n *notes) setRejected(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rejected = why
}

// setLook notes what a look has found out.
func (n *notes) setLook(commit, listener error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.commit, n.listener = commit, listener
}

// setAlert notes why an alert does not get through, or that it does.
func (n *notes) setAlert(name string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alerts == nil {
		n.alerts = map[string]error{}
	}
	if n.alerts[name] = err; err == nil {
		delete(n.alerts, name)
	}
}
