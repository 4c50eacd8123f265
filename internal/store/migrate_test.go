package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// oldStore copies a store in testdata that was written by the last version with its schema.
//
//   - 1: a session in every state, conflicts, dead letters, 20 events.
//   - 2: forwards a and b, of which a has a dead letter (event 2), two pending events (3, 4) and
//     nine in packs (6, 7, 9 to 14, of the sessions packed, pending, erased and many0 to many4).
func oldStore(t *testing.T, schema int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("testdata/schema-%04d.sqlite", schema))
	must(t, err)
	path := filepath.Join(t.TempDir(), "moverisd.db")
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

func openOld(t *testing.T, path string) *fixture {
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
	f := openOld(t, oldStore(t, 1))
	checkSchema1(t, f)
	f.forwarded("a")
	f.webhook("overdue", "live")
	same(t, "forwarded", f.turns("a"), []int64{21})
	f.sound()
	f.reopen()
	f.sound()
}

func checkSchema1(t *testing.T, f *fixture) {
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

// What was packed by schema 2 is sent as it was written then, and is not lost with the session it
// belongs to; what is packed now comes after it.
func TestMigrateSchema2(t *testing.T) {
	f := openOld(t, oldStore(t, 2))
	f.forwarded("a", "b")
	f.sound()
	list, err := f.ForwardFigures(ctx())
	must(t, err)
	same(t, "pending", []int64{list[0].Pending, list[1].Pending}, []int64{10, 10})
	f.webhook("pending", "fake")
	checkSchema2(t, f)
	f.reopen()
	checkSchema2(t, f)

	f = openOld(t, oldStore(t, 2))
	f.forwarded("a", "b")
	f.pass(month)
	f.prune(Retention{Settled: time.Hour, All: true})
	f.sound2(1) // awaiting
	f.checkPayloads()
}

func checkSchema2(t *testing.T, f *fixture) {
	t.Helper()
	same(t, "id", f.ID(), "a0a53040b84b")
	var got []string
	for _, dead := range []bool{false, true} {
		list, err := f.Letters(ctx(), "a", dead, 0, 100)
		must(t, err)
		for _, l := range list {
			got = append(got, fmt.Sprintf("%s %d %s %s %t", l.ID, l.Seq, l.SessionID, l.Change, l.Dead))
		}
	}
	same(t, "letters", got, []string{"evt_a0a53040b84b_3 3 pending settled false", "evt_a0a53040b84b_4 4 pending reverified false",
		"evt_a0a53040b84b_6 6 packed settled false", "evt_a0a53040b84b_7 7 pending reverified false", "evt_a0a53040b84b_9 9 erased settled false",
		"evt_a0a53040b84b_10 10 many4 settled false", "evt_a0a53040b84b_11 11 many0 settled false", "evt_a0a53040b84b_12 12 many1 settled false",
		"evt_a0a53040b84b_13 13 many2 settled false", "evt_a0a53040b84b_14 14 many3 settled false", "evt_a0a53040b84b_16 16 pending reverified false",
		"evt_a0a53040b84b_2 2 dead settled true"})
	same(t, "due", f.turns("a"), []int64{3, 6, 9, 10, 11, 12, 13, 14})
	f.checkPayloads()
	same(t, "what is sent about what came later", f.payload(16),
		`{"type":"session.reverified","data":{"event":{"seq":16,"metadata":null},"session":{"session_id":"pending","metadata":null,"score":94.10,"n":4}}}`)
	wrong, err := f.Verify(ctx())
	must(t, err)
	same(t, "verify", wrong, []string(nil))
}

// checkPayloads looks at what is sent about the events of the store of schema 2.
func (f *fixture) checkPayloads() {
	f.t.Helper()
	for seq, want := range map[int64]string{
		2: `{"type":"session.settled","data":{"event":{"seq":2,"metadata":{"customer":"c-1"}},"session":{"session_id":"dead","metadata":{"customer":"c-1"},"score":94.10,"n":2}}}`,
		6: `{"type":"session.settled","data":{"event":{"seq":6,"metadata":{"customer":"c-2"}},"session":{"session_id":"packed","metadata":{"customer":"c-2"},"score":94.10,"n":2}}}`,
		7: `{"type":"session.reverified","data":{"event":{"seq":7,"metadata":null},"session":{"session_id":"pending","metadata":null,"score":94.10,"n":3}}}`,
		9: `{"type":"session.settled","data":{"event":{"seq":9,"metadata":null},"session":{"session_id":"erased","metadata":null,"score":94.10,"n":2}}}`,
	} {
		same(f.t, fmt.Sprint("what is sent about ", seq), f.payload(seq), want)
	}
}

// A store of an older schema can be read without a migration, as by a command while the daemon
// of the new version has not started yet.
func TestReadOldSchema(t *testing.T) {
	for schema := 1; schema < SchemaVersion; schema++ {
		path := oldStore(t, schema)
		before, err := os.ReadFile(path)
		must(t, err)
		s, err := OpenReadOnly(ctx(), path)
		must(t, err)
		list, err := s.ForwardFigures(ctx())
		must(t, err)
		pending := int64(0)
		for _, l := range list {
			pending += l.Pending
		}
		same(t, "pending", pending, map[int]int64{2: 20}[schema])
		page, _, err := s.List(ctx(), Filter{})
		must(t, err)
		same(t, "sessions", len(page) > 5, true)
		_, err = s.Get(ctx(), "", page[0].ID, true)
		must(t, err)
		wrong, err := s.Verify(ctx())
		must(t, err)
		same(t, "verify", wrong, []string(nil))
		must(t, s.Close())
		after, err := os.ReadFile(path)
		must(t, err)
		same(t, "the file is as it was", string(before) == string(after), true)
	}
}

// A kill at any point of a migration leaves the old schema or the new one, whole: before the
// commit everything of a step is in one transaction, which is rolled back.
func TestMigrateKilled(t *testing.T) {
	if path := os.Getenv("MOVERISD_TEST_MIGRATE"); path != "" {
		killMigrating(path)
	}
	for schema, check := range map[int]func(*testing.T, *fixture){1: checkSchema1, 2: func(t *testing.T, f *fixture) {
		f.forwarded("a")
		f.webhook("pending", "fake")
		checkSchema2(t, f)
	}} {
		path := oldStore(t, schema)
		cmd := exec.Command(os.Args[0], "-test.run=^TestMigrateKilled$")
		cmd.Env = append(os.Environ(), "MOVERISD_TEST_MIGRATE="+path)
		if err := cmd.Run(); err == nil {
			t.Fatal("it was not killed")
		}
		check(t, openOld(t, path))
	}
}

// killMigrating runs all of the next step of the migration but its commit, and kills the process.
func killMigrating(path string) {
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		os.Exit(0)
	}
	var have int
	if err := db.QueryRow("PRAGMA user_version").Scan(&have); err != nil {
		os.Exit(0)
	}
	script, err := schemaFiles.ReadFile(fmt.Sprintf("schema/%04d.sql", have+1))
	if err != nil {
		os.Exit(0)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		os.Exit(0)
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA cache_size = 0; %s PRAGMA user_version = %d;", script, have+1)); err != nil {
		os.Exit(0)
	}
	me, _ := os.FindProcess(os.Getpid())
	_ = me.Kill()
	select {}
}
