package store

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// schema1 copies the store of schema 1 in testdata: a session in every state, conflicts,
// dead letters, 20 events, written by the last version that had this schema.
func schema1(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/schema-0001.sqlite")
	must(t, err)
	path := filepath.Join(t.TempDir(), "moverisd.db")
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

func openSchema1(t *testing.T, path string) *fixture {
	t.Helper()
	f := &fixture{t: t, path: path, policy: func(string) verdict.Policy { return testPolicy() }}
	f.clock.Store(time.Date(2026, 11, 23, 17, 6, 0, 0, time.UTC).UnixMilli())
	f.open()
	t.Cleanup(func() { _ = f.Store.Close() })
	return f
}

// A store of schema 1 has everything after the migration, and forwards what happens from now
// on.
func TestMigrateSchema1(t *testing.T) {
	f := openSchema1(t, schema1(t))
	checkMigrated(t, f)
	f.forwarded("a")
	f.webhook("overdue", "live")
	same(t, "forwarded", f.turns("a"), []int64{21})
	f.sound()
	f.reopen()
	f.sound()
}

func checkMigrated(t *testing.T, f *fixture) {
	t.Helper()
	f.sound()
	same(t, "id", f.ID(), "6f44f5bfb0b7")
	states := map[string]string{}
	page, _, err := f.List(ctx(), Filter{})
	must(t, err)
	for _, v := range page {
		states[v.ID] = string(v.State) + " " + string(v.Session.Outcome)
	}
	same(t, "states", states, map[string]string{"550e8400-e29b-41d4-a716-446655440000": "settled live", "fake": "settled fake",
		"conflict": "settled live", "failed": "settled failed", "withdrawn": "withdrawn ", "missing": "missing ",
		"revived": "settled live", "again": "settled live", "twice": "settled fake", "erased": "settled live",
		"overdue": "overdue ", "awaiting": "awaiting "})
	same(t, "metadata", f.get("fake").Metadata, `{"customer":"c-17"}`)
	same(t, "body", len(f.get("fake").Entries[1].Body) > 0, true)
	same(t, "erased", f.get("erased").Erased, true)
	totals, err := f.Totals(ctx(), f.now())
	must(t, err)
	same(t, "conflicts and dead letters", []int64{totals.Conflicts, totals.NewConflicts, totals.DeadLetters, totals.NewDead, totals.NewMissing},
		[]int64{1, 1, 2, 2, 0})
	oldest, last, err := f.EventSpan(ctx())
	must(t, err)
	same(t, "events", []int64{oldest, last}, []int64{1, 20})
	same(t, "changes", f.changes("revived"), []verdict.Change{verdict.ChangeExpected, verdict.ChangeMissing, verdict.ChangeRevived})
}

// A store of schema 1 can be read without a migration, as by a command while the daemon of
// the new version has not started yet.
func TestReadSchema1(t *testing.T) {
	path := schema1(t)
	before, err := os.ReadFile(path)
	must(t, err)
	s, err := OpenReadOnly(ctx(), path)
	must(t, err)
	list, err := s.ForwardFigures(ctx())
	must(t, err)
	same(t, "forwards", len(list), 0)
	wrong, err := s.Verify(ctx())
	must(t, err)
	same(t, "verify", wrong, []string(nil))
	must(t, s.Close())
	after, err := os.ReadFile(path)
	must(t, err)
	same(t, "the file is as it was", string(before) == string(after), true)
}

// A kill at any point of the migration leaves schema 1 or 2, whole: before the commit
// everything of it is in one transaction, which is rolled back.
func TestMigrateKilled(t *testing.T) {
	if path := os.Getenv("MOVERISD_TEST_MIGRATE"); path != "" {
		killMigrating(path)
	}
	for range 3 {
		path := schema1(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestMigrateKilled$")
		cmd.Env = append(os.Environ(), "MOVERISD_TEST_MIGRATE="+path)
		if err := cmd.Run(); err == nil {
			t.Fatal("it was not killed")
		}
		checkMigrated(t, openSchema1(t, path))
	}
}

// killMigrating runs all of the migration but its commit, and kills the process.
func killMigrating(path string) {
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		os.Exit(0)
	}
	script, err := schemaFiles.ReadFile("schema/0002.sql")
	if err != nil {
		os.Exit(0)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		os.Exit(0)
	}
	if _, err := tx.Exec("PRAGMA cache_size = 0;" + string(script) + "PRAGMA user_version = 2;"); err != nil {
		os.Exit(0)
	}
	me, _ := os.FindProcess(os.Getpid())
	_ = me.Kill()
	select {}
}
