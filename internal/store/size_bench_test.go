package store

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// -stores names a directory with stores of different sizes, each in a directory named by its
// number of sessions, as scripts/bench.sh --keep makes them:
//
//	scripts/bench.sh --parts size --rounds 1 --keep DIR --large 1000000
//	go test ./internal/store -run '^$' -bench Size -count 10 -stores DIR | benchstat -col /sessions -
var storesDir = flag.String("stores", "", "`directory` with stores to measure")

// overSizes runs a benchmark on each of the stores, or on one of 10,000 sessions made for it.
func overSizes(b *testing.B, f func(b *testing.B, s *Store)) {
	dir := *storesDir
	if dir == "" {
		dir = b.TempDir()
		smallStore(b, filepath.Join(dir, "10000"), 10_000)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		b.Run("sessions="+e.Name(), func(b *testing.B) {
			s, err := Open(context.Background(), Options{Path: filepath.Join(dir, e.Name(), "moverisd.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			f(b, s)
		})
	}
}

// smallStore settles sessions and expects some that come due in ten hours.
func smallStore(b *testing.B, dir string, n int64) {
	b.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	s, err := Open(context.Background(), Options{Path: filepath.Join(dir, "moverisd.db"), Policy: func(string) verdict.Policy {
		return verdict.Policy{GracePeriod: 10 * time.Hour, GiveUpAfter: time.Hour, BackoffMin: time.Second, BackoffMax: time.Minute}
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	err = s.queue.do(context.Background(), func(t *txn) error {
		for i := range n {
			if _, err := t.apply(benchObservation(i)); err != nil {
				return err
			}
		}
		return nil
	})
	for i := 0; i < 2000 && err == nil; i++ {
		_, err = s.Expect(context.Background(), Expectation{Account: "production", SessionID: fmt.Sprintf("due-%d", i), At: time.Now()})
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSizeDue is the choice of 100 due sessions.
func BenchmarkSizeDue(b *testing.B) {
	overSizes(b, func(b *testing.B, s *Store) {
		then := time.Now().Add(20 * time.Hour)
		for b.Loop() {
			if due, err := s.Due(context.Background(), "production", then, 100, 0); err != nil || len(due) != 100 {
				b.Fatal(len(due), err)
			}
		}
	})
}

// BenchmarkSizeFacts is what a status reads: totals, and the figures of a day.
func BenchmarkSizeFacts(b *testing.B) {
	overSizes(b, func(b *testing.B, s *Store) {
		for b.Loop() {
			if _, err := s.Totals(context.Background(), time.Now()); err != nil {
				b.Fatal(err)
			}
			if _, err := s.Figures(context.Background(), time.Now().Add(-24*time.Hour), time.Now()); err != nil {
				b.Fatal(err)
			}
			if _, err := s.CountDue(context.Background(), "production", time.Now(), 100_000); err != nil {
				b.Fatal(err)
			}
		}
	})
}
