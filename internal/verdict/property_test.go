package verdict

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// checksDefault keeps a plain go test quick.
const checksDefault = 3000

// check runs a property as often as -rapid.checks says, else [checksDefault] times, and
// logs the seed, which -rapid.seed takes. The full run, as in CI:
//
//	go test ./internal/verdict -run Property -rapid.checks=100000 -v
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	set := func(name, value string) {
		f := flag.Lookup(name)
		if f.Value.String() != f.DefValue {
			return
		}
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, f.DefValue) })
	}
	set("rapid.checks", strconv.Itoa(checksDefault))
	set("rapid.seed", strconv.FormatUint(rand.Uint64N(1<<62)+1, 10))
	t.Logf("-rapid.checks=%s -rapid.seed=%s", flag.Lookup("rapid.checks").Value, flag.Lookup("rapid.seed").Value)
	rapid.Check(t, property)
}

// A session is a function of the set: order and repetition do not matter.
func TestPropertyOrderAndRepetition(t *testing.T) {
	check(t, func(t *rapid.T) {
		ev := Evidence{drawObservations(t), drawMarks(t)}
		want := Fold(ev)
		more := Evidence{
			rapid.Permutation(slices.Concat(ev.Observations, drawDuplicates(t, ev.Observations))).Draw(t, "order"),
			rapid.Permutation(append(slices.Clone(ev.Marks), ev.Marks...)).Draw(t, "order of marks"),
		}
		kept := Evidence{slices.Clone(more.Observations), slices.Clone(more.Marks)}
		if got := Fold(more); !reflect.DeepEqual(got, want) {
			t.Fatalf("another session:\n%+v\n%+v", got, want)
		}
		if !reflect.DeepEqual(more, kept) {
			t.Fatal("the evidence was changed")
		}
		for _, o := range more.Observations {
			if ev.Adds(&o) {
				t.Fatalf("a repetition adds something: %+v", o)
			}
		}
		if steps := Diff(&want, want); len(steps) != 0 {
			t.Fatalf("steps between equals: %q", steps)
		}
		if _, after := Tally(&want), Fold(ev); !reflect.DeepEqual(after, want) {
			t.Fatal("Tally changes the session")
		}
	})
}

// What is settled stays so, in whatever order the evidence grows.
func TestPropertySettledStays(t *testing.T) {
	check(t, func(t *rapid.T) {
		obs := drawObservations(t)
		chain := rapid.Permutation(slices.Concat(obs, drawDuplicates(t, obs))).Draw(t, "chain")
		marks := drawMarks(t)
		before := Session{}
		for i := range chain {
			s := Fold(Evidence{chain[:i+1], marks[:min(i, len(marks))]})
			if before.State == Settled && s.State != Settled {
				t.Fatalf("unsettled by %+v", chain[i])
			}
			before = s
		}
	})
}

// Along a chain in the order of hearing the steps tell the story of the session, and no
// contradiction is taken back.
func TestPropertySteps(t *testing.T) {
	check(t, func(t *rapid.T) {
		chain := drawChain(t)
		var before *Session
		told := story{}
		for i := range chain {
			after := Fold(evidence(chain[:i+1]...))
			steps := Diff(before, after)
			told.take(t, steps)
			told.agree(t, &after)
			if before != nil {
				together := timeOf(chain[i]).Equal(timeOf(chain[i-1]))
				if before.Conflict && !after.Conflict && !together {
					t.Fatalf("the flag did not stay: %+v", chain[i])
				}
				if after.Outcome != before.Outcome && len(steps) == 0 {
					t.Fatalf("from %q to %q without a step", before.Outcome, after.Outcome)
				}
				checkFlags(t, before, &after, steps)
			}
			before = &after
		}
	})
}

// checkFlags: a flag goes up with its step, and a step is not told without it.
func checkFlags(t *rapid.T, before, after *Session, steps []Change) {
	if after.Conflict && !before.Conflict != slices.Contains(steps, ChangeConflicted) &&
		!(before.Conflict && after.Outcome != before.Outcome) {
		t.Fatalf("conflict %v, then %v: %q", before.Conflict, after.Conflict, steps)
	}
	if slices.Contains(steps, ChangeExpected) && !after.AwaitingAgain {
		t.Fatalf("expected, but not awaited: %q", steps)
	}
}

