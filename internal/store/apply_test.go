package store

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moverisd/moverisd/internal/verdict"
)

func TestApplyAndRedelivery(t *testing.T) {
	f := newFixture(t)
	in := f.heard(verdict.FormCompleted, "550e8400-e29b-41d4-a716-446655440000", "live", f.now())
	first := f.apply(in)
	if !first.New || first.Duplicate || first.Session.Outcome != verdict.Live {
		t.Errorf("first: %+v", first)
	}
	for range 2 {
		f.pass(time.Second)
		in.Observation.ObservedAt = f.now()
		if again := f.apply(in); again.New || !again.Duplicate || len(again.Changes) != 0 {
			t.Errorf("redelivery: %+v", again)
		}
	}
	v := f.get(in.SessionID)
	same(t, "records", f.kinds(in.SessionID), []string{"webhook"})
	same(t, "redelivered", v.Entries[0].Redelivered, 2)
	same(t, "body", string(v.Entries[0].Body), string(in.Body))
	same(t, "label", v.Entries[0].Label, "one")
	figures, err := f.Figures(ctx(), day(), f.now())
	must(t, err)
	same(t, "accepted", figures[FigureAccepted], 1)
	same(t, "duplicates", figures[FigureDuplicate], 2)
	list, err := f.Deliveries(ctx(), 0, 10)
	must(t, err)
	same(t, "deliveries", len(list), 1)
	one, err := f.Delivery(ctx(), list[0].Record)
	must(t, err)
	same(t, "delivery", string(one.Body), string(in.Body))
	if _, err := f.Delivery(ctx(), 99); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}

	f.pass(time.Hour)
	second := f.webhook(in.SessionID, "fake")
	same(t, "second verification", second.Changes, []verdict.Change{verdict.ChangeReverified})
	same(t, "verifications", f.get(in.SessionID).Session.Verifications, 2)
	f.sound()
}

// A duplicate in the same batch as its original is answered after the commit of both.
func TestDuplicateWaitsForTheOriginal(t *testing.T) {
	f := newFixture(t)
	in := f.heard(verdict.FormCompleted, "a", "live", f.now())
	release := f.hold()
	commits := f.queue.commits.Load()
	got := make(chan Receipt, 2)
	for range 2 {
		go func() {
			r, err := f.Apply(ctx(), in)
			if err != nil || f.queue.commits.Load() <= commits+1 {
				t.Errorf("answered after %d commits: %v", f.queue.commits.Load()-commits, err)
			}
			if _, err := f.Get(ctx(), "production", "a", false); err != nil {
				t.Errorf("answered, and not there: %v", err)
			}
			got <- r
		}()
	}
	f.waiting(2)
	release()
	if a, b := <-got, <-got; a.Duplicate == b.Duplicate {
		t.Errorf("both or none is the duplicate: %v", a.Duplicate)
	}
	f.sound()
}

func TestPollAfterWebhookAndConflict(t *testing.T) {
	f := newFixture(t)
	f.expect("a")
	f.webhook("a", "live")
	agrees := f.heard(verdict.FormJob, "a", "live", f.now())
	agrees.Attempt = &Attempt{At: f.now(), Sent: true, Answer: verdict.Said, Route: agrees.Observation.Route}
	same(t, "agreeing poll", len(f.apply(agrees).Changes), 0)
	contradicts := f.heard(verdict.FormJob, "a", "fake", f.now())
	contradicts.Attempt = agrees.Attempt
	same(t, "other poll", f.apply(contradicts).Changes, []verdict.Change{verdict.ChangeConflicted})
	v := f.get("a")
	same(t, "outcome", v.Session.Outcome, verdict.Live)
	same(t, "conflict", v.Session.Conflict, true)
	same(t, "route", v.Route, agrees.Observation.Route)
	same(t, "next poll", v.NextPollAt, time.Time{})
	totals, err := f.Totals(ctx(), f.now())
	must(t, err)
	same(t, "conflicts", totals.Conflicts, 1)
	same(t, "changes", f.changes("a"), []verdict.Change{verdict.ChangeExpected, verdict.ChangeSettled, verdict.ChangeConflicted})
	f.sound()
}

