package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// forwarded makes the fixture forward to the named targets.
func (f *fixture) forwarded(names ...string) {
	out := Forwarding{Render: func(store string, e Event, v View) []byte {
		return fmt.Appendf(nil, `{"type":"session.%s","data":{"event":{"seq":%d,"metadata":null},"session":{"session_id":%q,"metadata":null,"score":94.10,"n":%d}}}`,
			e.Change, e.Seq, v.ID, len(v.Entries))
	}}
	for _, name := range names {
		out.Forwards = append(out.Forwards, Forward{name, []verdict.Change{verdict.ChangeSettled, verdict.ChangeReverified}})
	}
	f.SetForwarding(out)
}

func (f *fixture) unpackAll() {
	f.t.Helper()
	must(f.t, f.Store.unpackAll(ctx()))
}

func (f *fixture) packCount() (n int64) {
	f.t.Helper()
	must(f.t, f.reader.QueryRow("SELECT count(*) FROM outbox_packs").Scan(&n))
	return n
}

func (f *fixture) turns(name string) []int64 {
	f.t.Helper()
	f.unpackAll()
	list, _, err := f.DueOutbox(ctx(), name, f.now(), time.Hour, 1000)
	must(f.t, err)
	var seqs []int64
	for _, turn := range list {
		seqs = append(seqs, turn.Seq)
	}
	return seqs
}

func (f *fixture) sent(name string, seq int64, change func(*Sent)) {
	f.t.Helper()
	in := Sent{Forward: name, Seq: seq, At: f.now()}
	change(&in)
	must(f.t, f.RecordSent(ctx(), []Sent{in}))
}

func done(s *Sent) { s.Done = true }
func died(s *Sent) { s.Dead, s.Status, s.Error = true, 410, "answered 410 Gone" }

// Only one event of a session has its turn, packed or not, in the order of the events.
func TestOutboxOrder(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a", "b")
	for range 3 {
		f.pass(time.Hour)
		f.webhook("one", "live")
		f.webhook("two", "live")
	}
	f.sound()
	same(t, "due", f.turns("a"), []int64{1, 2})
	f.sound()
	f.sent("a", 1, done)
	same(t, "after one", f.turns("a"), []int64{2, 3})
	f.sent("a", 2, died)
	same(t, "after a dead letter", f.turns("a"), []int64{3, 4})
	same(t, "the other", f.turns("b"), []int64{1, 2})
	f.sent("a", 3, func(s *Sent) { s.NextAt, s.Error = f.now().Add(time.Minute), "x" })
	same(t, "while one waits", f.turns("a"), []int64{4})
	f.pass(time.Minute)
	same(t, "then", f.turns("a"), []int64{4, 3})
	f.pass(-5 * time.Hour)
	same(t, "although the clock was set back", len(f.turns("a")), 2)
	f.sound()
	f.reopen()
	f.sound()
	out, err := f.Outgoing(ctx(), "a", 3)
	must(t, err)
	same(t, "id", out.ID, "evt_"+f.ID()+"_3")
	_, err = f.Outgoing(ctx(), "a", 1)
	same(t, "not pending", errors.Is(err, ErrNotFound), true)
}

// What is pending counts whether it is packed or not, also for whoever opens the store next.
func TestOutboxCounts(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a", "b")
	f.webhook("one", "live")
	f.unpackAll()
	f.pass(time.Minute)
	f.forwarded("b")
	f.webhook("two", "live")
	want := []ForwardFigures{{Name: "a", Pending: 1, OldestAt: day()}, {Name: "b", Pending: 2, OldestAt: day()}}
	figures := func(s *Store) []ForwardFigures {
		list, err := s.ForwardFigures(ctx())
		must(t, err)
		return list
	}
	same(t, "figures", figures(f.Store), want)
	f.sound()
	must(t, f.Close())
	s, err := OpenReadOnly(ctx(), f.path)
	must(t, err)
	same(t, "figures of a stopped daemon", figures(s), want)
	must(t, s.Close())
	f.open()
	f.forwarded("b")
	same(t, "figures after the start", figures(f.Store), want)
	f.turns("b")
	f.sent("b", 1, done)
	f.sent("b", 2, done)
	f.sent("a", 1, done)
	same(t, "figures in the end", figures(f.Store), []ForwardFigures{{Name: "a"}, {Name: "b"}})
	f.sound()
}

