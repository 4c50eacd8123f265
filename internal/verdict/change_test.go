package verdict

import (
	"slices"
	"testing"
)

// TestDiff grows a chain part by part; steps are what each part after the first brings.
func TestDiff(t *testing.T) {
	type chain []any
	type steps [][]Change
	one := func(c ...Change) []Change { return c }
	exp := expected(0, 60, 1, 1)
	live, pollLive := webhook(50, "live", created(40)), job(70, "complete", "live", span(39, 40))
	for _, tt := range []struct {
		name  string
		chain chain
		want  steps
	}{
		{"expected and settled", chain{exp, live}, steps{one(ChangeExpected), one(ChangeSettled)}},
		{"settled, then expected", chain{live, expected(55, 60, 1, 1)}, steps{one(ChangeSettled), nil}},
		{"known without an outcome", chain{webhook(1, "maybe"), live}, steps{nil, one(ChangeSettled)}},
		{"expected of an unknown word", chain{webhook(1, "maybe"), expected(2, 60, 1, 1)}, steps{nil, nil}},
		{"poll and webhook agree", chain{exp, pollLive, webhook(80, "live", created(40))},
			steps{one(ChangeExpected), one(ChangeSettled), nil}},
		{"poll live, webhook fake of one verification", chain{exp, pollLive, webhook(80, "fake", created(40))},
			steps{one(ChangeExpected), one(ChangeSettled), one(ChangeConflicted)}},
		{"a contradiction that changes no outcome", chain{live, pollLive, job(80, "complete", "fake", span(39, 41))},
			steps{one(ChangeSettled), nil, one(ChangeConflicted)}},
		{"a contradiction once more", chain{live, job(70, "complete", "fake", span(39, 40)), submitted(80, "fake", created(40))},
			steps{one(ChangeSettled), one(ChangeConflicted), nil}},
		{"a contradiction that changes the outcome back", chain{submitted(1, "live", created(40)),
			job(70, "complete", "fake", span(39, 40)), webhook(80, "live", created(40))},
			steps{one(ChangeSettled), one(ChangeConflicted), one(ChangeConflicted)}},
		{"a second verification", chain{live, webhook(90, "fake", created(80))}, steps{one(ChangeSettled), one(ChangeReverified)}},
		{"a second verification, same verdict", chain{live, webhook(90, "live", created(80))}, steps{one(ChangeSettled), one(ChangeReverified)}},
		{"a second verification of another model at one time", chain{webhook(50, "live", created(40), model("a")), webhook(51, "live", created(40), model("b"))},
			steps{one(ChangeSettled), one(ChangeReverified)}},
		{"a model becomes known", chain{submitted(50, "live", created(40)), webhook(51, "live", created(40), model("b"))}, steps{one(ChangeSettled), nil}},
		{"an earlier verification, late", chain{live, webhook(90, "fake", created(30))}, steps{one(ChangeSettled), nil}},
		{"a stray gives way", chain{submitted(0, "live"), webhook(900, "live", created(890))}, steps{one(ChangeSettled), one(ChangeReverified)}},
		{"a stray learns its time", chain{submitted(0, "live"), webhook(60, "live", created(40))}, steps{one(ChangeSettled), nil}},
		{"a poll learns its time", chain{pollLive, webhook(80, "live", created(41))}, steps{one(ChangeSettled), nil}},
		{"a second verification takes a stray in", chain{live, submitted(1000, "live"), webhook(1001, "live", created(999))},
			steps{one(ChangeSettled), nil, one(ChangeReverified)}},
		{"missing", chain{exp, gaveUp(900)}, steps{one(ChangeExpected), one(ChangeMissing)}},
		{"missing, settled", chain{exp, gaveUp(900), webhook(950, "live", created(940))}, steps{one(ChangeExpected), one(ChangeMissing), one(ChangeRevived)}},
		{"missing, a new job id", chain{exp, gaveUp(900), expected(950, -890, 1, 1), gaveUp(990)},
			steps{one(ChangeExpected), one(ChangeMissing), one(ChangeRevived), one(ChangeMissing)}},
		{"withdrawn, settled", chain{exp, calledOff(9), live}, steps{one(ChangeExpected), one(ChangeWithdrawn), one(ChangeRevived)}},
		{"withdrawn, again", chain{exp, calledOff(9), expected(20, 60, 1, 2), live},
			steps{one(ChangeExpected), one(ChangeWithdrawn), one(ChangeRevived), one(ChangeSettled)}},
		{"missing, withdrawn", chain{exp, gaveUp(900), calledOff(901)}, steps{one(ChangeExpected), one(ChangeMissing), one(ChangeWithdrawn)}},
		{"a null, its repetition, live", chain{exp, job(70, "complete", "", span(39, 40)), job(90, "complete", "", span(39, 40)), pollLive},
			steps{one(ChangeExpected), nil, one(ChangeSettled), one(ChangeReverified)}},
		{"failed, then live", chain{failedHook(41, created(40)), pollLive}, steps{one(ChangeSettled), one(ChangeReverified)}},
		{"live, then failed", chain{live, failedHook(60, created(40))}, steps{one(ChangeSettled), nil}},
		{"failed, then live beside an old contradiction", chain{live, submitted(51, "fake", created(40)), failedHook(900, created(800)), submitted(901, "live", created(800))},
			steps{one(ChangeSettled), one(ChangeConflicted), one(ChangeReverified), one(ChangeReverified)}},
		{"again, met", chain{exp, live, expected(60, 60, 2, 2), webhook(90, "live", created(80))},
			steps{one(ChangeExpected), one(ChangeSettled), one(ChangeExpected), one(ChangeReverified)}},
		{"again, given up, late", chain{exp, live, expected(60, 60, 2, 2), gaveUp(900), webhook(950, "fake", created(80))},
			steps{one(ChangeExpected), one(ChangeSettled), one(ChangeExpected), one(ChangeMissing), one(ChangeReverified)}},
		{"again, withdrawn, again", chain{exp, live, expected(60, 60, 2, 2), calledOff(61), expected(62, 60, 2, 3)},
			steps{one(ChangeExpected), one(ChangeSettled), one(ChangeExpected), one(ChangeWithdrawn), one(ChangeExpected)}},
		{"two strays are one after all: not expected again", chain{submitted(0, "live"), submitted(700, "live", model("b")),
			expected(750, 60, 2, 1), webhook(350, "live", created(100))},
			steps{one(ChangeSettled), one(ChangeReverified), nil, nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before *Session
			for i := range tt.chain {
				after := Fold(evidence(tt.chain[:i+1]...))
				if got := Diff(before, after); !slices.Equal(got, tt.want[i]) {
					t.Errorf("part %d: got %q, want %q", i, got, tt.want[i])
				}
				before = &after
			}
		})
	}
}

// A session can be known, settled and contradicted at once, when it is told of by a
// rebuild or an import.
func TestDiffOfTheUnknown(t *testing.T) {
	for _, tt := range []struct {
		parts []any
		want  []Change
	}{
		{[]any{expected(0, 60, 1, 1), webhook(1, "live", created(0)), submitted(2, "fake", created(0))},
			[]Change{ChangeExpected, ChangeSettled, ChangeConflicted}},
		{[]any{expected(0, 60, 1, 1), gaveUp(900)}, []Change{ChangeExpected, ChangeMissing}},
		{[]any{expected(0, 60, 1, 1), calledOff(900)}, []Change{ChangeExpected, ChangeWithdrawn}},
	} {
		if got := Diff(nil, Fold(evidence(tt.parts...))); !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	before := Fold(evidence(expected(0, 60, 1, 1), gaveUp(900)))
	after := Fold(evidence(expected(0, 60, 1, 1), gaveUp(900), webhook(1, "live", created(0)), submitted(2, "fake", created(0))))
	if got := Diff(&before, after); !slices.Equal(got, []Change{ChangeRevived, ChangeConflicted}) {
		t.Errorf("got %q", got)
	}
}
