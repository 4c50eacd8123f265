package store

import (
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// What was due counts once the slot it was due in is over; what was heard counts at once.
func TestFiguresOfWhatIsDue(t *testing.T) {
	f := newFixture(t) // at the beginning of a slot
	_, err := f.Expect(ctx(), Expectation{Account: "production", SessionID: "a", Grace: 5 * time.Second, At: f.now()})
	must(t, err)
	read := func(figure verdict.Figure) int64 {
		t.Helper()
		figures, err := f.Figures(ctx(), f.now().Add(-10*time.Minute), f.now())
		must(t, err)
		return figures[figure]
	}
	same(t, "before it is due", read(verdict.DueSilent), 0)
	f.pass(9 * time.Second)
	same(t, "in the slot in which it was due", read(verdict.DueSilent), 0)
	f.pass(time.Second)
	same(t, "after that slot", read(verdict.DueSilent), 1)
	f.webhook("b", "live")
	same(t, "a delivery", read(FigureAccepted), 1)
}

// Counters only go up, whatever is corrected, and hold no figure of an earlier process.
func TestCounters(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "live")
	f.CountRejected("signature")
	same(t, "settled by webhook", f.Counters()[verdict.SettledFirstByWebhook], 1)
	same(t, "rejected", f.Counters().Rejected()["signature"], 1)
	must(t, f.Ping(ctx())) // writes the rejections
	same(t, "rejected", f.Counters().Rejected()["signature"], 1)
	before := f.Counters()
	f.pass(time.Hour)
	f.apply(f.heard(verdict.FormCompleted, "a", "fake", f.now())) // verified once more: its first share moves
	for figure, n := range before {
		if now := f.Counters()[figure]; now < n {
			t.Errorf("figure %d went from %d to %d", figure, n, now)
		}
	}
	f.reopen()
	same(t, "after a restart", len(f.Counters()), 0)
}

// A series has every step, the last of which holds now, and each figure in its own.
func TestSeries(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "live")
	f.pass(2 * time.Minute)
	f.webhook("b", "live")
	f.webhook("c", "live")
	f.pass(59 * time.Second)
	bins, err := f.Series(ctx(), f.now(), time.Minute, 4)
	must(t, err)
	var got []int64
	for _, b := range bins {
		got = append(got, b.Figures[FigureAccepted])
	}
	same(t, "deliveries a minute", got, []int64{0, 1, 0, 2})
	same(t, "begins", bins[3].At, day().Add(2*time.Minute))
}
