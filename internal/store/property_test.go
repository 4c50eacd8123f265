package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/moverisd/moverisd/internal/verdict"
)

// step does one random thing to one of a few sessions.
func (f *fixture) step(rt *rapid.T) {
	f.pass(time.Millisecond) // what is heard together may explain a contradiction away
	id := fmt.Sprint("s", rapid.IntRange(0, 4).Draw(rt, "session"))
	word := rapid.SampledFrom([]string{"live", "fake", "inconclusive", "", "odd"}).Draw(rt, "word")
	created := rapid.SampledFrom([]time.Time{{}, f.now(), f.now().Add(-time.Minute), day()}).Draw(rt, "created")
	var err error
	switch rapid.IntRange(0, 11).Draw(rt, "step") {
	case 0, 1:
		_, err = f.Apply(ctx(), f.heard(verdict.FormCompleted, id, word, created))
	case 2:
		_, err = f.Apply(ctx(), f.heard(verdict.FormFailed, id, "", created))
	case 3:
		_, err = f.Apply(ctx(), f.heard(verdict.FormSubmitted, id, word, created))
	case 4, 5:
		in := f.heard(verdict.FormJob, id, word, created)
		in.Observation.CompletedAt = created
		in.Attempt = &Attempt{At: f.now(), Sent: true, Answer: verdict.Said, Route: in.Observation.Route, Jitter: 0.5}
		_, err = f.Apply(ctx(), in)
	case 6:
		_, err = f.Expect(ctx(), Expectation{Account: "production", SessionID: id, At: f.now(),
			Again: rapid.Bool().Draw(rt, "again"), JobID: rapid.SampledFrom([]string{"", "j"}).Draw(rt, "job"),
			Metadata: rapid.SampledFrom([]string{"", `{"c":1}`}).Draw(rt, "metadata")})
	case 7:
		_, err = f.Withdraw(ctx(), "production", id, -1, f.now())
	case 8:
		_, err = f.Defer(ctx(), Deferred{Account: "production", SessionID: id, Attempt: Attempt{At: f.now(), Sent: true,
			Answer: rapid.SampledFrom([]verdict.Answer{verdict.NotThere, verdict.NoAnswer}).Draw(rt, "answer"),
			Routes: []RouteResult{{"r", 404, "not_found"}}}})
	case 9:
		f.pass(time.Duration(rapid.IntRange(1, 1<<22).Draw(rt, "milliseconds")) * time.Millisecond)
		_, err = f.Promote(ctx(), f.now())
	case 10:
		_, err = f.AckAll(ctx(), rapid.SampledFrom([]string{AckConflicts, AckMissing}).Draw(rt, "what"), 1, f.now())
		err2 := f.Erase(ctx(), "production", id, 1, f.now())
		_ = err2 // not known yet
	case 11:
		_, err = f.KeepLoose(ctx(), Loose{Account: "production", Reason: word, At: f.now(), Digest: []byte(id + word)})
	}
	if err != nil && !strings.Contains(err.Error(), ErrNotFound.Error()) {
		rt.Fatal(err)
	}
}

// After any operations the maintained totals and figures are what a recount says, rows are
// what their records say, and events tell the states; also after the store was opened again.
func TestSoundAfterRandomOperations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(&drawn{t, rt})
		defer func() { f.Store.Close() }()
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			f.step(rt)
		}
		f.sound()
		f.eventsTellStates()
		f.reopen()
		f.sound()
		f.step(rt)
		f.sound()
	})
}

// drawn reports what fails to rapid, which looks for a smaller case then.
type drawn struct {
	testing.TB
	rt *rapid.T
}

func (d *drawn) Errorf(format string, args ...any) { d.rt.Errorf(format, args...) }
func (d *drawn) Fatalf(format string, args ...any) { d.rt.Fatalf(format, args...) }
func (d *drawn) Error(args ...any)                 { d.rt.Error(args...) }
func (d *drawn) Fatal(args ...any)                 { d.rt.Fatal(args...) }

// eventsTellStates follows the events of each session and holds the last against it.
func (f *fixture) eventsTellStates() {
	f.t.Helper()
	told := map[string]Event{}
	events, err := f.Events(ctx(), -1, EventsMax)
	must(f.t, err)
	for i, e := range events {
		if e.Seq != int64(i+1) {
			f.t.Errorf("event %d has number %d", i+1, e.Seq)
		}
		told[e.SessionID] = e
	}
	all, _, err := f.List(ctx(), Filter{})
	must(f.t, err)
	for _, v := range all {
		e, ok := told[v.ID]
		open := func(s verdict.State) bool { return s == verdict.Awaiting || s == verdict.Overdue }
		if !ok && open(v.State) {
			continue // known first by what ended nothing
		}
		if e.State != v.State && !(open(e.State) && open(v.State)) {
			f.t.Errorf("%s is %s, the events say %s", v.ID, v.State, e.State)
		}
		if e.Outcome != v.Session.Outcome || e.Conflict != v.Session.Conflict {
			f.t.Errorf("%s is %s, conflict %v, the events say %s, %v", v.ID, v.Session.Outcome, v.Session.Conflict, e.Outcome, e.Conflict)
		}
	}
}
