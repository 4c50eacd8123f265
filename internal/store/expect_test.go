package store

import (
	"errors"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func withJob(job string) func(*Expectation)   { return func(e *Expectation) { e.JobID = job } }
func withMeta(text string) func(*Expectation) { return func(e *Expectation) { e.Metadata = text } }
func again(e *Expectation)                    { e.Again = true }

func TestExpectFillsAndDiffers(t *testing.T) {
	f := newFixture(t)
	if r := f.expect("a"); !r.New || r.Duplicate {
		t.Errorf("new: %+v", r)
	}
	grace := f.get("a").Session.GraceUntil
	same(t, "grace", grace, f.now().Add(time.Minute))
	f.pass(10 * time.Second)
	if r := f.expect("a", func(e *Expectation) { e.Grace = time.Hour }); r.New || !r.Duplicate {
		t.Errorf("repeated: %+v", r)
	}
	f.expect("a", withJob("j1"), withMeta(`{"a":1}`))
	f.expect("a", withJob("j1"), withMeta(`{"a":1}`))
	v := f.get("a")
	same(t, "job", v.JobID, "j1")
	same(t, "metadata", v.Metadata, `{"a":1}`)
	same(t, "grace", v.Session.GraceUntil, grace)
	same(t, "first due", v.NextPollAt, grace)
	for field, change := range map[string]func(*Expectation){"job_id": withJob("j2"), "metadata": withMeta(`{}`)} {
		_, err := f.Expect(ctx(), func() Expectation {
			e := Expectation{Account: "production", SessionID: "a", At: f.now()}
			change(&e)
			return e
		}())
		var differs *Differs
		if !errors.As(err, &differs) || differs.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	same(t, "records", f.kinds("a"), []string{"expected", "filled", "filled"})
	same(t, "changes", f.changes("a"), []verdict.Change{verdict.ChangeExpected})
	f.sound()
}

func TestExpectTouchesNoOutcome(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "fake")
	f.pass(time.Minute)
	f.expect("a", withJob("j"))
	v := f.get("a")
	same(t, "state", v.State, verdict.Settled)
	same(t, "next poll", v.NextPollAt, time.Time{})
	f.expect("a", again)
	f.expect("a", again) // waited for already
	v = f.get("a")
	same(t, "awaiting again", v.Session.AwaitingAgain, true)
	same(t, "outcome", v.Session.Outcome, verdict.Fake)
	open, err := f.OpenByAccount(ctx())
	must(t, err)
	same(t, "open", open, map[string]int64{"production": 1})
	f.pass(time.Minute)
	f.webhook("a", "live")
	v = f.get("a")
	same(t, "awaiting again", v.Session.AwaitingAgain, false)
	same(t, "outcome", v.Session.Outcome, verdict.Live)
	f.sound()
}

// missing makes a session missing.
func (f *fixture) missing(id string, change ...func(*Expectation)) {
	f.t.Helper()
	f.expect(id, change...)
	for range 50 {
		f.pass(2 * time.Minute)
		if v := f.get(id); v.State == verdict.Missing {
			return
		}
		f.miss(id)
	}
	f.t.Fatalf("%s is never missing", id)
}

func TestNewJobMakesDueNow(t *testing.T) {
	f := newFixture(t)
	f.expect("overdue")
	f.pass(2 * time.Minute)
	f.deferred("overdue", verdict.NotThere, RouteResult{"r", 404, "not_found"})
	if next := f.get("overdue").NextPollAt; !next.After(f.now()) {
		t.Fatalf("next poll at %s", next)
	}
	f.expect("overdue", withJob("j"))
	same(t, "next poll", f.get("overdue").NextPollAt, f.now())

	f.missing("missing")
	f.expect("missing")
	same(t, "state", f.get("missing").State, verdict.Missing)
	r := f.expect("missing", withJob("j")) // in the millisecond of giving up, too
	same(t, "changes", r.Changes, []verdict.Change{verdict.ChangeRevived})
	v := f.get("missing")
	same(t, "state", v.State, verdict.Overdue)
	same(t, "next poll", v.NextPollAt, f.now())
	f.sound()
}

// A clock that is set back takes nothing of what a person does.
func TestClockSetBack(t *testing.T) {
	f := newFixture(t)
	f.missing("a")
	f.pass(-3 * time.Hour)
	f.expect("a", again)
	same(t, "expected again", f.get("a").State, verdict.Awaiting)
	f.pass(-time.Hour)
	_, err := f.Withdraw(ctx(), "production", "a", 7, f.now())
	must(t, err)
	v := f.get("a")
	same(t, "withdrawn", v.State, verdict.Withdrawn)
	same(t, "by", v.Entries[len(v.Entries)-1].By, 7)
	f.sound()
}

// Marks that are brought again, as a restore does, are there once.
func TestMarksOnce(t *testing.T) {
	f := newFixture(t)
	start := f.now()
	f.expect("a")
	f.pass(time.Second)
	f.webhook("a", "live")
	second := f.now()
	f.expect("a", again)
	f.pass(time.Second)
	f.webhook("a", "fake")
	third := f.now()
	f.expect("a", again)
	withdrawn := f.now().Add(time.Second)
	_, err := f.Withdraw(ctx(), "production", "a", -1, withdrawn)
	must(t, err)
	before := f.get("a")
	for _, at := range []time.Time{start, second, third} {
		f.expect("a", func(e *Expectation) { e.At, e.Again = at, at != start })
	}
	_, err = f.Withdraw(ctx(), "production", "a", -1, withdrawn)
	must(t, err)
	same(t, "session", f.get("a").Session, before.Session, foldOptions())
	same(t, "records", len(f.get("a").Entries), len(before.Entries))
}

func TestWithdraw(t *testing.T) {
	f := newFixture(t)
	f.expect("a")
	for range 2 {
		_, err := f.Withdraw(ctx(), "production", "a", 1000, f.now())
		must(t, err)
	}
	v := f.get("a")
	same(t, "state", v.State, verdict.Withdrawn)
	same(t, "next poll", v.NextPollAt, time.Time{})
	same(t, "records", f.kinds("a"), []string{"expected", "withdrawn"})
	f.webhook("a", "live") // a late one still wins
	same(t, "changes", f.changes("a"), []verdict.Change{verdict.ChangeExpected, verdict.ChangeWithdrawn, verdict.ChangeRevived})
	r, err := f.Withdraw(ctx(), "production", "a", 1000, f.now())
	must(t, err)
	same(t, "settled", r.Duplicate, true)
	f.sound()
}

func TestDefer(t *testing.T) {
	f := newFixture(t)
	f.expect("outage")
	f.pass(time.Minute)
	for i := range 300 { // more than a day, with changing failures of two routes
		f.pass(6 * time.Minute)
		f.deferred("outage", verdict.NoAnswer, RouteResult{"a", 502 + i%3, "server_error"}, RouteResult{"b", 0, "transport"})
	}
	v := f.get("outage")
	same(t, "state", v.State, verdict.Overdue)
	same(t, "attempts", v.Attempts, 0)
	if n := len(v.Entries); n > 5 {
		t.Errorf("%d records of an outage", n)
	}
	f.missing("a")
	v = f.get("a")
	same(t, "last record", v.Entries[len(v.Entries)-1].Kind, "gave_up")
	same(t, "changes", f.changes("a"), []verdict.Change{verdict.ChangeExpected, verdict.ChangeMissing})
	if v.Attempts < verdict.AnswersMin || f.now().Before(v.Session.GraceUntil.Add(time.Hour)) {
		t.Errorf("given up after %d attempts at %s", v.Attempts, f.now())
	}
	f.webhook("a", "live")
	same(t, "late webhook", f.get("a").State, verdict.Settled)
	f.sound()
}

// Even a backoff of a second makes no endless chain.
func TestAttemptsAreBounded(t *testing.T) {
	f := newFixture(t)
	p := testPolicy()
	p.BackoffMin, p.BackoffMax, p.GiveUpAfter = time.Second, time.Second, 24*time.Hour
	f.SetPolicy(func(string) verdict.Policy { return p })
	f.expect("a")
	f.pass(time.Minute)
	for range 3 * attemptsKept {
		f.pass(2 * time.Second)
		f.miss("a")
	}
	same(t, "records", len(f.get("a").Entries), attemptsKept+1)
	same(t, "attempts", f.get("a").Attempts, 3*attemptsKept)
	f.sound()
}

// With the clock in doubt, an attempt counts for nothing.
func TestHold(t *testing.T) {
	f := newFixture(t)
	f.expect("a")
	for range 10 {
		f.pass(time.Hour)
		_, err := f.Defer(ctx(), Deferred{Account: "production", SessionID: "a", Attempt: Attempt{At: f.now(), Sent: true,
			Answer: verdict.NotThere, Hold: true, Routes: []RouteResult{{"r", 404, "not_found"}}}})
		must(t, err)
	}
	same(t, "state", f.get("a").State, verdict.Overdue)
	same(t, "records", len(f.get("a").Entries), 2)
}
