package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/moverisd/moverisd/internal/verdict"
)

// rendering is what Render is given about an event.
type rendering struct {
	Store string
	Event Event
	View  View
}

// remembered makes the fixture forward every change to "a", and keeps what Render is given.
func (f *fixture) remembered() map[int64]rendering {
	got := map[int64]rendering{}
	f.SetForwarding(Forwarding{Forwards: []Forward{{"a", verdict.Changes()}}, Render: func(store string, e Event, v View) []byte {
		if _, ok := got[e.Seq]; ok {
			f.t.Errorf("event %d is rendered twice", e.Seq)
		}
		got[e.Seq] = rendering{store, e, v}
		return fmt.Appendf(nil, `{"type":"session.%s","data":{"event":{"seq":%d,"metadata":null},"session":{"metadata":null}}}`, e.Change, e.Seq)
	}})
	return got
}

// What is sent is the session as it was at the time of its event, however much has happened to
// it since, and whenever it is unpacked.
func TestUnpackedAsItWas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(&drawn{t, rt})
		defer func() { f.Store.Close() }()
		got, want := f.remembered(), map[int64]rendering{}
		metadata := map[int64]string{}
		var heard []Observed
		last := int64(0)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				id := fmt.Sprint("s", rapid.IntRange(0, 4).Draw(rt, "session"))
				f.pass(time.Millisecond)
				heard = append(heard, f.heard(verdict.FormCompleted, id, "live", f.now()))
				f.apply(heard[len(heard)-1])
			case 1:
				if len(heard) > 0 { // a redelivery changes the count of a record that is there
					f.apply(rapid.SampledFrom(heard).Draw(rt, "again"))
				}
			case 2:
				if rapid.Bool().Draw(rt, "unpack") {
					f.unpackAll()
				}
			default:
				f.step(rt)
			}
			events, err := f.Events(ctx(), last, 0)
			must(f.t, err)
			for _, e := range events {
				last, e.Metadata = e.Seq, ""
				v, err := f.Get(ctx(), e.Account, e.SessionID, false)
				must(f.t, err)
				metadata[e.Seq], v.Metadata = v.Metadata, ""
				want[e.Seq] = rendering{f.ID(), e, v}
			}
		}
		f.sound()
		for seq, w := range want {
			if f.get(w.Event.SessionID).Erased || metadata[seq] == "" {
				metadata[seq] = "null"
			}
		}
		if rapid.Bool().Draw(rt, "prune") {
			f.pass(100 * 24 * time.Hour)
			f.prune(Retention{Settled: time.Hour, All: true})
		}
		f.unpackAll()
		same(f.t, "rendered", got, want, cmpopts.IgnoreUnexported(View{}, verdict.Session{}), cmpopts.EquateEmpty())
		for seq, m := range metadata {
			if body := f.payload(seq); strings.Count(body, `"metadata":`+m) != 2 {
				f.t.Errorf("event %d has not the metadata %s: %s", seq, m, body)
			}
		}
		wrong, err := f.Verify(ctx())
		must(f.t, err)
		same(f.t, "verify", wrong, nil)
	})
}

// A session is not pruned while a pack needs it: not by its age, where an old one has a young
// event, and not where that comes between the look and the deletion.
func TestPruneUnpacksFirst(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	f.expect("old", withMeta(`{"customer":"c-17"}`))
	f.webhook("old", "live")
	f.expect("other", withMeta(`{"customer":"c-18"}`))
	f.webhook("other", "live")
	f.unpackAll()
	f.pass(month)
	before := f.now().Add(-time.Hour)
	picked, seq, err := f.prunable(ctx(), 0, before)
	must(t, err)
	same(t, "picked", picked, []int64{1, 2})
	same(t, "their newest event in the outbox", seq, int64(4))

	// After a fault was mended an old session has a new event.
	f.raw("UPDATE sessions SET outcome = 2 WHERE id = 1")
	must(t, f.Rebuild(ctx(), true, func(Difference) {}, func(int64) {}))
	same(t, "packs", f.packCount(), int64(1))
	n, err := f.deleteSessions(ctx(), picked, before)
	must(t, err)
	same(t, "deleted", n, int64(1))
	f.sound2(1)

	same(t, "pruned", f.prune(Retention{Settled: time.Hour, All: true}).Sessions, int64(1))
	same(t, "packs left", f.packCount(), int64(0))
	f.sound2(0)
	if body := f.payload(5); strings.Count(body, `"metadata":{"customer":"c-17"}`) != 2 || !strings.Contains(body, "session.reverified") {
		t.Error(body)
	}
}