// A result that comes for what is not pending any more changes nothing, but a success takes
// back a dead letter.
func TestOutboxLateResults(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	f.webhook("one", "live")
	f.turns("a")
	f.sent("a", 1, died)
	f.sent("a", 1, died)
	f.sent("a", 1, func(s *Sent) { s.NextAt = f.now() })
	f.sound()
	f.sent("a", 1, done)
	list, err := f.ForwardFigures(ctx())
	must(t, err)
	same(t, "figures", list, []ForwardFigures{{Name: "a"}})
	f.sound()
}

// Pending events are not pruned, whatever their age and packed or not; nothing that came
// after them is. Dead letters have a retention of their own and need no event.
func TestOutboxPrune(t *testing.T) {
	for _, packed := range []bool{true, false} {
		f := newFixture(t)
		f.webhook("before", "live")
		f.forwarded("a")
		f.webhook("one", "live")
		f.webhook("two", "live")
		if !packed {
			f.unpackAll()
		}
		f.pass(100 * 24 * time.Hour)
		retention := Retention{Settled: time.Hour, DeadLetters: time.Hour, Events: time.Hour, All: true}
		out, err := f.Prune(ctx(), retention, f.now())
		must(t, err)
		same(t, "events", out.Events, int64(1))
		same(t, "sessions", out.Sessions, int64(3))
		f.sound()
		same(t, "due", f.turns("a"), []int64{2, 3})
		f.sent("a", 2, died)
		f.pass(2 * time.Hour)
		f.sent("a", 3, died)
		out, err = f.Prune(ctx(), retention, f.now())
		must(t, err)
		same(t, "then", out, Pruned{DeadLetters: 1, Events: 2})
		f.sound()
		ok, err := f.RetryDead(ctx(), "a", 3)
		must(t, err)
		same(t, "retried without its event and session", ok, true)
		f.reopen()
		f.forwarded("a")
		f.webhook("fresh", "live") // must not have the number of a session that is still to be sent
		same(t, "due at last", f.turns("a"), []int64{3, 4})
		f.sound()
	}
}

// What is erased is not sent any more, packed, pending or a dead letter, and is not in the
// file any more.
func TestOutboxErase(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	const secret = "c-17-very-personal"
	for _, id := range []string{"one", "two"} {
		f.expect(id, func(e *Expectation) { e.Metadata = `{"customer":"` + secret + id + `"}` })
		f.webhook(id, "live")
	}
	f.unpackAll()
	f.pass(time.Hour)
	f.webhook("one", "live")
	f.unpackAll()
	f.pass(time.Hour)
	f.webhook("one", "fake") // packed
	bodies := func() map[int64]string {
		out := map[int64]string{}
		for _, dead := range []bool{false, true} {
			list, err := f.Letters(ctx(), "a", dead, 0, 100)
			must(t, err)
			for _, l := range list {
				var body string
				if f.reader.QueryRow("SELECT body FROM payloads WHERE seq = ?", l.Seq).Scan(&body) == nil {
					out[l.Seq] = body
				}
			}
		}
		return out
	}
	first := f.turns("a")[0]
	if got := bodies()[first]; !strings.Contains(got, `"metadata":{"customer":"`+secret+`one"}`) || !strings.Contains(got, `"score":94.10`) {
		t.Fatalf("before: %s", got)
	}
	f.sent("a", first, died)
	f.pass(time.Hour)
	f.webhook("one", "live") // packed
	must(t, f.Erase(ctx(), "production", "one", 0, f.now()))
	f.unpackAll()
	n := 0
	for seq, body := range bodies() {
		var in struct {
			Data struct {
				Event   struct{ Metadata json.RawMessage }
				Session struct {
					ID       string          `json:"session_id"`
					Metadata json.RawMessage `json:"metadata"`
				}
			}
		}
		must(t, json.Unmarshal([]byte(body), &in))
		want := "null"
		if in.Data.Session.ID == "two" {
			want = `{"customer":"` + secret + `two"}`
		} else {
			n++
		}
		same(t, fmt.Sprint("event ", seq), string(in.Data.Session.Metadata), want)
		same(t, fmt.Sprint("of the event ", seq), string(in.Data.Event.Metadata), want)
	}
	same(t, "events of the erased session", n, 4)
	f.sound()
	must(t, f.Close())
	for name, data := range files(t, filepath.Dir(f.path)) {
		if strings.Contains(data, secret+"one") {
			t.Errorf("%s still has it", name)
		}
	}
}

