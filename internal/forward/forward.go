package forward

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// Limits of sending.
const (
	// sendersMax is how many events are on their way to one target at a time.
	sendersMax = 8
	// claimMax is how many events are read at a time.
	claimMax = 64
	// resultsMax is how many results wait to be written; beyond it nothing more is sent.
	resultsMax = 256
	// recordAgain is the wait after a result could not be written.
	recordAgain = time.Second
)

// Target is where events go.
type Target struct {
	Name string
	URL  string
	Keys [][]byte // each signs every attempt
}

// Options say how to forward.
type Options struct {
	Store *store.Store
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger
	// Doubt says that the clock cannot be trusted now: nothing is given up then.
	Doubt func() bool
}

// Forwarder sends what is in the outbox to the configured targets.
type Forwarder struct {
	Options
	timing timing
	// roundTripper makes the way to a target.
	roundTripper func() http.RoundTripper
	results      chan result
	recorded     chan struct{}   // closed when the last result is written
	ctx          context.Context // ends when what is on its way is broken off
	abort        func()
	running      sync.WaitGroup // loops of targets and attempts

	mu      sync.Mutex // guards the fields below
	targets map[string]*target
	stopped bool
}

// result is what came of an attempt, with the target to tell once it is written.
type result struct {
	sent store.Sent
	of   *target
}

// New returns a forwarder without targets. Stop must be called in the end.
func New(o Options) *Forwarder {
	f := &Forwarder{Options: o, timing: defaultTiming(), results: make(chan result, resultsMax),
		recorded: make(chan struct{}), targets: map[string]*target{},
		roundTripper: func() http.RoundTripper { return newTransport() }}
	f.ctx, f.abort = context.WithCancel(context.Background())
	if f.Now == nil {
		f.Now = time.Now
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	if f.Doubt == nil {
		f.Doubt = func() bool { return false }
	}
	go f.record()
	return f
}

// Configure replaces the targets. Whatever is sent from now on has the new address and keys;
// what is on its way is brought to its end. A target that is not in the list any more keeps
// what is pending for it, and goes on where it stood when it comes back.
func (f *Forwarder) Configure(list []Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	for name, t := range f.targets {
		if !slices.ContainsFunc(list, func(to Target) bool { return to.Name == name }) {
			t.disable()
		}
	}
	for _, to := range list {
		if f.targets[to.Name] == nil {
			f.targets[to.Name] = startTarget(f, to.Name)
		}
		f.targets[to.Name].configure(to)
	}
}

// Stop ends all sending: what is on its way has until ctx ends, then it is broken off, to be
// sent again after the next start. It returns when what is known is written, if the store
// takes it.
func (f *Forwarder) Stop(ctx context.Context) {
	f.mu.Lock()
	already := f.stopped
	f.stopped = true
	for _, t := range f.targets {
		t.stop()
	}
	f.mu.Unlock()
	if already {
		<-f.recorded
		return
	}
	ended := make(chan struct{})
	go func() {
		f.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	f.abort()
	<-ended
	close(f.results)
	<-f.recorded
	for _, t := range f.targets {
		if c, ok := t.way.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// record writes what came of attempts: all that waits, in one transaction. It runs until the
// results are closed.
func (f *Forwarder) record() {
	defer close(f.recorded)
	for first := range f.results {
		list := []result{first}
		for more := true; more && len(list) < resultsMax; {
			select {
			case r, ok := <-f.results:
				if more = ok; ok {
					list = append(list, r)
				}
			default:
				more = false
			}
		}
		f.write(list)
	}
}

// write records results. While the store cannot commit they are kept, and as their number is
// bounded nothing more is sent; a store that has failed or is closed takes nothing any more.
func (f *Forwarder) write(list []result) {
	sent := make([]store.Sent, 0, len(list))
	for _, r := range list {
		sent = append(sent, r.sent)
	}
	for {
		err := f.Store.RecordSent(context.Background(), sent)
		if err == nil || errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrClosed) || f.ctx.Err() != nil {
			break
		}
		f.Log.Warn("what was forwarded cannot be written, trying again", "err", err)
		pause(f.ctx, recordAgain)
	}
	for _, r := range list {
		r.of.recorded(r.sent.Seq)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
