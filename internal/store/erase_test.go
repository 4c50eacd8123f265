package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// payload is what would be sent about an event.
func (f *fixture) payload(seq int64) string {
	f.t.Helper()
	var body string
	must(f.t, f.reader.QueryRow("SELECT body FROM payloads WHERE seq = ?", seq).Scan(&body))
	return body
}

// A payload is fixed at the time of the event: that its session is pruned before it is sent,
// and announced anew with other metadata, changes nothing about it.
func TestOutboxOutlivesItsSession(t *testing.T) {
	for _, packed := range []bool{true, false} {
		f := newFixture(t)
		f.forwarded("a")
		meta := func(n int) func(*Expectation) { return withMeta(fmt.Sprintf(`{"customer":%d}`, n)) }
		const n = 3 * packMax
		for i := range n {
			f.expect(fmt.Sprint("s", i), meta(i))
			f.webhook(fmt.Sprint("s", i), "live")
		}
		if !packed {
			f.unpackAll()
		}
		f.pass(month)
		f.webhook("young", "live")
		same(t, "pruned", f.prune(Retention{Settled: time.Hour, All: true}).Sessions, int64(n))
		same(t, "packs left", f.packCount(), int64(1))
		f.sound2(1)
		f.expect("s7", meta(1000))
		f.unpackAll()
		for i := range n { // each has an event before: that it is expected
			if want, body := fmt.Sprintf(`"metadata":{"customer":%d}`, i), f.payload(int64(2*i+2)); strings.Count(body, want) != 2 {
				t.Fatalf("packed %t: the event of %d says %s, want %s", packed, i, body, want)
			}
		}
	}
}

// What is erased is erased from what is still to be forwarded as well, pending or a dead
// letter, although its session was pruned, and known anew.
func TestErasePruned(t *testing.T) {
	for _, anew := range []bool{false, true} {
		f := newFixture(t)
		f.forwarded("a")
		const secret = "c-17-very-personal"
		for _, id := range []string{"one", "two"} {
			f.expect(id, withMeta(`{"customer":"`+secret+id+`"}`))
			f.webhook(id, "live")
		}
		f.turns("a")
		f.sent("a", 2, died)
		f.pass(time.Hour)
		f.webhook("one", "fake")
		f.pass(month)
		same(t, "pruned", f.prune(Retention{Settled: time.Hour, All: true}).Sessions, int64(2))
		if anew {
			f.expect("one", withMeta(`{"customer":"`+secret+`one again"}`))
		}
		list, err := f.Erasable(ctx(), "one")
		must(t, err)
		same(t, "accounts", list, []string{"production"})
		must(t, f.Erase(ctx(), "production", "one", 0, f.now()))
		must(t, f.Erase(ctx(), "production", "one", 0, f.now()))
		for seq, want := range map[int64]string{2: "null", 4: `{"customer":"` + secret + `two"}`, 5: "null"} {
			if body := f.payload(seq); strings.Count(body, `"metadata":`+want) != 2 || !strings.Contains(body, `"score":94.1`) {
				t.Errorf("event %d: %s", seq, body)
			}
		}
		if err := f.Erase(ctx(), "production", "three", 0, f.now()); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := f.Erase(ctx(), "staging", "one", 0, f.now()); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		must(t, f.Close())
		for name, data := range files(t, filepath.Dir(f.path)) {
			if strings.Contains(data, secret+"one") {
				t.Errorf("%s still has it", name)
			}
		}
	}
}
