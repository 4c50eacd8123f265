package store

import (
	"errors"
	"testing"
	"time"
)

// When a secret was last used is told to the second, however many deliveries share one, and what
// a rolled back transaction would have written is written by the next.
func TestLabelUsedToTheSecond(t *testing.T) {
	f := newFixture(t)
	lastUsed := func() time.Time {
		t.Helper()
		uses, err := f.LabelUses(ctx())
		must(t, err)
		same(t, "labels", len(uses), 1)
		return uses[0].LastUsedAt
	}
	f.webhook("a", "live")
	first := f.now()
	same(t, "first use", lastUsed().UnixMilli(), first.UnixMilli())
	f.pass(labelGrain / 2)
	f.webhook("b", "live")
	same(t, "within the second", lastUsed().UnixMilli(), first.UnixMilli())
	f.pass(labelGrain / 2)
	failed := errors.New("on purpose")
	err := f.queue.do(ctx(), func(t *txn) error {
		t.used(1, "one", f.now())
		if err := t.flush(); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	same(t, "after a rollback", lastUsed().UnixMilli(), first.UnixMilli())
	f.webhook("c", "live")
	same(t, "a second later", lastUsed().UnixMilli(), f.now().UnixMilli())
}
