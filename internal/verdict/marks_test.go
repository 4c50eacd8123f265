package verdict

import (
	"testing"
	"time"
)

func TestState(t *testing.T) {
	live := webhook(50, "live", created(40))
	for _, tt := range []struct {
		name  string
		parts []any
		now   float64
		want  State
		again bool
	}{
		{"in grace", []any{expected(0, 60, 1, 1)}, 59.999, Awaiting, false},
		{"grace is over", []any{expected(0, 60, 1, 1)}, 60, Overdue, false},
		{"repeating an expectation extends no grace", []any{expected(0, 60, 1, 1), expected(30, 60, 1, 1)}, 60, Overdue, false},
		{"settled", []any{expected(0, 60, 1, 1), live}, 9000, Settled, false},
		{"a late webhook", []any{expected(0, 60, 1, 1), webhook(8000, "live", created(1))}, 9000, Settled, false},
		{"expected after its webhook", []any{live, expected(55, 60, 1, 1)}, 56, Settled, false},
		{"known by an unknown word alone", []any{webhook(5, "maybe")}, 5, Overdue, false},
		{"missing", []any{expected(0, 60, 1, 1), gaveUp(900)}, 900, Missing, false},
		{"withdrawn", []any{expected(0, 60, 1, 1), calledOff(9)}, 10, Withdrawn, false},
		{"missing, then withdrawn", []any{expected(0, 60, 1, 1), gaveUp(900), calledOff(901)}, 902, Withdrawn, false},
		{"withdrawn as it is expected", []any{expected(0, 60, 1, 1), calledOff(0)}, 1, Withdrawn, false},
		{"both in one millisecond: a person's word", []any{expected(0, 60, 1, 1), gaveUp(900), calledOff(900)}, 901, Withdrawn, false},
		{"a late webhook wins over missing", []any{expected(0, 60, 1, 1), gaveUp(900), webhook(950, "fake", created(1))}, 951, Settled, false},
		{"a late webhook wins over withdrawn", []any{expected(0, 60, 1, 1), calledOff(9), live}, 51, Settled, false},
		{"withdrawing settles nothing back", []any{expected(0, 60, 1, 1), live, calledOff(60)}, 61, Settled, false},
		{"missing, then a new job id", []any{expected(0, 60, 1, 1), gaveUp(900), expected(1000, -940, 1, 1)}, 1000, Overdue, false},
		{"missing twice", []any{expected(0, 60, 1, 1), gaveUp(900), expected(1000, -940, 1, 1), gaveUp(2000)}, 2001, Missing, false},
		{"missing, then again", []any{expected(0, 60, 1, 1), gaveUp(900), expected(1000, 60, 1, 2)}, 1001, Awaiting, false},

		{"again", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2)}, 101, Settled, true},
		{"again, known by its webhook alone", []any{live, expected(100, 60, 2, 1)}, 101, Settled, true},
		{"again, the first once more", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2),
			job(120, "complete", "live", span(39, 40))}, 121, Settled, true},
		{"again, one more", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2), webhook(120, "live", created(110))}, 121, Settled, false},
		{"again, given up", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2), gaveUp(900)}, 901, Settled, false},
		{"again, withdrawn", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2), calledOff(101)}, 901, Settled, false},
		{"again, again", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2), gaveUp(900), expected(950, 60, 2, 3)}, 951, Settled, true},
		{"a late webhook before again met", []any{expected(0, 60, 1, 1), live, expected(100, 60, 2, 2), gaveUp(900),
			webhook(990, "live", created(110))}, 991, Settled, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, tt.parts...)
			if got := s.StateAt(at(tt.now)); got != tt.want || s.AwaitingAgain != tt.again {
				t.Errorf("got %s, again %v, want %s, %v", got, s.AwaitingAgain, tt.want, tt.again)
			}
			if open := tt.want == Awaiting || tt.want == Overdue || tt.again; s.Open() != open {
				t.Errorf("open is %v", s.Open())
			}
		})
	}
}