// story follows the steps as an application would.
type story struct {
	state     State // as the steps say, Awaiting at first
	settled   bool
	conflicts bool
}

func (st *story) take(t *rapid.T, steps []Change) {
	seen := map[Change]bool{}
	for _, c := range steps {
		if seen[c] {
			t.Fatalf("%s twice in %q", c, steps)
		}
		seen[c] = true
		switch c {
		case ChangeSettled:
			if st.settled || st.state == Missing || st.state == Withdrawn {
				t.Fatalf("settled after %s", st.state)
			}
			st.settled, st.state = true, Settled
		case ChangeRevived:
			if st.settled || st.state != Missing && st.state != Withdrawn {
				t.Fatalf("revived after %s", st.state)
			}
			st.state = "revived"
		case ChangeReverified, ChangeConflicted:
			if st.state == "revived" {
				st.settled, st.state = true, Settled
			}
			if !st.settled {
				t.Fatalf("%s before it was settled: %q", c, steps)
			}
			st.conflicts = st.conflicts || c == ChangeConflicted
		case ChangeMissing, ChangeWithdrawn:
			if !st.settled {
				st.state = map[Change]State{ChangeMissing: Missing, ChangeWithdrawn: Withdrawn}[c]
			}
		}
	}
}

// agree compares what the steps say with the session; revived leaves open whether it
// was by an outcome.
func (st *story) agree(t *rapid.T, s *Session) {
	switch {
	case st.state == "revived" && s.State == Settled:
		st.settled, st.state = true, Settled
	case st.state == "revived" && s.State == Awaiting, st.state == "":
		st.state = Awaiting
	}
	if st.state != s.State || s.Conflict && !st.conflicts {
		t.Fatalf("the steps say %s, conflict %v; the session is %s, %v", st.state, st.conflicts, s.State, s.Conflict)
	}
}

// No verdict comes out of nothing.
func TestPropertyNothingFromNothing(t *testing.T) {
	check(t, func(t *rapid.T) {
		ev := Evidence{drawObservations(t), drawMarks(t)}
		s := Fold(ev)
		if complaint := outOfNothing(ev, &s); complaint != "" {
			t.Fatal(complaint)
		}
	})
}

// outOfNothing says what the session claims that no observation backs.
func outOfNothing(ev Evidence, s *Session) string {
	said := map[Outcome]bool{}
	nulls := 0
	for i := range ev.Observations {
		o := &ev.Observations[i]
		e := o.Ends()
		if e.Outcome.IsVerdict() && (o.Verdict != string(e.Outcome) || o.Unavailable) {
			return "a verdict that was not said: " + string(e.Outcome)
		}
		if e.Null {
			nulls++
		}
		said[e.Outcome] = true
	}
	switch {
	case (s.Outcome == "") != (s.State != Settled):
		return "outcome and state differ"
	case s.Verdict != "" && s.Verdict != string(s.Outcome), s.Outcome.IsVerdict() && s.Outcome != Inconclusive && s.Verdict == "":
		return "verdict and outcome differ"
	case s.Verdict != "" && !said[Outcome(s.Verdict)]:
		return "a verdict out of nothing"
	case s.Outcome == Inconclusive && !said[Inconclusive] && nulls < 2:
		return "inconclusive out of nothing"
	case s.Outcome != "" && s.Outcome != Inconclusive && !said[s.Outcome]:
		return "an outcome out of nothing"
	case s.Conflict && !(said[Live] && said[Fake] || said[Live] && said[Inconclusive] || said[Fake] && said[Inconclusive]):
		return "a conflict out of nothing"
	case s.State == Settled && (s.SettledAt.IsZero() || s.FirstBy == "" || !s.ToldAt[s.FirstBy].Equal(s.SettledAt)):
		return "settled by nobody"
	case s.Verifications < 1 && s.State == Settled, s.Verifications > len(ev.Observations):
		return "a wrong number of verifications"
	}
	return ""
}