// People list and skip what is pending, packed or not.
func TestOutboxPeople(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	for i := range 100 {
		f.webhook(fmt.Sprint("s", i), "live")
		if i == 9 {
			f.unpackAll()
		}
	}
	var seqs []int64
	for after := int64(0); ; {
		page, err := f.Letters(ctx(), "a", false, after, 7)
		must(t, err)
		for _, l := range page {
			seqs = append(seqs, l.Seq)
			after = l.Seq
			same(t, "session", l.SessionID, fmt.Sprint("s", l.Seq-1))
			same(t, "change", l.Change, verdict.ChangeSettled)
		}
		if len(page) < 7 {
			break
		}
	}
	same(t, "listed", len(seqs), 100)
	ok, err := f.Skip(ctx(), "a", 100)
	must(t, err)
	same(t, "skipped one that is packed", ok, true)
	ok, err = f.Skip(ctx(), "a", 100)
	must(t, err)
	same(t, "skipped twice", ok, false)
	f.sent("a", 1, died)
	f.sent("a", 2, died)
	n, err := f.AckDead(ctx(), "a", 1, 1000, f.now())
	must(t, err)
	same(t, "acknowledged", n, int64(1))
	f.sound()
	n, err = f.SkipAll(ctx(), "a", false)
	must(t, err)
	same(t, "skipped", n, int64(97))
	list, err := f.ForwardFigures(ctx())
	must(t, err)
	same(t, "left", list, []ForwardFigures{{Name: "a", DeadLetters: 2, NewDead: 1, FailingSince: f.now(), LastError: "answered 410 Gone"}})
	n, err = f.SkipAll(ctx(), "a", true)
	must(t, err)
	same(t, "dead letters skipped", n, int64(2))
	f.sound()
}

// A pack that cannot be read is corruption, not a crash.
func FuzzUnpack(f *testing.F) {
	p := packed{seq: 1, at: 2, account: 3, session: 4, sessionID: "s", change: 5, metadata: true, forwards: []int64{1, 2}, body: []byte("{}")}
	f.Add(p.append(p.append(nil)))
	p.then = &moment{state: 3, outcome: 1, firstBy: 1, attempts: 2, nextPoll: 1 << 40, head: 7, jobID: true, again: []redeliveries{{6, 1}}}
	f.Add(p.append(p.append(nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := unpack(data)
		if err != nil {
			return
		}
		var again []byte
		for i := range list {
			again = list[i].append(again)
		}
		back, err := unpack(again)
		if err != nil || len(back) != len(list) {
			t.Fatalf("%d events became %d: %v", len(list), len(back), err)
		}
	})
}

// What is read often uses an index.
func TestOutboxPlans(t *testing.T) {
	f := newFixture(t)
	for name, q := range map[string]struct {
		sql  string
		args int
	}{
		"enqueue": {enqueueSQL, 5}, "next turn": {nextTurnSQL, 3}, "drop payload": {dropPayloadSQL, 1},
	} {
		args := make([]any, q.args)
		for i := range args {
			args[i] = 1
		}
		plan := f.plan(q.sql, args...)
		for _, line := range strings.Split(plan, "\n") {
			if strings.HasPrefix(line, "SCAN") && !strings.HasPrefix(line, "SCAN f") && !strings.Contains(line, "(subquery") && !strings.Contains(line, "CONSTANT") {
				t.Errorf("%s: %s\n%s", name, line, plan)
			}
		}
	}
}
