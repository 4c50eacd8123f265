package verdict

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	exp := expected(0, 60, 1, 1)
	share := func(f Figure, n float64) Share { return Share{f, at(n)} }
	again := []any{exp, webhook(9, "live", created(8)), expected(100, 60, 2, 2)}
	first := []Share{share(SettledFirstByWebhook, 9), share(WebhookLagFigures+LagCell(time.Second), 9)}
	for _, tt := range []struct {
		name  string
		parts []any
		want  []Share
	}{
		{"awaiting", []any{exp}, []Share{share(DueSilent, 60)}},
		{"missing", []any{exp, gaveUp(900)}, []Share{share(DueSilent, 60)}},
		{"withdrawn", []any{exp, calledOff(9)}, nil},
		{"an unknown word came", []any{exp, webhook(9, "maybe")}, nil},
		{"webhook", []any{exp, webhook(9, "live", created(8))}, append(slices.Clone(first), share(DueAnswered, 60))},
		{"webhook, not expected", []any{webhook(9, "live", created(8))}, first},
		{"webhook, untimed", []any{webhook(9, "live")}, []Share{share(SettledFirstByWebhook, 9)}},
		{"poll", []any{exp, job(70, "complete", "live", span(5, 10))}, []Share{share(SettledFirstByPoll, 70),
			share(RescueLagFigures+LagCell(time.Minute), 70), share(DueAnswered, 60), share(DueMissed, 60)}},
		{"poll, late webhook", []any{exp, job(70, "complete", "live", span(5, 10)), webhook(110, "live", created(10))},
			[]Share{share(SettledFirstByPoll, 70), share(WebhookLagFigures+LagCell(100*time.Second), 110),
				share(RescueLagFigures+LagCell(time.Minute), 70), share(DueAnswered, 60)}},
		{"submitted", []any{submitted(1, "live", hookDue(61))}, []Share{share(SettledFirstBySubmitted, 1),
			share(DueAnswered, 61), share(DueMissed, 61)}},
		{"withdrawn, settled after all", []any{exp, calledOff(9), submitted(10, "live")}, []Share{share(SettledFirstBySubmitted, 10),
			share(DueAnswered, 60), share(DueMissed, 60)}},
		{"again: nothing of it is known", again, append(slices.Clone(first), share(DueSilent, 160))},
		{"again, given up", append(slices.Clone(again), gaveUp(900)), append(slices.Clone(first), share(DueSilent, 160))},
		{"again, withdrawn", append(slices.Clone(again), calledOff(900)), first},
		{"again, met by a poll", append(slices.Clone(again), job(170, "complete", "live", span(105, 110))),
			[]Share{share(SettledFirstByPoll, 170), share(RescueLagFigures+LagCell(time.Minute), 170), share(DueAnswered, 160), share(DueMissed, 160)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, tt.parts...)
			if got := Tally(&s); !slices.EqualFunc(got, tt.want, func(a, b Share) bool { return a.Figure == b.Figure && a.At.Equal(b.At) }) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestLagCells(t *testing.T) {
	before := Figure(0)
	for ms := 1.0; ms < 8e9; ms *= 1.01 {
		lag := time.Duration(ms * float64(time.Millisecond))
		c := LagCell(lag)
		if c < before || c >= lagCells {
			t.Fatalf("%v: cell %d after %d", lag, c, before)
		}
		before = c
		if off := math.Abs(float64(CellLag(c))/float64(lag) - 1); ms > 1.01 && off > .05 {
			t.Errorf("%v is read back as %v", lag, CellLag(c))
		}
	}
	for lag, want := range map[time.Duration]Figure{-time.Hour: 0, 0: 0, time.Millisecond: 0, 1<<63 - 1: lagCells - 1, -1 << 63: 0} {
		if got := LagCell(lag); got != want {
			t.Errorf("%v: cell %d, want %d", lag, got, want)
		}
	}
	for c := Figure(0); c < lagCells-1; c++ {
		if CellLag(c) >= CellLag(c+1) {
			t.Errorf("cells %d and %d are out of order", c, c+1)
		}
		if LagCell(CellLag(c)) != c {
			t.Errorf("the middle of cell %d is in cell %d", c, LagCell(CellLag(c)))
		}
	}
	if WebhookLagFigures+lagCells > RescueLagFigures {
		t.Error("the histograms overlap")
	}
}
