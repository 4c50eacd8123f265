package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// ledger is what the daemons have promised: deliveries that were answered 204 with their
// verdict, and sessions that were taken as expected.
type ledger struct {
	mu       sync.Mutex
	acked    map[string]string
	expected map[string]bool
}

func newLedger() *ledger { return &ledger{acked: map[string]string{}, expected: map[string]bool{}} }

func (l *ledger) ack(id, verdict string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[id] = verdict
}

func (l *ledger) expect(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected[id] = true
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// copy is a ledger of its own with what is known now.
func (l *ledger) copy() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{acked: maps.Clone(l.acked), expected: maps.Clone(l.expected)}
}

// audit opens the store of a daemon that has ended, as its next start would, and holds it
// against the ledger: the file is whole, every session is what its records say, nothing that
// was promised is lost, and everything has a named state.
func (v *victim) audit() error { return v.ledger.audit(v.store()) }

func (l *ledger) audit(path string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := openDead(ctx, path)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	wrong, err := st.Verify(ctx)
	if err != nil || len(wrong) > 0 {
		return fmt.Errorf("verify: %w %q", err, wrong)
	}
	var differences []store.Difference
	if err := st.Rebuild(ctx, false, func(d store.Difference) { differences = append(differences, d) }, func(int64) {}); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	if len(differences) > 0 {
		return fmt.Errorf("rebuild: %d sessions differ, the first %+v", len(differences), differences[0])
	}
	return l.compare(ctx, st)
}

// openDead opens the store of a daemon that was killed, as soon as its last thread is gone.
func openDead(ctx context.Context, path string) (*store.Store, error) {
	for {
		st, err := store.Open(ctx, store.Options{Path: path})
		if !errors.Is(err, store.ErrLocked) || ctx.Err() != nil {
			return st, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// compare looks for everything that was promised.
func (l *ledger) compare(ctx context.Context, st *store.Store) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]store.View{}
	for after := ""; ; {
		page, next, err := st.List(ctx, store.Filter{After: after})
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, view := range page {
			found[view.ID] = view
			if !slices.Contains(verdict.States(), view.State) {
				return fmt.Errorf("session %s has the state %q", view.ID, view.State)
			}
		}
		if after = next; next == "" {
			break
		}
	}
	lost := 0
	var first string
	for id, want := range l.acked {
		if got := found[id]; string(got.Session.Outcome) != want {
			lost++
			first = fmt.Sprintf("%s is %q, acknowledged %q", id, got.Session.Outcome, want)
		}
	}
	for id := range l.expected {
		if _, ok := found[id]; !ok {
			lost++
			first = id + " is not known, though expected"
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d lost: %s", lost, len(l.acked)+len(l.expected), first)
	}
	return nil
}
