package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// larger is a closed store in which every table that is looked over has several pages.
func larger(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	s, err := Open(ctx(), Options{Path: path})
	must(t, err)
	// Group commit, as everything goes in one operation.
	must(t, s.queue.do(ctx(), func(t *txn) error {
		for n := range int64(lookRows + 500) {
			if _, err := t.apply(benchObservation(n)); err != nil {
				return err
			}
			in := benchObservation(n)
			if err := t.exec(`INSERT INTO loose_deliveries (account, at_ms, digest, body) VALUES (1, 1, ?, ?)`, in.Observation.Digest[:], in.Body); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Close())
	return path
}

// spoil makes the first leaf of a table or index unreadable. Nothing reads it at a start.
func spoil(t *testing.T, path, name string) {
	t.Helper()
	s, err := OpenReadOnly(ctx(), path)
	must(t, err)
	var root int64
	must(t, s.reader.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = ?", name).Scan(&root))
	must(t, s.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	const pageSize = 4096
	page := func(n int64) []byte { return data[(n-1)*pageSize : n*pageSize] }
	// The type of an interior page is 2 or 5; its first cell begins with the page of its child.
	leaf := root
	for page(leaf)[0] == 2 || page(leaf)[0] == 5 {
		p := page(leaf)
		leaf = int64(binary.BigEndian.Uint32(p[binary.BigEndian.Uint16(p[12:]):]))
	}
	if leaf == root {
		t.Fatalf("%s has one page only", name)
	}
	page(leaf)[0] = 0xff
	must(t, os.WriteFile(path, data, 0o600))
}

// A store that is too large to be checked first is served at once, and stops when damage is
// found in whatever is kept in it.
func TestLookFindsDamage(t *testing.T) {
	path := larger(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	for _, name := range []string{"sessions_by_id", "sessions", "records", "events", "loose_deliveries"} {
		must(t, os.WriteFile(path, whole, 0o600))
		spoil(t, path, name)
		if s, err := Open(ctx(), Options{Path: path}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: a small store is served unchecked: %v", name, err)
			if err == nil {
				s.Close()
			}
		}
		s, err := Open(ctx(), Options{Path: path, checkedFirst: 1})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		select {
		case <-s.Broken():
			if !errors.Is(s.Err(), ErrCorrupt) {
				t.Errorf("%s: %v", name, s.Err())
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the damage was not found", name)
		}
		_ = s.Close()
	}
}

// A whole store is read to its end, beside deliveries, and closing it does not wait for that.
func TestLookAtWholeStore(t *testing.T) {
	path := larger(t)
	var log bytes.Buffer
	s, err := Open(ctx(), Options{Path: path, checkedFirst: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	for i := range 20 {
		_, err := s.Apply(ctx(), benchObservation(int64(1_000_000+i)))
		must(t, err)
	}
	s.looked.Wait()
	same(t, "settled", totalsOf(t, s).States[verdict.Settled], lookRows+520)
	must(t, s.Close())
	if !strings.Contains(log.String(), `msg="the store was looked over" took=`) {
		t.Error(log.String())
	}
	s, err = Open(ctx(), Options{Path: path, checkedFirst: 1})
	must(t, err)
	start := time.Now()
	must(t, s.Close())
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("closing took %s", took)
	}
}

func totalsOf(t *testing.T, s *Store) Totals {
	t.Helper()
	out, err := s.Totals(ctx(), time.Now())
	must(t, err)
	return out
}

// Looking takes its part of the time, and next to nothing of it while deliveries wait.
func TestLookGivesWay(t *testing.T) {
	for _, c := range []struct {
		share   time.Duration
		waiting int
		want    time.Duration
	}{{2, 0, 3 * time.Millisecond}, {10, lookBusy - 1, 27 * time.Millisecond}, {2, lookBusy, 117 * time.Millisecond}, {10, 60, 597 * time.Millisecond}} {
		if got := lookPause(3*time.Millisecond, c.share, c.waiting); got != c.want {
			t.Errorf("one part in %d, %d waiting: %s, want %s", c.share, c.waiting, got, c.want)
		}
	}
}

// TestLookReadsEveryRow holds the walk against the tables: it ends at their last keys.
func TestLookReadsEveryRow(t *testing.T) {
	path := larger(t)
	rawExec(t, path, "INSERT INTO outbox_packs SELECT seq, 's', 0, 0, x'00' FROM events")
	rawExec(t, path, "INSERT INTO payloads SELECT seq, 's', 0, account, session_id, change, '{}' FROM events")
	s, err := OpenReadOnly(ctx(), path)
	must(t, err)
	defer s.Close()
	for i, w := range walks() {
		last := w.first
		steps := 0
		for {
			var next, content any
			must(t, s.reader.QueryRow(w.query, last).Scan(&next, &content))
			if next == nil {
				break
			}
			if last != "" && i > 0 && next.(int64) <= last.(int64) {
				t.Fatalf("query %d goes back from %v to %v", i, last, next)
			}
			last = next
			steps++
		}
		if steps != 2 {
			t.Errorf("query %d took %d steps, want 2", i, steps)
		}
		end := []string{"max(session_id) FROM sessions", "max(id) FROM sessions", "max(seq) FROM events", "max(id) FROM records", "max(id) FROM loose_deliveries",
			"max(seq) FROM outbox_packs", "max(seq) FROM payloads"}[i]
		var want any
		must(t, s.reader.QueryRow("SELECT "+end).Scan(&want))
		if fmt.Sprint(last) != fmt.Sprint(want) {
			t.Errorf("query %d ended at %v, not at %v", i, last, want)
		}
	}
}
