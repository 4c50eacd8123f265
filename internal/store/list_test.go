package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func (f *fixture) list(filter Filter) []string {
	f.t.Helper()
	var ids []string
	for {
		page, next, err := f.List(ctx(), filter)
		must(f.t, err)
		for _, v := range page {
			ids = append(ids, v.ID)
		}
		if filter.After = next; next == "" {
			return ids
		}
		same(f.t, "length of a page", len(page), filter.Limit)
	}
}

func TestList(t *testing.T) {
	f := newFixture(t)
	f.missing("gone")
	since := f.now()
	f.expect("late")
	f.pass(2 * time.Minute)
	f.expect("waits")
	f.webhook("live", "live")
	f.webhook("fake", "fake")
	f.apply(f.heard(verdict.FormSubmitted, "sent", "live", f.now()))
	f.apply(f.heard(verdict.FormSubmitted, "split", "live", f.now()))
	f.pass(time.Millisecond)
	f.apply(f.heard(verdict.FormCompleted, "split", "fake", f.now().Add(-time.Millisecond)))
	f.expect("off")
	_, err := f.Withdraw(ctx(), "production", "off", -1, f.now())
	must(t, err)
	other := f.heard(verdict.FormCompleted, "live", "fake", f.now())
	other.Account = "other"
	f.apply(other)
	for _, c := range []struct {
		name   string
		filter Filter
		want   []string
	}{
		{"all", Filter{}, []string{"live", "off", "split", "sent", "fake", "live", "waits", "late", "gone"}},
		{"account", Filter{Account: "other"}, []string{"live"}},
		{"no such account", Filter{Account: "nobody"}, nil},
		{"awaiting", Filter{State: verdict.Awaiting}, []string{"waits"}},
		{"overdue", Filter{State: verdict.Overdue}, []string{"late"}},
		{"settled", Filter{State: verdict.Settled, Account: "production"}, []string{"split", "sent", "fake", "live"}},
		{"missing", Filter{State: verdict.Missing}, []string{"gone"}},
		{"withdrawn", Filter{State: verdict.Withdrawn}, []string{"off"}},
		{"outcome", Filter{Outcome: verdict.Fake, Account: "production"}, []string{"split", "fake"}},
		{"source", Filter{Source: verdict.Submitted}, []string{"split", "sent"}},
		{"conflict", Filter{Conflict: true}, []string{"split"}},
		{"since", Filter{Since: since.Add(time.Minute), State: verdict.Settled, Outcome: verdict.Live}, []string{"sent", "live"}},
	} {
		for _, promoted := range []bool{false, true} {
			for limit := 1; limit <= 10; limit++ {
				c.filter.Limit = limit
				same(t, fmt.Sprint(c.name, " by ", limit, promoted), f.list(c.filter), c.want)
			}
		}
		if c.name == "all" { // the same, before and after the sweep
			_, err := f.Promote(ctx(), f.now())
			must(t, err)
		}
	}
	if _, _, err := f.List(ctx(), Filter{After: "x"}); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	var ambiguous *Ambiguous
	if _, err := f.Get(ctx(), "", "live", false); !errors.As(err, &ambiguous) || !slices.Equal(ambiguous.Accounts, []string{"production", "other"}) {
		t.Error(err)
	}
	if _, err := f.Get(ctx(), "", "nothing", false); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	v, err := f.Get(ctx(), "", "gone", false)
	must(t, err)
	same(t, "account", v.Account, "production")
}

func TestLearnedAndLabels(t *testing.T) {
	f := newFixture(t)
	l, err := f.LoadLearned(ctx(), "production")
	must(t, err)
	same(t, "nothing", l, Learned{Routes: map[string]RouteStats{}})
	want := Learned{Rate: 60.5, Routes: map[string]RouteStats{
		"/a/{session_id}": {Last200At: f.now(), Answers: map[string]int64{"200": 3, "404": 1}},
		"/b/{job_id}":     {Answers: map[string]int64{"transport": 7}},
	}}
	for range 2 {
		must(t, f.SaveLearned(ctx(), "production", want))
		must(t, f.SaveLearned(ctx(), "other", Learned{}))
		f.reopen()
		l, err = f.LoadLearned(ctx(), "production")
		must(t, err)
		same(t, "learned", l, want)
	}
	f.webhook("a", "live")
	first := f.now()
	f.pass(time.Hour)
	f.webhook("b", "live")
	f.pass(-2 * time.Hour)
	f.webhook("c", "live") // a clock that is set back
	_, err = f.KeepLoose(ctx(), Loose{Account: "other", Label: "two", At: f.now(), Digest: make([]byte, 32)})
	must(t, err)
	uses, err := f.LabelUses(ctx())
	must(t, err)
	slices.SortFunc(uses, func(a, b LabelUse) int { return b.LastUsedAt.Compare(a.LastUsedAt) })
	same(t, "uses", uses, []LabelUse{{"production", "one", first.Add(time.Hour)}, {"other", "two", f.now()}})
}
