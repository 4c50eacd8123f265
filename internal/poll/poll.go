// Package poll asks Moveris for sessions whose webhook has not come.
//
// A sweep takes the sessions that are due, no more than the budget grants until the next
// sweep, and asks about each; a session asked about by hand takes the same way. What is
// heard goes into the same store.Apply as a delivery, what is not heard into store.Defer,
// and what follows from it is decided in package verdict. The request budget, the routes
// and the breakers belong to the account's moveris.Client.
//
// Accounts are swept side by side, each with its own workers, and no account waits for
// another: what has been asked when the next sweep is due goes on by itself, and that sweep
// passes the account by until it is done.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Limits of one account's sweep.
const (
	// sweepMax bounds how many sessions are asked about, however large the budget.
	sweepMax = 2000
	// pickMax bounds how many are looked at for some that can be asked about now, where
	// others wait for a route that must be left alone.
	pickMax = 10_000
)

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
	turns    map[string]chan struct{} // by account; held while it is swept
}

// Sweep is what is known of the last sweep.
type Sweep struct {
	StartedAt time.Time
	EndedAt   time.Time
	OK        bool
}

// New returns a poller without accounts; now is the clock.
func New(st *store.Store, now func() time.Time, log *slog.Logger) *Poller {
	return &Poller{store: st, now: now, log: log, turns: make(map[string]chan struct{})}
}

// Configure replaces the settings; a running sweep keeps its own. Clients that are no
// longer among them send nothing more.
func (p *Poller) Configure(s Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.settings.Accounts {
		if !slices.ContainsFunc(s.Accounts, func(a Account) bool { return a.Client == old.Client }) {
			old.Client.Retire()
		}
	}
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
// kept it from doing so. An API that does not answer is no such thing. It returns at that
// time at the latest, and when ctx has ended not before all asking has.
func (p *Poller) Sweep(ctx context.Context, until time.Time) error {
	s := p.config()
	start := p.now()
	_, err := p.store.Promote(ctx, start)
	turn := int(p.turn.Add(1))
	results, gone := make(chan error), make(chan struct{})
	for _, a := range s.Accounts {
		go func() {
			err := p.sweepInTurn(ctx, a.Name, until, turn)
			select {
			case results <- err:
			case <-gone:
				if err != nil && ctx.Err() == nil {
					p.log.Error("the sweep failed", "account", a.Name, "err", err)
				}
			}
		}()
	}
	err = errors.Join(err, p.collect(ctx, results, len(s.Accounts), until))
	close(gone)
	p.mu.Lock()
	p.last = Sweep{StartedAt: start, EndedAt: p.now(), OK: err == nil}
	p.mu.Unlock()
	return err
}

// collect waits for n results until the given time. When ctx has ended it waits for all
// that is under way, of earlier sweeps too.
func (p *Poller) collect(ctx context.Context, results <-chan error, n int, until time.Time) error {
	over := time.NewTimer(until.Sub(p.now()))
	defer over.Stop()
	var errs []error
	for range n {
		select {
		case err := <-results:
			errs = append(errs, err)
		case <-over.C:
			return errors.Join(errs...)
		case <-ctx.Done():
			p.Wait()
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// Wait returns when no account is being swept. What is under way ends soon after the
// context of its sweep.
func (p *Poller) Wait() {
	p.mu.Lock()
	turns := slices.Collect(maps.Values(p.turns))
	p.mu.Unlock()
	for _, turn := range turns {
		turn <- struct{}{}
		<-turn
	}
}

// sweepInTurn sweeps an account as it is configured when no other sweep is at it. If that
// takes until the given time, the account is passed by.
func (p *Poller) sweepInTurn(ctx context.Context, account string, until time.Time, turn int) error {
	ctx2, cancel := context.WithTimeout(ctx, until.Sub(p.now()))
	defer cancel()
	mine := p.turnOf(account)
	select {
	case mine <- struct{}{}:
		defer func() { <-mine }()
	case <-ctx2.Done():
		return nil
	}
	s := p.config()
	a, ok := s.account(account)
	if !ok || ctx.Err() != nil || !a.Client.Usable(p.now()) {
		return nil // the sessions keep their place
	}
	err := p.sweepAccount(ctx, a, s, until, turn)
	return errors.Join(err, p.saveLearned(ctx, a))
}

func (p *Poller) turnOf(account string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := p.turns[account]
	if turn == nil {
		turn = make(chan struct{}, 1)
		p.turns[account] = turn
	}
	return turn
}

// sweepAccount asks about one account's due sessions with a few workers.
func (p *Poller) sweepAccount(ctx context.Context, a Account, s Settings, until time.Time, turn int) error {
	work := make(chan moveris.Asked)
	errs := make([]error, max(s.Concurrency, 1))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for asked := range work {
				if _, _, err := p.ask(ctx, a, s, asked); err != nil && errs[i] == nil {
					errs[i] = err
				}
			}
		})
	}
	err := p.deal(ctx, a, until, turn, work)
	close(work)
	wg.Wait()
	return errors.Join(append(errs, err)...)
}

// deal hands out the due sessions that can be asked about, in their order. Where it finds
// some that cannot be, it looks further: those keep their place, but nobody else's.
func (p *Poller) deal(ctx context.Context, a Account, until time.Time, turn int, work chan<- moveris.Asked) error {
	ctx, cancel := context.WithTimeout(ctx, until.Sub(p.now()))
	defer cancel()
	seen := map[string]bool{}
	var spare *moveris.Asked // for the probe of a stopped account, if there is no better one
	dealt := 0
	for n, left := min(a.Client.Tokens(until), sweepMax), true; left && ctx.Err() == nil; n = min(4*n, pickMax) {
		due, err := p.store.Due(ctx, a.Name, p.now(), n, turn)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("pick due sessions of %s: %w", a.Name, err)
		}
		left = false
		for _, d := range due {
			asked := moveris.Asked{SessionID: d.SessionID, JobID: d.JobID, LastRoute: d.Route}
			switch {
			case seen[d.SessionID]:
				continue
			case !a.Client.Askable(asked):
				left = len(due) == n && n < pickMax
				seen[d.SessionID] = true
				if spare == nil {
					spare = &asked
				}
				continue
			}
			seen[d.SessionID] = true
			dealt++
			// An account that stopped, or a sweep that reaches the next one, leaves the rest
			// where it is.
			if !a.Client.Usable(p.now()) || a.Client.Tokens(until) == 0 {
				return nil
			}
			select {
			case work <- asked:
			case <-ctx.Done():
				return nil
			}
		}
	}
	if dealt == 0 && spare != nil {
		select {
		case work <- *spare:
		case <-ctx.Done():
		}
	}
	return nil
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
	if slices.ContainsFunc(reply.Routes, func(r moveris.RouteAnswer) bool { return r.Conclusion == moveris.RateLimited }) {
		// The next process must not begin at full speed, however this one ends.
		if err := p.saveLearned(ctx, a); err != nil {
			return reply, receipt, err
		}
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
