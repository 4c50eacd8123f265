package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// hold keeps the writer busy until the returned function is called.
func (f *fixture) hold() func() {
	f.t.Helper()
	started, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		done <- f.queue.do(ctx(), func(*txn) error {
			once.Do(func() { close(started) })
			<-release
			return nil
		})
	}()
	<-started
	return func() {
		f.t.Helper()
		close(release)
		must(f.t, <-done)
	}
}

// waiting returns when n operations wait.
func (f *fixture) waiting(n int) {
	for f.queue.depth() < n {
		time.Sleep(time.Millisecond)
	}
}

func TestGroupCommit(t *testing.T) {
	f := newFixture(t)
	const n = 1000
	release := f.hold()
	before := f.queue.commits.Load()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		in := f.heard(verdict.FormCompleted, fmt.Sprint("s", i), "live", f.now())
		wg.Go(func() { _, errs[i] = f.Apply(ctx(), in) })
	}
	f.waiting(n)
	release()
	wg.Wait()
	must(t, errors.Join(errs...))
	if got := f.queue.commits.Load() - before; got > n/batchMax+2 {
		t.Errorf("%d commits for %d operations", got, n)
	}
	for i := range n {
		if f.get(fmt.Sprint("s", i)).State != verdict.Settled {
			t.Fatalf("s%d is not settled", i)
		}
	}
	f.sound()
}

// In one batch: good ones, one that is refused, and one that fails after it has written.
func TestOneBadOperationFailsAlone(t *testing.T) {
	f := newFixture(t)
	f.expect("known", func(e *Expectation) { e.JobID = "j1" })
	release := f.hold()
	broken := errors.New("broken operation")
	ops := map[string]func() error{
		"refused": func() error {
			_, err := f.Expect(ctx(), Expectation{Account: "production", SessionID: "known", JobID: "j2", At: f.now()})
			return err
		},
		"broken": func() error {
			return f.queue.do(ctx(), func(tx *txn) error {
				in := f.heard(verdict.FormCompleted, "broken", "live", f.now())
				in.Observation.Label = "a label of its own"
				if _, err := tx.apply(in); err != nil {
					return err
				}
				return broken
			})
		},
		"constraint": func() error {
			return f.queue.do(ctx(), func(tx *txn) error {
				return tx.exec("INSERT INTO sessions (id, account, session_id, state, flags, head, last_observed_at_ms) VALUES (1, 99, 'x', 9, 0, 0, 0)")
			})
		},
	}
	for i := range 20 {
		in := f.heard(verdict.FormCompleted, fmt.Sprint("good", i), "live", f.now())
		ops[in.SessionID] = func() error { _, err := f.Apply(ctx(), in); return err }
	}
	var mu sync.Mutex
	got := map[string]error{}
	var wg sync.WaitGroup
	for name, op := range ops {
		wg.Go(func() {
			err := op()
			mu.Lock()
			defer mu.Unlock()
			got[name] = err
		})
	}
	f.waiting(len(ops))
	f.CountRejected("signature")
	release()
	wg.Wait()
	var differs *Differs
	if err := got["refused"]; !errors.As(err, &differs) || differs.Field != "job_id" {
		t.Errorf("refused: %v", err)
	}
	if !errors.Is(got["broken"], broken) || got["constraint"] == nil {
		t.Errorf("broken: %v, constraint: %v", got["broken"], got["constraint"])
	}
	for i := range 20 {
		name := fmt.Sprint("good", i)
		must(t, got[name])
		f.get(name)
	}
	if _, err := f.Get(ctx(), "production", "broken", false); !errors.Is(err, ErrNotFound) {
		t.Errorf("what failed is there: %v", err)
	}
	f.CountRejected("too_large")
	if err := f.queue.do(ctx(), func(tx *txn) error { return errors.Join(broken, tx.flush()) }); !errors.Is(err, broken) {
		t.Error(err) // what was counted is given back
	}
	must(t, f.Ping(ctx()))
	figures, err := f.Figures(ctx(), f.now(), f.now())
	must(t, err)
	same(t, "rejected by size", figures.Rejected()["too_large"], 1)
	same(t, "accepted", figures[FigureAccepted], 20)
	same(t, "rejected", figures.Rejected()["signature"], 1)
	_, last, err := f.EventSpan(ctx())
	must(t, err)
	same(t, "events", last, 21)
	f.sound()
	f.reopen()
	f.sound()
}

func TestQueueFullAndClosed(t *testing.T) {
	f := newFixture(t)
	release := f.hold()
	var wg sync.WaitGroup
	for range queueMax {
		wg.Go(func() { must(t, f.Ping(ctx())) })
	}
	f.waiting(queueMax)
	if err := f.Ping(ctx()); !errors.Is(err, ErrBusy) {
		t.Errorf("full queue: %v", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- f.Store.Close() }()
	for f.Ping(ctx()) == nil || !errors.Is(f.Ping(ctx()), ErrClosed) {
		time.Sleep(time.Millisecond)
	}
	release() // what waits is committed all the same
	wg.Wait()
	must(t, <-closed)
	if err := f.Ping(ctx()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	f.open()
	f.sound()
}

// leaving is a context that has ended for the caller, and not yet for the writer.
type leaving struct {
	context.Context
	writing atomic.Bool
}

func (l *leaving) Done() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}

func (l *leaving) Err() error {
	if l.writing.Load() {
		return nil
	}
	return context.Canceled
}

// An operation whose caller leaves while it is written is done all the same, and nobody reads
// its result; one that has not begun is not done any more.
func TestCallerGone(t *testing.T) {
	f := newFixture(t)
	in := f.heard(verdict.FormCompleted, "a", "live", f.now())
	release := f.hold()
	ended, cancel := context.WithCancel(ctx())
	cancel()
	never := f.heard(verdict.FormCompleted, "never", "live", f.now())
	if _, err := f.Apply(ended, never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	short := &leaving{Context: ctx()}
	if _, err := f.Apply(short, in); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range 3 { // results of operations that run later must not be read by then
		_, _ = f.Promote(short, f.now())
		_, _ = f.deleteSessions(short, []int64{1}, f.now().Add(-time.Hour))
		_, _ = f.pruneEvents(short, f.now().Add(-time.Hour))
		_, _ = f.pruneLoose(short, f.now().Add(-time.Hour))
		_ = f.pruneFigures(short, f.now().Add(-time.Hour))
		_, _ = f.KeepLoose(short, Loose{Account: "production", Digest: []byte("x")})
		_, _ = f.AckLoose(short, nil, 0, f.now())
		_, _ = f.AckAll(short, AckMissing, 0, f.now())
		_ = f.Rebuild(short, true, func(Difference) {}, func(int64) {})
	}
	short.writing.Store(true)
	release()
	must(t, f.Ping(ctx()))
	if _, err := f.Get(ctx(), "production", "never", false); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	same(t, "state", f.get("a").State, verdict.Settled)
	f.sound()
}
