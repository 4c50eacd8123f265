package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func (f *fixture) seqs(after int64, limit int) []int64 {
	f.t.Helper()
	list, err := f.Events(ctx(), after, limit)
	must(f.t, err)
	var out []int64
	for _, e := range list {
		out = append(out, e.Seq)
	}
	return out
}

func (f *fixture) gone(after, oldest, last int64) {
	f.t.Helper()
	_, err := f.Events(ctx(), after, 0)
	var gone *Gone
	if !errors.As(err, &gone) || !errors.Is(err, ErrGone) || gone.Oldest != oldest || gone.Last != last {
		f.t.Errorf("events after %d: %v", after, err)
	}
}

func TestEvents(t *testing.T) {
	f := newFixture(t)
	same(t, "none yet", f.seqs(-1, 0), []int64(nil))
	same(t, "none yet", f.seqs(0, 0), []int64(nil))
	f.gone(1, 1, 0)
	f.expect("a")
	f.webhook("a", "live")
	f.pass(time.Hour)
	f.webhook("b", "fake")
	same(t, "all", f.seqs(-1, 0), []int64{1, 2, 3})
	same(t, "after", f.seqs(1, 1), []int64{2})
	same(t, "at the end", f.seqs(3, 0), []int64(nil))
	f.gone(4, 1, 3)
	list, err := f.Events(ctx(), 2, 0)
	must(t, err)
	same(t, "event", list[0], Event{Seq: 3, At: f.now(), Account: "production", SessionID: "b", Change: verdict.ChangeSettled,
		State: verdict.Settled, Outcome: verdict.Fake, FirstBy: verdict.Webhook})

	// Pruned from the front, by the first that is to be kept.
	out, err := f.Prune(ctx(), Retention{Events: time.Minute}, f.now().Add(30*time.Second))
	must(t, err)
	same(t, "pruned", out.Events, 2)
	same(t, "kept", f.seqs(-1, 0), []int64{3})
	same(t, "the last pruned is a cursor", f.seqs(2, 0), []int64{3})
	f.gone(1, 3, 3)
	_, err = f.Prune(ctx(), Retention{Events: time.Minute}, f.now().Add(time.Hour))
	must(t, err)
	for range 2 {
		same(t, "all pruned", f.seqs(-1, 0), []int64(nil))
		same(t, "all pruned, at the end", f.seqs(3, 0), []int64(nil))
		f.gone(2, 4, 3)
		f.gone(4, 4, 3)
		f.reopen()
	}
	f.webhook("c", "live")
	same(t, "never back", f.seqs(-1, 0), []int64{4})
	f.sound()
}

// An older event behind a younger one (a replayed delivery) stays until its turn comes.
func TestPruneEventsFromTheFrontOnly(t *testing.T) {
	f := newFixture(t)
	f.webhooks("a", pruneBatch*10+3)
	f.pass(time.Hour)
	f.webhooks("b", pruneBatch*10+2)
	f.pass(-2 * time.Hour)
	f.webhook("old", "live")
	f.pass(2 * time.Hour)
	out, err := f.Prune(ctx(), Retention{Events: 30 * time.Minute}, f.now())
	must(t, err)
	same(t, "pruned", out.Events, pruneBatch*10+3)
	oldest, last, err := f.EventSpan(ctx())
	must(t, err)
	same(t, "oldest", oldest, pruneBatch*10+4)
	same(t, "last", last, 2*pruneBatch*10+6)
	f.sound()
}

func TestWake(t *testing.T) {
	f := newFixture(t)
	f.expect("a")
	one, done := f.SessionChanged("production", "a")
	two, doneTwo := f.SessionChanged("production", "a")
	other, doneOther := f.SessionChanged("production", "b")
	events := f.EventsAdded()
	doneTwo()
	select {
	case <-one:
		t.Fatal("woken by nothing")
	default:
	}
	f.webhook("a", "live")
	<-one
	<-two
	<-events
	select {
	case <-other:
		t.Error("woken by another session")
	default:
	}
	done()
	done2, _ := f.SessionChanged("production", "a")
	_ = done2
	doneOther()
	same(t, "waiters", len(f.wake.waiters), 1)
}

// Nobody who takes the channel before reading misses a change, and no waiter is left.
func TestNoLostWakeUp(t *testing.T) {
	f := newFixture(t)
	const sessions = 200
	var wg sync.WaitGroup
	for i := range sessions {
		id := fmt.Sprint("s", i)
		for range 3 {
			wg.Go(func() {
				for {
					changed, done := f.SessionChanged("production", id)
					v, err := f.Get(ctx(), "production", id, false)
					if err == nil && v.State == verdict.Settled {
						done()
						return
					}
					select {
					case <-changed:
					case <-time.After(20 * time.Second):
						t.Errorf("%s: never woken", id)
					}
					done()
				}
			})
		}
	}
	wg.Go(func() {
		for seen := int64(0); seen < 2*sessions; {
			added := f.EventsAdded()
			list, err := f.Events(ctx(), seen, 7)
			if err != nil {
				t.Error(err)
				return
			}
			for _, e := range list {
				if seen++; e.Seq != seen || e.Account != "production" {
					t.Errorf("event %d of %q after %d", e.Seq, e.Account, seen-1)
				}
			}
			if len(list) == 0 {
				<-added
			}
		}
	})
	for i := range sessions {
		in := f.heard(verdict.FormCompleted, fmt.Sprint("s", i), "live", f.now())
		wg.Go(func() {
			_, err := f.Expect(ctx(), Expectation{Account: "production", SessionID: in.SessionID, At: f.now()})
			must(t, err)
			_, err = f.Apply(ctx(), in)
			must(t, err)
		})
	}
	wg.Wait()
	same(t, "waiters", len(f.wake.waiters), 0)
	f.sound()
}