// A poll of a session that is not there (it was pruned meanwhile) makes a whole one, also
// where several routes were asked.
func TestPollOfAnUnknownSession(t *testing.T) {
	f := newFixture(t)
	in := f.heard(verdict.FormJob, "a", "live", f.now())
	in.Attempt = &Attempt{At: f.now(), Sent: true, Answer: verdict.Said, Route: in.Observation.Route, Routes: []RouteResult{
		{"/api/v1/result/{job_id}", 404, "not_found"}, {in.Observation.Route, 200, "settles"}}}
	f.apply(in)
	same(t, "records", f.kinds("a"), []string{"attempt", "poll"})
	f.sound()
}

// What is folded from memory is what is folded from the file, whatever the times are.
func TestTimesAsReadBack(t *testing.T) {
	f := newFixture(t)
	for i, at := range []time.Time{
		{}, time.Unix(0, 0), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1815, 6, 18, 0, 0, 0, 0, time.UTC), time.Date(2262, 4, 11, 23, 47, 16, 0, time.UTC),
		time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		f.now().Add(123456 * time.Nanosecond), f.now().In(time.FixedZone("x", 3600)),
	} {
		id := string(rune('a' + i))
		in := f.heard(verdict.FormCompleted, id, "live", at)
		in.Observation.CompletedAt, in.Observation.ObservedAt = at, f.now().Add(999*time.Microsecond)
		in.Observation.RepeatAfter = 1500 * time.Microsecond
		got := f.apply(in).Session
		same(t, "session at "+at.String(), f.get(id).Session, got, foldOptions())
		submitted := f.heard(verdict.FormSubmitted, id, "", at)
		submitted.Observation.WebhookDueAt = f.now().Add(time.Minute + time.Microsecond)
		submitted.Observation.RepeatAfter = 1500 * time.Microsecond
		got = f.apply(submitted).Session
		same(t, "submitted at "+at.String(), f.get(id).Session, got, foldOptions())
		got = f.expect(id, func(e *Expectation) { e.Grace, e.Again = time.Second+time.Nanosecond, true }).Session
		same(t, "expected at "+at.String(), f.get(id).Session, got, foldOptions())
	}
	if _, err := f.Apply(ctx(), Observed{Account: "production", SessionID: "x", Observation: verdict.Observation{
		Source: verdict.Poll, Form: verdict.FormCompleted, ObservedAt: f.now()}}); err == nil {
		t.Error("a poll in the form of a webhook was taken")
	}
	f.sound()
}

func foldOptions() cmp.Option {
	return cmp.Exporter(func(reflect.Type) bool { return true })
}

// Labels and routes are there as soon as what refers to them is committed, and inside the
// transaction that writes them.
func TestNamesOfTheSameTransaction(t *testing.T) {
	f := newFixture(t)
	in := f.heard(verdict.FormCompleted, "a", "live", f.now())
	in.Account, in.Observation.Label = "fresh", "fresh label"
	must(t, f.queue.do(ctx(), func(tx *txn) error {
		if _, err := tx.apply(in); err != nil {
			return err
		}
		k, err := tx.load("fresh", "a")
		if err != nil {
			return err
		}
		if k.row.name != "fresh" || k.recs[0].label != "fresh label" {
			t.Errorf("account %q, label %q", k.row.name, k.recs[0].label)
		}
		return nil
	}))
	failed := errors.New("failed")
	err := f.queue.do(ctx(), func(tx *txn) error {
		_, err := tx.name("rolled back")
		return errors.Join(failed, err)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	in.SessionID, in.Observation.Label = "b", "another label"
	in.Observation.Digest[0]++
	f.apply(in)
	v, err := f.Get(ctx(), "fresh", "b", false)
	must(t, err)
	same(t, "label", v.Entries[0].Label, "another label")
	f.reopen()
	v, err = f.Get(ctx(), "fresh", "b", false)
	must(t, err)
	same(t, "label", v.Entries[0].Label, "another label")
}

// A refusal writes nothing, not even the account's name.
func TestRefusalsWriteNothing(t *testing.T) {
	f := newFixture(t)
	_, err := f.Withdraw(ctx(), "nobody", "a", -1, f.now())
	_, err2 := f.Defer(ctx(), Deferred{Account: "nobody", SessionID: "a"})
	err3 := f.AckSession(ctx(), AckMissing, "nobody", "a", 0, f.now())
	err4 := f.Erase(ctx(), "nobody", "a", 0, f.now())
	for _, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	var n int
	must(t, f.reader.QueryRow("SELECT count(*) FROM accounts").Scan(&n))
	same(t, "accounts", n, 0)
}