func TestWebhookDue(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []any
		due   float64 // 0: none
		came  bool
	}{
		{"expected", []any{expected(0, 60, 1, 1)}, 60, false},
		{"expected, came", []any{expected(0, 60, 1, 1), webhook(9, "live", created(1))}, 60, true},
		{"expected, came late", []any{expected(0, 60, 1, 1), webhook(9000, "live", created(1))}, 60, true},
		{"came before it was expected", []any{webhook(1, "live", created(1)), expected(10, 60, 1, 1)}, 70, true},
		{"an unknown word is a delivery", []any{expected(0, 60, 1, 1), webhook(9, "maybe")}, 60, true},
		{"polled", []any{expected(0, 60, 1, 1), job(90, "complete", "live", span(0, 1))}, 60, false},
		{"never due", []any{webhook(1, "live", created(1))}, 0, true},
		{"submitted", []any{submitted(1, "live", created(0), hookDue(61))}, 61, false},
		{"submitted, came", []any{submitted(1, "live", created(0), hookDue(61)), webhook(90, "live", created(0))}, 61, true},
		{"submitted twice", []any{submitted(1, "live", created(0), hookDue(61)), submitted(9, "live", created(8), hookDue(69))}, 61, false},
		{"submitted once more", []any{submitted(1, "live", created(0), hookDue(61)), submitted(9, "live", created(0), hookDue(69))}, 61, false},
		{"expected and submitted", []any{submitted(1, "live", created(0), hookDue(61)), expected(20, 60, 1, 1)}, 80, false},
		{"again: the first webhook is not its", []any{expected(0, 60, 1, 1), webhook(9, "live", created(1)), expected(100, 60, 2, 2)}, 160, false},
		{"again of one that was not expected", []any{webhook(9, "live", created(1)), expected(100, 60, 2, 1)}, 160, false},
		{"again, came", []any{expected(0, 60, 1, 1), webhook(9, "live", created(1)), expected(100, 60, 2, 2),
			webhook(100, "live", created(99))}, 160, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, tt.parts...)
			var want time.Time
			if tt.due != 0 {
				want = at(tt.due)
			}
			if !s.WebhookDueAt.Equal(want) || s.WebhookCame != tt.came {
				t.Errorf("due %v, came %v, want %v, %v", s.WebhookDueAt, s.WebhookCame, want, tt.came)
			}
		})
	}
}

func TestTimesOfExpectation(t *testing.T) {
	s := foldAll(t, expected(0, 60, 1, 1), webhook(9, "live", created(1)), expected(100, 30, 2, 2))
	if !s.ExpectedAt.Equal(t0) || !s.GraceUntil.Equal(at(130)) || !s.LastObservedAt.Equal(at(100)) {
		t.Errorf("expected %v, grace until %v, last %v", s.ExpectedAt, s.GraceUntil, s.LastObservedAt)
	}
	s = foldAll(t, webhook(9, "maybe"), job(20, "odd", ""))
	if !s.GraceUntil.Equal(at(9)) || !s.ExpectedAt.IsZero() || !s.LastObservedAt.Equal(at(20)) {
		t.Errorf("unexpected: %+v", s)
	}
}

// A redelivery is no new observation, and changes nothing when it is folded in.
func TestRedelivery(t *testing.T) {
	for _, o := range []Observation{webhook(1, "live", created(0)), webhook(1, "", created(0)), webhook(1, "live"),
		submitted(1, "fake", created(0), hookDue(61)), failedHook(1), job(1, "complete", "live", span(0, 1))} {
		late := o
		late.ObservedAt, late.Label, late.HeaderMismatch = at(9000), "other", true
		if !late.WebhookDueAt.IsZero() {
			late.WebhookDueAt = at(9060)
		}
		if ev := evidence(o); ev.Adds(&late) {
			t.Errorf("%s %s: a redelivery adds something", o.Source, o.Form)
		}
		a, b := Fold(evidence(o)), foldAll(t, late, o)
		if len(Diff(&a, b)) != 0 || !a.LastObservedAt.Equal(b.LastObservedAt) || !a.WebhookDueAt.Equal(b.WebhookDueAt) {
			t.Errorf("%s %s: a redelivery changes something", o.Source, o.Form)
		}
	}
	null := job(1, "complete", "", span(0, 1))
	again := job(2, "complete", "", span(0, 1))
	if ev := evidence(null); !ev.Adds(&again) || ev.Adds(&null) {
		t.Error("a polled null repeats itself at another time only")
	}
}