// An event whose session cannot be read any more is sent with what the event tells, and keeps
// no other back.
func TestUnpackDamaged(t *testing.T) {
	for name, damage := range map[string]string{
		"a record is gone":        "DELETE FROM records WHERE session = 1",
		"a record of another":     "UPDATE records SET session = 2 WHERE session = 1",
		"the session is gone":     "DELETE FROM sessions WHERE id = 1",
		"a word that is not ours": "UPDATE records SET digest = x'00' WHERE session = 1",
	} {
		f := newFixture(t)
		got := f.remembered()
		f.webhook("one", "fake")
		f.webhook("two", "live")
		f.raw(damage)
		wrong, err := f.Verify(ctx())
		must(t, err)
		if !strings.Contains(name, "word") && !strings.Contains(fmt.Sprint(wrong), "event 1 is packed, but what it is made from is not there") {
			t.Errorf("%s: verify says %v", name, wrong)
		}
		f.unpackAll()
		same(t, name+": events", len(got), 2)
		same(t, name+": damaged", got[1].View, View{ID: "one", Account: "production", State: verdict.Settled,
			Session: verdict.Session{Outcome: verdict.Fake, FirstBy: verdict.Webhook}}, cmpopts.IgnoreUnexported(View{}, verdict.Session{}))
		same(t, name+": whole", len(got[2].View.Entries), 1)
	}
}

// Where nobody has said how an event is rendered, it stays packed.
func TestUnpackNeedsRender(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	f.webhook("one", "live")
	f.reopen()
	if _, err := f.UnpackOutbox(ctx()); err == nil || !strings.Contains(err.Error(), "event 1 cannot be made ready") {
		t.Error(err)
	}
	f.forwarded()
	same(t, "due", f.turns("a"), []int64{1})
}

// A pack that cannot be read keeps nothing back but its own events: not others, not people, not
// the start; verify names it.
func TestUnreadablePack(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	f.webhook("one", "live")
	f.webhook("two", "live")
	f.webhook("three", "live")
	f.raw("UPDATE outbox_packs SET data = x'ff' WHERE seq = 2")
	for range 2 {
		wrong, err := f.Verify(ctx())
		must(t, err)
		same(t, "verify", wrong, []string{"the events from 2 on are packed, and the pack cannot be read"})
		list, err := f.Letters(ctx(), "a", false, 0, 10)
		must(t, err)
		same(t, "listed", len(list), 2)
		f.reopen()
		f.forwarded("a")
		figures, err := f.ForwardFigures(ctx())
		must(t, err)
		same(t, "pending", figures[0].Pending, int64(2))
		same(t, "oldest", figures[0].OldestAt, day())
		same(t, "due", f.turns("a"), []int64{1, 3})
	}
	ok, err := f.Skip(ctx(), "a", 3)
	must(t, err)
	same(t, "skipped", ok, true)
	f.pass(month)
	same(t, "pruned", f.prune(Retention{Settled: time.Hour, All: true}).Sessions, int64(1))
}

// Metadata that cannot be put into what is sent are left out of it.
func TestUnpackOddMetadata(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	deep := `{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`
	f.expect("one", withMeta(deep))
	f.webhook("one", "live")
	f.webhook("two", "live")
	same(t, "due", f.turns("a"), []int64{2, 3})
	if body := f.payload(2); strings.Count(body, `"metadata":null`) != 2 {
		t.Error(body)
	}
	f.sound()
}

