package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func TestAck(t *testing.T) {
	f := newFixture(t)
	const n = ackMax + 3
	f.webhooks("c", n)
	for i := range n {
		id := fmt.Sprint("c", i)
		in := f.heard(verdict.FormSubmitted, id, "fake", f.now())
		f.apply(in)
	}
	f.missing("m1")
	f.missing("m2")
	totals := func(conflicts, missing int64) {
		t.Helper()
		got, err := f.Totals(ctx(), f.now())
		must(t, err)
		same(t, "new conflicts and missing", [2]int64{got.NewConflicts, got.NewMissing}, [2]int64{conflicts, missing})
		f.sound()
	}
	totals(n, 2)
	must(t, f.AckSession(ctx(), AckMissing, "production", "m1", 1000, f.now()))
	must(t, f.AckSession(ctx(), AckMissing, "production", "m1", 1000, f.now()))
	if err := f.AckSession(ctx(), AckConflicts, "production", "m1", 1000, f.now()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	totals(n, 1)
	entries := f.get("m1").Entries
	last := entries[len(entries)-1]
	same(t, "who", last.By, 1000)
	same(t, "what", last.Kind+" "+last.Word, "acked missing")
	for what, want := range map[string]int{AckMissing: 1, AckConflicts: n} {
		for _, want := range []int{want, 0} {
			got, err := f.AckAll(ctx(), what, -1, f.now())
			must(t, err)
			same(t, what, got, want)
		}
	}
	totals(0, 0)
	f.expect("m1", withJob("j")) // revived: the next time it is missing is news
	f.pass(time.Hour)
	for range 4 {
		f.pass(time.Hour)
		f.miss("m1")
	}
	same(t, "missing", f.get("m1").State, verdict.Missing)
	totals(0, 1)
}

// inFile reports whether bytes are anywhere in the database file once the log is in it.
func (f *fixture) inFile(what []byte) bool {
	f.t.Helper()
	// The store's own checkpointer may be at it: then SQLite says busy, and nothing else.
	for tries := 0; ; tries++ {
		var busy, log, done int
		must(f.t, f.writer.QueryRow("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done))
		if busy == 0 && log == done {
			break
		}
		if tries > 500 {
			f.t.Fatalf("checkpointed %d of %d, busy %d", done, log, busy)
		}
		time.Sleep(10 * time.Millisecond)
	}
	data, err := os.ReadFile(f.path)
	must(f.t, err)
	return bytes.Contains(data, what)
}

func TestErase(t *testing.T) {
	f := newFixture(t)
	for i, size := range []int{50, 20000} { // in its page, and in pages of its own
		id := fmt.Sprint("s", i)
		secret := strings.Repeat(fmt.Sprint("secret", i), size/7)
		in := f.heard(verdict.FormCompleted, id, "live", f.now())
		in.Body = []byte(secret)
		f.webhook(id+"before", "live")
		f.expect(id, withMeta(`{"name":"Person`+id+`"}`))
		f.apply(in)
		f.webhook(id+"after", "live")
		if !f.inFile([]byte(secret[:40])) || !f.inFile([]byte("Person"+id)) {
			t.Fatal("it is not in the file to begin with")
		}
		before := f.get(id).Session
		must(t, f.Erase(ctx(), "production", id, 0, f.now()))
		v := f.get(id)
		same(t, "session", v.Session, before, foldOptions())
		same(t, "records", f.kinds(id), []string{"expected", "webhook", "erased"})
		same(t, "erased", v.Erased, true)
		same(t, "metadata", v.Metadata, "")
		same(t, "body", v.Entries[1].Body, []byte(nil))
		same(t, "digest", v.Entries[1].Digest, in.Observation.Digest[:])
		if f.inFile([]byte(secret[:40])) || f.inFile([]byte("Person"+id)) {
			t.Error("it is still in the file")
		}
		if !f.apply(in).Duplicate || f.inFile([]byte(secret[:40])) {
			t.Error("a redelivery brings it back")
		}
		f.expect(id, withMeta(`{"name":"Person`+id+`"}`))
		same(t, "metadata announced again", f.get(id).Metadata, "")
	}
	f.sound()
}

func TestVerifyFinds(t *testing.T) {
	for name, query := range map[string]string{
		"a total":                "UPDATE totals SET n = n + 1 WHERE total = 3",
		"a deleted record":       "DELETE FROM records WHERE id = 3",
		"a deleted first record": "DELETE FROM records WHERE id = 1",
		"a deleted newest one":   "DELETE FROM records WHERE id = (SELECT head FROM sessions WHERE id = 2)",
		"an older head":          "UPDATE sessions SET head = (SELECT prev FROM records WHERE id = head) WHERE id = 2",
		"a record of another":    "UPDATE records SET session = 1 WHERE id = 5",
		"a deleted session":      "DELETE FROM sessions WHERE id = 3",
		"a deleted event":        "DELETE FROM events WHERE seq = 2",
		"an account":             "DELETE FROM accounts",
	} {
		f := newFixture(t)
		for i := range 9 {
			f.webhook(fmt.Sprint(i%3), "live")
			f.pass(time.Second)
		}
		f.sound()
		f.raw(query)
		wrong, err := f.Verify(ctx())
		must(t, err)
		if len(wrong) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

func (f *fixture) rebuild(apply bool) []string {
	f.t.Helper()
	var out []string
	var done int64
	must(f.t, f.Rebuild(ctx(), apply, func(d Difference) { out = append(out, d.SessionID+": "+d.What) }, func(n int64) { done = n }))
	var n int64
	must(f.t, f.reader.QueryRow("SELECT count(*) FROM sessions").Scan(&n))
	same(f.t, "progress", done, n)
	return out
}

func TestRebuild(t *testing.T) {
	f := newFixture(t)
	f.webhooks("s", 2*rebuildBatch)
	f.missing("gone")
	f.expect("open")
	same(t, "healthy", f.rebuild(false), []string(nil))
	f.raw("UPDATE sessions SET state = 4, outcome = NULL, first_by = NULL WHERE session_id = 's7'")
	f.raw("UPDATE sessions SET outcome = 2 WHERE session_id = 's300'")
	f.raw("UPDATE sessions SET state = 1, grace_until_ms = 5, next_poll_at_ms = 5 WHERE session_id = 'gone'")
	f.raw("UPDATE sessions SET next_poll_at_ms = NULL WHERE session_id = 'open'")
	f.raw("UPDATE totals SET n = n - 1 WHERE total = 3")
	f.raw("UPDATE totals SET n = n + 1 WHERE total = 4")
	f.raw("UPDATE totals SET n = n + 1 WHERE total = 13")
	f.raw("UPDATE totals SET n = n - 1 WHERE total = 4") // s7 in, gone out
	f.raw("UPDATE totals SET n = n - 1 WHERE total = 13")
	f.raw("UPDATE totals SET n = n + 1 WHERE total = 1")
	found := f.rebuild(false)
	same(t, "found", len(found), 4)
	slices.Sort(found)
	same(t, "the last of them", found[3], "s7: state: missing, should be settled; outcome: none, should be live; first by: none, should be webhook")
	applied := f.rebuild(true)
	slices.Sort(applied)
	same(t, "applied", applied, found)
	same(t, "mended", f.rebuild(false), []string(nil))
	same(t, "changes", f.changes("s7"), []verdict.Change{verdict.ChangeSettled, verdict.ChangeSettled})
	same(t, "due", f.get("open").NextPollAt, f.now().Add(time.Minute))
	f.sound()
}

// A chain that cannot be read is reported, never taken for evidence, and stops nobody else.
func TestBrokenChain(t *testing.T) {
	f := newFixture(t)
	for _, id := range []string{"a", "b", "c"} {
		f.webhook(id, "live")
		f.pass(time.Second)
		f.webhook(id, "fake")
	}
	f.raw("DELETE FROM records WHERE id = 3")
	if _, err := f.Get(ctx(), "production", "b", false); !errors.Is(err, ErrCorrupt) || errors.Is(err, sql.ErrNoRows) {
		t.Error(err)
	}
	if _, err := f.Apply(ctx(), f.heard(verdict.FormCompleted, "b", "live", f.now())); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	f.webhook("c", "live")
	for _, apply := range []bool{false, true} {
		if found := f.rebuild(apply); len(found) != 1 || !strings.HasPrefix(found[0], "b: the store is corrupt") {
			t.Errorf("%q", found)
		}
	}
	f.raw("UPDATE records SET prev = 5 WHERE id = 5") // a ring
	if _, err := f.Get(ctx(), "production", "c", false); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// What the configuration decides about asking is no difference.
func TestRebuildWithConfirmation(t *testing.T) {
	f := newFixture(t)
	f.apply(f.heard(verdict.FormSubmitted, "before", "live", f.now()))
	p := testPolicy()
	p.ConfirmSubmitted = true
	f.SetPolicy(func(string) verdict.Policy { return p })
	f.apply(f.heard(verdict.FormSubmitted, "after", "live", f.now()))
	for range verdict.AnswersMin {
		f.pass(time.Hour)
		f.miss("after")
	}
	same(t, "given up confirming", f.get("after").NextPollAt, time.Time{})
	f.apply(f.heard(verdict.FormSubmitted, "later", "live", f.now()))
	f.sound()
	f.SetPolicy(func(string) verdict.Policy { return testPolicy() })
	f.sound()
}
