package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moverisd/moverisd/internal/verdict"
)

// day is where the clock of a fixture begins.
func day() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }

func testPolicy() verdict.Policy {
	return verdict.Policy{GracePeriod: time.Minute, GiveUpAfter: time.Hour, BackoffMin: 15 * time.Second,
		BackoffMax: 10 * time.Minute}
}

// fixture is a store in a directory of its own, with a clock of its own.
type fixture struct {
	*Store
	t      testing.TB
	path   string
	clock  atomic.Int64 // milliseconds
	policy func(string) verdict.Policy
	bodies int
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "moverisd.db"),
		policy: func(string) verdict.Policy { return testPolicy() }}
	f.clock.Store(day().UnixMilli())
	f.open()
	t.Cleanup(func() { _ = f.Store.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	s, err := Open(context.Background(), Options{Path: f.path, Now: f.now, Policy: f.policy})
	if err != nil {
		f.t.Fatal(err)
	}
	f.Store = s
}

func (f *fixture) reopen() {
	f.t.Helper()
	must(f.t, f.Close())
	f.open()
}

func (f *fixture) now() time.Time             { return time.UnixMilli(f.clock.Load()).UTC() }
func (f *fixture) pass(d time.Duration)       { f.clock.Add(d.Milliseconds()) }
func ctx() context.Context                    { return context.Background() }
func (f *fixture) raw(query string, a ...any) { f.t.Helper(); rawExec(f.t, f.path, query, a...) }

// rawExec changes a store behind its back.
func rawExec(t testing.TB, path, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t testing.TB, what string, got, want T, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// heard is an observation with a body of its own.
func (f *fixture) heard(form verdict.Form, id, word string, created time.Time) Observed {
	f.bodies++
	body := fmt.Appendf(nil, "body %d of %s", f.bodies, id)
	o := verdict.Observation{Form: form, Source: sourceOf(code(forms(), form)), CreatedAt: created, AsOf: created,
		ObservedAt: f.now(), Digest: sha256.Sum256(body), RepeatAfter: 15 * time.Second}
	switch form {
	case verdict.FormJob, verdict.FormSession:
		o.Status, o.Verdict, o.Route = "complete", word, "/api/v1/result/{session_id}"
	case verdict.FormSubmitted:
		o.Verdict, o.WebhookDueAt = word, f.now().Add(time.Minute)
	default:
		o.Verdict, o.Label = word, "one"
	}
	return Observed{Account: "production", SessionID: id, Observation: o, Body: body}
}

func (f *fixture) apply(in Observed) Receipt {
	f.t.Helper()
	r, err := f.Apply(ctx(), in)
	must(f.t, err)
	return r
}

func (f *fixture) webhook(id, word string) Receipt {
	f.t.Helper()
	return f.apply(f.heard(verdict.FormCompleted, id, word, f.now()))
}

// webhooks settles many sessions in few commits.
func (f *fixture) webhooks(prefix string, n int) {
	f.t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		in := f.heard(verdict.FormCompleted, fmt.Sprint(prefix, i), "live", f.now())
		wg.Go(func() { _, errs[i] = f.Apply(ctx(), in) })
	}
	wg.Wait()
	must(f.t, errors.Join(errs...))
}

func (f *fixture) expect(id string, change ...func(*Expectation)) Receipt {
	f.t.Helper()
	in := Expectation{Account: "production", SessionID: id, At: f.now()}
	for _, c := range change {
		c(&in)
	}
	r, err := f.Expect(ctx(), in)
	must(f.t, err)
	return r
}

// miss is an attempt that every route answered with 404.
func (f *fixture) miss(id string) Receipt {
	f.t.Helper()
	return f.deferred(id, verdict.NotThere, RouteResult{"/api/v1/result/{session_id}", 404, "not_found"})
}

func (f *fixture) deferred(id string, a verdict.Answer, routes ...RouteResult) Receipt {
	f.t.Helper()
	r, err := f.Defer(ctx(), Deferred{Account: "production", SessionID: id,
		Attempt: Attempt{At: f.now(), Sent: true, Answer: a, Routes: routes}})
	must(f.t, err)
	return r
}

func (f *fixture) get(id string) View {
	f.t.Helper()
	v, err := f.Get(ctx(), "production", id, true)
	must(f.t, err)
	return v
}

func (f *fixture) kinds(id string) []string {
	var out []string
	for _, e := range f.get(id).Entries {
		out = append(out, e.Kind)
	}
	return out
}

func (f *fixture) changes(id string) []verdict.Change {
	f.t.Helper()
	list, err := f.Events(ctx(), -1, 0)
	must(f.t, err)
	var out []verdict.Change
	for _, e := range list {
		if e.SessionID == id {
			out = append(out, e.Change)
		}
	}
	return out
}

// files are the names and bytes of a directory.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	out := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		out[e.Name()] = string(data)
	}
	return out
}

func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
