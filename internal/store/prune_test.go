package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

const month = 30 * 24 * time.Hour

func (f *fixture) prune(r Retention) Pruned {
	f.t.Helper()
	out, err := f.Prune(ctx(), r, f.now())
	must(f.t, err)
	return out
}

func TestPruneSessions(t *testing.T) {
	f := newFixture(t)
	f.expect("open")
	f.webhook("again", "live")
	f.expect("again", again)
	f.webhook("heard", "live")
	f.expect("off")
	_, err := f.Withdraw(ctx(), "production", "off", -1, f.now())
	must(t, err)
	f.webhook("old", "live")
	f.missing("missing")
	f.pass(month)
	f.webhook("heard", "fake")
	f.webhook("young", "live")
	same(t, "kept for ever", f.prune(Retention{}), Pruned{})
	f.pass(2 * month)
	f.webhook("young", "live")
	same(t, "pruned", f.prune(Retention{Settled: month + time.Hour}), Pruned{Sessions: 4})
	same(t, "kept", f.list(Filter{Limit: 100}), []string{"young", "again", "open"})
	f.sound2(3)
	f.reopen()
	f.sound2(3)
	f.webhook("old", "fake")
	same(t, "a new session", f.get("old").Session.Verifications, 1)
	f.sound2(4)
}

func TestPruneIsLimited(t *testing.T) {
	f := newFixture(t)
	const n = 60 * pruneShare // 5 % are less than what a run may delete anyhow
	f.webhooks("s", n)
	f.pass(month)
	left := int64(n)
	for range 2 {
		out := f.prune(Retention{Settled: time.Hour})
		left -= out.Sessions
		same(t, "a run", out, Pruned{Sessions: pruneFree, Limited: true})
		f.sound2(left)
	}
	out := f.prune(Retention{Settled: time.Hour, All: true})
	same(t, "all", out, Pruned{Sessions: left})
	f.sound2(0)
}

// sound2 is sound after sessions were pruned, whose figures are kept.
func (f *fixture) sound2(sessions int64) {
	f.t.Helper()
	wrong, err := f.Verify(ctx())
	must(f.t, err)
	same(f.t, "verify", wrong, []string(nil))
	totals, err := f.Totals(ctx(), f.now())
	must(f.t, err)
	var sum int64
	for _, n := range totals.States {
		sum += n
	}
	same(f.t, "sessions", sum, sessions)
}

// A session heard of between the look and the deletion is kept.
func TestPruneKeepsWhatIsHeardMeanwhile(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "live")
	f.webhook("b", "live")
	f.pass(month)
	before := f.now().Add(-time.Hour)
	picked, _, err := f.prunable(ctx(), 0, before)
	must(t, err)
	same(t, "picked", picked, []int64{1, 2})
	f.webhook("a", "fake")
	f.expect("b", again)
	n, err := f.deleteSessions(ctx(), picked, before)
	must(t, err)
	same(t, "deleted", n, 0)
	f.sound()
}

func TestPruneFiguresAndDeadLetters(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "live")
	const n = 3 * pruneBatch
	for i := range n {
		reason := "not_json"
		if i%5 == 0 {
			reason = ""
		}
		_, err := f.KeepLoose(ctx(), Loose{Account: "production", Reason: reason, At: f.now(), Digest: fmt.Append(nil, i)})
		must(t, err)
	}
	acked, err := f.AckLoose(ctx(), []int64{2, 3, 2, 999}, 0, f.now())
	must(t, err)
	same(t, "acked", acked, 2)
	f.sound()
	f.pass(figuresKept - time.Hour)
	f.prune(Retention{DeadLetters: month})
	same(t, "figures", len(f.figuresKept()), 2)
	f.pass(2 * time.Hour)
	same(t, "dead letters", f.prune(Retention{DeadLetters: time.Hour}), Pruned{DeadLetters: n})
	same(t, "figures", len(f.figuresKept()), 0)
	totals, err := f.Totals(ctx(), f.now())
	must(t, err)
	same(t, "dead letters", totals.DeadLetters+totals.NewDead, 0)
	f.sound2(1)
}

func TestDropLoose(t *testing.T) {
	f := newFixture(t)
	for i, reason := range []string{"not_json", "no_session", ""} {
		in := Loose{Account: "production", Reason: reason, Event: "e", Label: "one", At: f.now(), Digest: []byte{byte(i)}, Body: []byte{byte(i)}}
		for _, want := range []bool{false, true} {
			duplicate, err := f.KeepLoose(ctx(), in)
			must(t, err)
			same(t, "duplicate", duplicate, want)
		}
	}
	list, err := f.LooseDeliveries(ctx(), 0, 10)
	must(t, err)
	same(t, "kept", len(list), 3)
	one, err := f.LooseDelivery(ctx(), 2)
	must(t, err)
	same(t, "one", one, Loose{ID: 2, Account: "production", Label: "one", Event: "e", Reason: "no_session", At: f.now(),
		Redelivered: 1, Digest: []byte{1}, Body: []byte{1}})
	_, err = f.AckLoose(ctx(), []int64{1}, 0, f.now())
	must(t, err)
	for id := range int64(4) {
		for range 2 {
			must(t, f.DropLoose(ctx(), id))
			f.sound()
		}
	}
	totals, err := f.Totals(ctx(), f.now())
	must(t, err)
	same(t, "totals", totals, Totals{States: map[verdict.State]int64{
		verdict.Awaiting: 0, verdict.Overdue: 0, verdict.Settled: 0, verdict.Missing: 0, verdict.Withdrawn: 0}})
}