// An unpacking that fails troubles none of the deliveries that share its commit.
func TestFailingUnpackHarmsNoBatch(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	f.webhook("one", "live")
	f.SetForwarding(Forwarding{}) // nobody says how it is rendered
	begun, block := make(chan struct{}), make(chan struct{})
	go f.queue.do(ctx(), func(*txn) error { close(begun); <-block; return nil })
	<-begun
	var wg sync.WaitGroup
	for i := range 20 {
		in := f.heard(verdict.FormCompleted, fmt.Sprint("s", i), "live", f.now())
		wg.Go(func() {
			if _, err := f.Apply(ctx(), in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if _, err := f.UnpackOutbox(ctx()); err == nil {
			t.Error("it was unpacked")
		}
	})
	for f.queue.depth() < 21 {
		time.Sleep(time.Millisecond)
	}
	before := f.queue.commits.Load()
	close(block)
	wg.Wait()
	same(t, "commits", f.queue.commits.Load()-before, int64(2))
}

// What is packed in the same transaction keeps its session from being pruned as well.
func TestPruneInTheSameTransaction(t *testing.T) {
	f := newFixture(t)
	f.webhook("old", "live")
	f.forwarded("a")
	f.pass(month)
	f.raw("UPDATE sessions SET outcome = 2 WHERE id = 1")
	must(t, f.queue.do(ctx(), func(tx *txn) error {
		if err := tx.rebuildBatch(0, func(tx *txn, get func(id int64) scanner, rows []*row) error {
			_, err := f.refold(tx, get, rows[0])
			return err
		}); err != nil {
			return err
		}
		if seq, err := tx.oldestPending(); err != nil || seq != 2 {
			t.Errorf("the oldest pending event is %d, %v", seq, err)
		}
		rows, err := tx.rows("SELECT "+rowColumns+" FROM sessions WHERE NOT "+packedSQL, tx.firstEvent)
		same(t, "may be deleted", len(rows), 0)
		return err
	}))
	f.sound()
	same(t, "due", f.turns("a"), []int64{2})
}

// Long sessions are unpacked a few records at a time, each record read once, in order: what
// there was no time for stays packed.
func TestUnpackLongSessions(t *testing.T) {
	f := newFixture(t)
	got := f.remembered()
	for _, id := range []string{"one", "two", "three"} {
		f.pass(time.Hour)
		f.webhook(id, "live")
		for range unpackRecords {
			f.pass(time.Second)
			f.apply(f.heard(verdict.FormSubmitted, id, "live", f.now()))
		}
	}
	f.unpackAll()
	clear(got)
	f.pass(time.Hour)
	var heard []Observed // two events for each session, in one pack
	for _, word := range []string{"fake", "live"} {
		f.pass(time.Minute)
		for _, id := range []string{"one", "two", "three"} {
			heard = append(heard, f.heard(verdict.FormCompleted, id, word, f.now()))
		}
	}
	must(t, f.queue.do(ctx(), func(tx *txn) error {
		for _, in := range heard {
			if _, err := tx.apply(in); err != nil {
				return err
			}
		}
		return nil
	}))
	same(t, "packs", f.packCount(), int64(1))
	f.sound()
	events := 0
	for n := 1; ; n++ {
		more, err := f.UnpackOutbox(ctx())
		must(t, err)
		f.sound()
		if !more {
			same(t, "events", events, len(heard))
			break
		}
		if len(got) != events+1 {
			t.Fatalf("step %d has unpacked %d events", n, len(got)-events)
		}
		events = len(got)
	}
	first := f.get("one").Entries[0].Record
	for seq, r := range got {
		entries := r.View.Entries
		if r.Event.SessionID == "one" && entries[0].Record != first {
			t.Errorf("event %d begins with record %d", seq, entries[0].Record)
		}
		for i := 1; i < len(entries); i++ {
			if entries[i].Record <= entries[i-1].Record {
				t.Fatalf("event %d: record %d follows %d", seq, entries[i].Record, entries[i-1].Record)
			}
		}
		if want := unpackRecords + 2; len(entries) != want && len(entries) != want+1 {
			t.Errorf("event %d has %d entries", seq, len(entries))
		}
	}

	// In one unpacking a chain is read once, and cut for an older event.
	u := unpacking{chains: map[int64][]record{}}
	must(t, f.queue.do(ctx(), func(tx *txn) error {
		u.txn = tx
		r, err := tx.find("production", "one")
		if err != nil {
			return err
		}
		for back := range int64(3) {
			p := packed{session: r.id, then: momentOf(r, nil)}
			p.then.head = f.get("one").Entries[unpackRecords+2-int(back)].Record
			v, err := u.viewThen(&Event{At: f.now()}, &p)
			if err != nil {
				return err
			}
			same(t, "entries", len(v.Entries), unpackRecords+3-int(back))
		}
		return nil
	}))
	same(t, "records read", u.records, unpackRecords+3)
}

// A damaged table of packs keeps nobody from reading the sessions: not a command while the
// daemon is down, and not a salvage.
func TestDamagedPacksCanBeOpenedAround(t *testing.T) {
	f := newFixture(t)
	f.forwarded("a")
	f.webhook("one", "live")
	var page, size int64
	must(t, f.reader.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox_packs'").Scan(&page))
	must(t, f.reader.QueryRow("PRAGMA page_size").Scan(&size))
	must(t, f.Close())
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0xff}, int(size)), (page-1)*size)
	must(t, errors.Join(err, file.Close()))

	s, err := OpenReadOnly(ctx(), f.path)
	must(t, err)
	_, err = s.Get(ctx(), "production", "one", false)
	must(t, errors.Join(err, s.Close()))

	bad, err := openDamaged(f.path)
	must(t, err)
	recs, err := bad.salvageable(ctx(), 1, 10)
	must(t, errors.Join(err, bad.disconnect()))
	same(t, "records to salvage", len(recs), 1)
}
