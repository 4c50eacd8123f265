// Package poll asks Moveris for sessions whose webhook has not come.
//
// A sweep takes the sessions that are due, no more than the budget grants until the next
// sweep, and asks about each; a session asked about by hand takes the same way. What is
// heard goes into the same store.Apply as a delivery, what is not heard into store.Defer,
// and what follows from it is decided in package verdict. The request budget, the routes
// and the breakers belong to the account's moveris.Client.
//
// Accounts are swept side by side, each with its own workers, so that a slow API of one
// does not delay another.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// sweepMax bounds one account's sweep, however large the budget.
const sweepMax = 2000

// recordTimeout bounds the commit of one attempt's result.
const recordTimeout = 10 * time.Second

// ErrUnknownAccount says that an account is not configured.
var ErrUnknownAccount = errors.New("the account is not configured")

// Account is an account with its client.
type Account struct {
	Name   string
	Client *moveris.Client
}

// Settings are what a reload may change.
type Settings struct {
	Accounts    []Account
	Concurrency int           // workers for each account
	RepeatAfter time.Duration // backoff in force, see verdict.Observation
	// Doubt is told the Date of an answer and says whether our clock is in doubt all the same;
	// nil means never.
	Doubt func(date time.Time) bool
}

// Poller asks about sessions. It must be made by New.
type Poller struct {
	store *store.Store
	now   func() time.Time
	log   *slog.Logger
	turn  atomic.Int64 // rotates the shares of small sweeps

	mu       sync.Mutex // guards the fields below
	settings Settings
	last     Sweep
}

// Sweep is what is known of the last sweep.
type Sweep struct {
	StartedAt time.Time
	EndedAt   time.Time
	OK        bool
}

// New returns a poller without accounts; now is the clock.
func New(st *store.Store, now func() time.Time, log *slog.Logger) *Poller {
	return &Poller{store: st, now: now, log: log}
}

// Configure replaces the settings; a running sweep keeps its own.
func (p *Poller) Configure(s Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settings = s
}

func (p *Poller) config() Settings {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settings
}

// Last returns the last sweep.
func (p *Poller) Last() Sweep {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Sweep asks once about the sessions that are due, until the given time, and returns what
// kept it from doing so. An API that does not answer is no such thing.
func (p *Poller) Sweep(ctx context.Context, until time.Time) error {
	s := p.config()
	start := p.now()
	_, err := p.store.Promote(ctx, start)
	turn := int(p.turn.Add(1))
	errs := make([]error, len(s.Accounts))
	var wg sync.WaitGroup
	for i, a := range s.Accounts {
		wg.Go(func() { errs[i] = p.sweepAccount(ctx, a, s, until, turn) })
	}
	wg.Wait()
	err = errors.Join(err, errors.Join(errs...))
	p.mu.Lock()
	p.last = Sweep{StartedAt: start, EndedAt: p.now(), OK: err == nil}
	p.mu.Unlock()
	return err
}

// sweepAccount asks about one account's due sessions with a few workers.
func (p *Poller) sweepAccount(ctx context.Context, a Account, s Settings, until time.Time, turn int) error {
	if !a.Client.Usable(p.now()) {
		return nil // the sessions keep their place
	}
	n := min(a.Client.Tokens(until), sweepMax)
	due, err := p.store.Due(ctx, a.Name, p.now(), n, turn)
	if err != nil {
		return fmt.Errorf("pick due sessions of %s: %w", a.Name, err)
	}
	work := make(chan store.DueSession)
	errs := make([]error, max(s.Concurrency, 1))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for d := range work {
				if err := p.askDue(ctx, a, s, d); err != nil && errs[i] == nil {
					errs[i] = err
				}
			}
		})
	}
	for _, d := range due {
		// An account that stopped, or a sweep that reaches the next one, leaves the rest
		// where it is.
		if ctx.Err() != nil || !p.now().Before(until) || !a.Client.Usable(p.now()) || a.Client.Tokens(until) == 0 {
			break
		}
		work <- d
	}
	close(work)
	wg.Wait()
	return errors.Join(append(errs, p.saveLearned(ctx, a))...)
}

func (p *Poller) askDue(ctx context.Context, a Account, s Settings, d store.DueSession) error {
	_, _, err := p.ask(ctx, a, s, moveris.Asked{SessionID: d.SessionID, JobID: d.JobID, LastRoute: d.Route})
	return err
}

// ask makes one attempt and records it.
func (p *Poller) ask(ctx context.Context, a Account, s Settings, asked moveris.Asked) (moveris.Reply, store.Receipt, error) {
	asked.Backoff = s.RepeatAfter
	reply := a.Client.Ask(ctx, asked)
	sent := 0
	for _, r := range reply.Routes {
		sent += r.Requests
	}
	if len(reply.Routes) == 0 && reply.RetryAt.IsZero() && ctx.Err() == nil {
		// No route can be asked: they want a job id that is not known. Set aside for a
		// backoff, it does not keep others from being asked.
		reply.Routes = []moveris.RouteAnswer{{Conclusion: "no_route", Requests: 1}}
	} else if sent == 0 {
		return reply, store.Receipt{}, nil
	}
	// What was asked has cost a request; it is recorded even while stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	receipt, err := p.record(ctx, a.Name, asked.SessionID, reply, s.doubted(reply))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return reply, receipt, err
	}
	for _, c := range receipt.Changes {
		p.log.Debug("polled", "session", asked.SessionID, "account", a.Name, "source", verdict.Poll, "change", c)
	}
	return reply, receipt, nil
}

// record brings what an attempt came to into the store.
func (p *Poller) record(ctx context.Context, account, id string, reply moveris.Reply, doubted bool) (store.Receipt, error) {
	at := store.Attempt{At: p.now(), Answer: reply.Answer, Sent: true, RetryAt: reply.RetryAt, Jitter: rand.Float64(), Hold: doubted}
	for _, r := range reply.Routes {
		if r.Requests == 0 {
			continue
		}
		at.Routes = append(at.Routes, store.RouteResult{Route: r.Route, Status: r.Status, Conclusion: r.Conclusion})
	}
	if reply.Told == nil || doubted && reply.Told.Observation.Ends().Null {
		// A check without a verdict means something only one backoff later, and how late it
		// is, a clock in doubt does not tell.
		return p.store.Defer(ctx, store.Deferred{Account: account, SessionID: id, Attempt: at})
	}
	at.Route = reply.Told.Route
	return p.store.Apply(ctx, store.Observed{Account: account, SessionID: id,
		Observation: reply.Told.Observation, Body: reply.Told.Body, Attempt: &at})
}

// doubted reports whether the clock is in doubt, after it was held against the answers.
func (s Settings) doubted(reply moveris.Reply) bool {
	if s.Doubt == nil {
		return false
	}
	var date time.Time
	for _, r := range reply.Routes {
		if r.Date.After(date) {
			date = r.Date
		}
	}
	return s.Doubt(date)
}

// saveLearned keeps what the client has learned across restarts.
func (p *Poller) saveLearned(ctx context.Context, a Account) error {
	l := a.Client.LearnedState()
	out := store.Learned{Rate: l.Rate, Routes: map[string]store.RouteStats{}}
	for route, st := range l.Routes {
		out.Routes[route] = store.RouteStats{Last200At: st.Last200At, Answers: st.Answers}
	}
	return p.store.SaveLearned(context.WithoutCancel(ctx), a.Name, out)
}
