package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func (f *fixture) dueIDs(n, turn int) []string {
	f.t.Helper()
	list, err := f.Due(ctx(), "production", f.now(), n, turn)
	must(f.t, err)
	var ids []string
	for _, d := range list {
		ids = append(ids, d.SessionID)
	}
	return ids
}

func TestDueShares(t *testing.T) {
	f := newFixture(t)
	for i := range 10 { // retries: asked once
		f.expect(fmt.Sprint("r", i))
	}
	f.pass(time.Minute)
	for i := range 10 {
		f.pass(time.Millisecond)
		f.deferred(fmt.Sprint("r", i), verdict.NoAnswer, RouteResult{"r", 502, "server_error"})
	}
	for i := range 10 {
		f.pass(time.Second)
		f.expect(fmt.Sprint("n", i), withJob(fmt.Sprint("job", i)))
	}
	f.pass(10 * time.Minute)
	same(t, "eight", f.dueIDs(8, 0), []string{"n9", "r0", "n8", "n0", "n7", "r1", "n6", "n1"})
	same(t, "one, turn by turn", slices.Concat(f.dueIDs(1, 0), f.dueIDs(1, 1), f.dueIDs(1, 2), f.dueIDs(1, 3)), []string{"n9", "r0", "n9", "n0"})
	all := f.dueIDs(100, 0)
	slices.Sort(all)
	same(t, "unused shares pass on, nobody twice", len(slices.Compact(all)), 20)
	n, err := f.CountDue(ctx(), "production", f.now(), 15)
	must(t, err)
	same(t, "counted up to a limit", n, 15)
	list, err := f.Due(ctx(), "production", f.now(), 1, 0)
	must(t, err)
	same(t, "due", list[0], DueSession{SessionID: "n9", JobID: "job9"})
	if list, err := f.Due(ctx(), "nobody", f.now(), 5, 0); err != nil || list != nil {
		t.Error(list, err)
	}
	f.clock.Store(day().UnixMilli())
	same(t, "before they are due", f.dueIDs(9, 0), []string(nil))
}

func TestPromote(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	for i := range 2*promoteMax + 1 {
		wg.Go(func() { f.expect(fmt.Sprint("a", i)) })
	}
	wg.Wait()
	f.expect("later", func(e *Expectation) { e.Grace = time.Hour })
	f.pass(2 * time.Minute)
	before, err := f.Totals(ctx(), f.now())
	must(t, err)
	n, err := f.Promote(ctx(), f.now())
	must(t, err)
	same(t, "promoted", n, 2*promoteMax+1)
	after, err := f.Totals(ctx(), f.now())
	must(t, err)
	same(t, "totals", after, before)
	same(t, "overdue", after.States[verdict.Overdue], 2*promoteMax+1)
	same(t, "awaiting", after.States[verdict.Awaiting], 1)
	same(t, "oldest", after.OldestDue, time.Minute)
	f.sound()
}

// plan is SQLite's plan for a query.
func (f *fixture) plan(query string, args ...any) string {
	f.t.Helper()
	rows, err := f.writer.Query("EXPLAIN QUERY PLAN "+query, args...)
	must(f.t, err)
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var id, parent, unused int
		var line string
		must(f.t, rows.Scan(&id, &parent, &unused, &line))
		lines = append(lines, line)
	}
	must(f.t, rows.Err())
	return strings.Join(lines, "\n")
}

// No query that is run often looks at all sessions.
func TestQueryPlans(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "live")
	type query struct {
		name, sql string
		sorted    bool // must come out of the index in order
		args      []any
	}
	list := []query{
		{"count due", countDueSQL, true, []any{1, 1, 1}},
		{"promote", promoteSQL, true, []any{1, 1}},
		{"totals", lateSQL, true, []any{1}},
		{"open by account", openByAccountSQL, false, nil},
		{"acknowledge missing", ackMissingSQL, true, []any{1, 1}},
		{"acknowledge conflicts", ackConflictsSQL, true, []any{1, 1}},
	}
	for i, q := range dueSQL() {
		list = append(list, query{fmt.Sprint("due ", i), q, true, []any{1, 1, 1}})
	}
	for _, st := range []verdict.State{verdict.Awaiting, verdict.Overdue, verdict.Missing, verdict.Withdrawn} {
		where, args, err := f.where(Filter{State: st, After: "7"})
		must(t, err)
		list = append(list, query{"list " + string(st), "SELECT " + rowColumns + " FROM sessions" + where + " ORDER BY id DESC LIMIT ?",
			st == verdict.Missing || st == verdict.Withdrawn, append(args, 1)})
	}
	where, args, err := f.where(Filter{Conflict: true})
	must(t, err)
	list = append(list, query{"list conflicts", "SELECT " + rowColumns + " FROM sessions" + where + " ORDER BY id DESC LIMIT ?", true, append(args, 1)})
	for _, q := range list {
		plan := f.plan(q.sql, q.args...)
		for _, line := range strings.Split(plan, "\n") {
			// A whole partial index may be read: it holds no more than what is looked for.
			scans := strings.HasPrefix(line, "SCAN sessions") && !strings.Contains(line, "USING INDEX sessions_")
			if scans || q.sorted && strings.Contains(line, "TEMP B-TREE") {
				t.Errorf("%s: %s\n%s", q.name, line, plan)
			}
		}
		if !strings.Contains(plan, "sessions_") {
			t.Errorf("%s uses no index:\n%s", q.name, plan)
		}
	}
	if plan := f.plan(pruneEventsSQL, 1, 1, 1); !strings.Contains(plan, "SCAN events") || strings.Contains(plan, "TEMP") {
		t.Errorf("prune events:\n%s", plan)
	}
}
