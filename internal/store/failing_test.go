package store

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/moverisd/moverisd/internal/verdict"
)

// cannotOpen is a real error of SQLite that leaves the file in doubt.
func cannotOpen(t testing.TB) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:/nonexistent/none.db?mode=rw")
	must(t, err)
	defer db.Close()
	err = db.Ping()
	if severityOf(err) != unsure {
		t.Fatalf("not the error that is needed: %v", err)
	}
	return err
}

// After an error that leaves the file in doubt nothing is committed any more.
func TestFailStop(t *testing.T) {
	for name, fail := range map[string]func(*fixture, *txn) error{
		"operation": func(f *fixture, _ *txn) error { return cannotOpen(f.t) },
		// SQLite has rolled back by itself: the end of the transaction is not ours.
		"commit":     func(_ *fixture, tx *txn) error { return tx.exec("ROLLBACK") },
		"connection": func(*fixture, *txn) error { return sql.ErrConnDone },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.webhook("before", "live")
			commits := f.queue.commits.Load()
			release := f.hold()
			var wg sync.WaitGroup
			var mu sync.Mutex
			var got []error
			for i := range 10 {
				in := f.heard(verdict.FormCompleted, fmt.Sprint("with", i), "live", f.now())
				wg.Go(func() {
					_, err := f.Apply(ctx(), in)
					mu.Lock()
					defer mu.Unlock()
					got = append(got, err)
				})
			}
			wg.Go(func() { _ = f.queue.do(ctx(), func(tx *txn) error { return fail(f, tx) }) })
			f.waiting(11)
			release()
			wg.Wait()
			<-f.Broken()
			for _, err := range got {
				if !errors.Is(err, ErrBroken) {
					t.Errorf("an operation beside it: %v", err)
				}
			}
			for range 3 {
				if _, err := f.Apply(ctx(), f.heard(verdict.FormCompleted, "after", "live", f.now())); !errors.Is(err, ErrBroken) {
					t.Errorf("afterwards: %v", err)
				}
			}
			if f.Err() == nil || f.queue.commits.Load() > commits+1 { // the hold itself
				t.Errorf("err %v, %d commits", f.Err(), f.queue.commits.Load()-commits)
			}
			f.reopen()
			f.get("before")
			if _, err := f.Get(ctx(), "production", "after", false); !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
			if name != "commit" { // there, the test itself has written outside of a transaction
				f.sound()
			}
		})
	}
}

// A full disk passes: the callers hear of it, nothing is lost, and it recovers by itself.
func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	f.webhook("before", "live")
	limit := func(pages int) {
		must(t, f.queue.do(ctx(), func(tx *txn) error {
			var n int
			return tx.q.conn.QueryRowContext(ctx(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&n)
		}))
	}
	limit(1) // the size it has
	in := f.heard(verdict.FormCompleted, "big", "live", f.now())
	in.Body = make([]byte, 1<<20)
	for range 3 {
		if _, err := f.Apply(ctx(), in); !errors.Is(err, ErrFull) {
			t.Fatalf("full disk: %v", err)
		}
	}
	select {
	case <-f.Broken():
		t.Fatal("broken", f.Err())
	default:
	}
	f.sound()
	limit(1 << 30)
	f.apply(in)
	f.webhook("after", "live")
	same(t, "body", len(f.get("big").Entries[0].Body), 1<<20)
	f.sound()
}
