package forward

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// The published library accepts what is sent, by every secret that is listed, in each form a
// secret can have.
func TestSignature(t *testing.T) {
	encoded := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of twenty-four b"))
	raw := "a raw secret, as it is"
	var keys [][]byte
	for _, s := range []string{encoded, raw} {
		key, err := Key([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	v := &receiver{}
	srv := httptest.NewServer(v)
	defer srv.Close()
	r := newRig(t, "backend")
	r.start(quick(), nil, Target{"backend", srv.URL, keys})
	r.settle("s")
	r.drained("backend")
	got := v.all()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	q := got[0]
	if want := fmt.Sprintf("evt_%s_1", r.store.ID()); q.id != want {
		t.Errorf("webhook-id %q, want %q", q.id, want)
	}
	if ct := q.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
	byEncoded, err := standardwebhooks.NewWebhook(encoded)
	if err != nil {
		t.Fatal(err)
	}
	byRaw, err := standardwebhooks.NewWebhookRaw([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, wh := range map[string]*standardwebhooks.Webhook{"whsec_": byEncoded, "raw": byRaw} {
		if err := wh.Verify(q.raw, q.header); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := wh.Verify(append(q.raw, ' '), q.header); err == nil {
			t.Errorf("%s accepts another body", name)
		}
	}
	if _, err := Key([]byte("whsec_%%%")); err == nil {
		t.Error("a secret that is not base64 is accepted")
	}
}

// Only the configured changes go to a target, each target has its own outbox, and a dead one
// does not hold up another.
func TestTargets(t *testing.T) {
	v := &receiver{}
	srv := httptest.NewServer(v)
	defer srv.Close()
	r := newRig(t, "backend", "dead")
	f := forwardingOf("backend", "dead")
	f.Forwards[0].Changes = []verdict.Change{verdict.ChangeReverified}
	r.store.SetForwarding(f)
	r.start(quick(), nil, Target{"backend", srv.URL, [][]byte{{1}}}, Target{"dead", "http://127.0.0.1:1/", [][]byte{{1}}})
	for range 2 {
		for i := range 20 {
			r.settle(fmt.Sprint(i))
		}
	}
	r.drained("backend")
	for _, q := range v.all() {
		if q.body.Type != "session.reverified" {
			t.Errorf("%s was sent", q.body.Type)
		}
	}
	if n := len(v.all()); n != 20 {
		t.Errorf("%d events were sent, want 20", n)
	}
	if n := r.figures("dead").Pending; n != 40 {
		t.Errorf("%d events are pending for the dead target, want 40", n)
	}
	r.eventually("the error is told", func() bool { return strings.Contains(r.figures("dead").LastError, "refused") })
	r.sound()
}

// A redirect is an answer like any other: neither another host nor another path is asked.
func TestRedirect(t *testing.T) {
	other := &receiver{}
	elsewhere := httptest.NewServer(other)
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		v := &receiver{answer: func(int, request) (int, http.Header) {
			return status, http.Header{"Location": {elsewhere.URL + "/stolen"}}
		}}
		srv := httptest.NewServer(v)
		r := newRig(t, "backend")
		r.start(quick(), nil, Target{"backend", srv.URL, [][]byte{{1}}})
		r.settle("s")
		r.eventually("it is tried again", func() bool { return len(v.all()) > 2 })
		if r.figures("backend").Pending != 1 {
			t.Errorf("%d counts as a success", status)
		}
		srv.Close()
	}
	if n := len(other.all()); n > 0 {
		t.Fatalf("%d redirects were followed", n)
	}
}

// The proxy of the environment is not asked: only the configured host is ever contacted.
func TestNoProxy(t *testing.T) {
	if newTransport().Proxy != nil {
		t.Fatal("a proxy may be contacted")
	}
}

func days(n float64) time.Duration { return time.Duration(n * 24 * float64(time.Hour)) }

// bubble runs a test in fake time with a receiver for a network.
func bubble(t *testing.T, v *receiver, f func(r *rig)) { bubbleWith(t, defaultTiming(), v, f) }

func bubbleWith(t *testing.T, tm timing, v *receiver, f func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "backend")
		r.start(tm, v, Target{"backend", "https://app.example/", [][]byte{{1}}})
		f(r)
		r.sound()
		r.stop(time.Second)
		r.fwd = nil
	})
}

// What cannot be delivered is tried with growing waits for one hour, or for three days, then
// it is a dead letter, and the next event of its session goes on.
func TestGivenUp(t *testing.T) {
	for _, c := range []struct {
		status int
		after  time.Duration
		min    int // attempts
		max    int
	}{{400, time.Hour, 8, 14}, {404, time.Hour, 8, 14}, {410, time.Hour, 8, 14}, {408, days(3), 60, 120}, {425, days(3), 60, 120},
		{429, days(3), 60, 120}, {500, days(3), 60, 120}, {301, days(3), 60, 120}, {0, days(3), 60, 120}} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			v := &receiver{}
			v.answer = func(_ int, q request) (int, http.Header) {
				if q.body.Data.Event.Seq == 1 {
					return c.status, nil
				}
				return 204, nil
			}
			bubble(t, v, func(r *rig) {
				r.settle("s")
				r.settle("s")
				time.Sleep(c.after - time.Minute)
				synctest.Wait()
				if f := r.figures("backend"); f.Pending != 2 || f.DeadLetters != 0 {
					t.Fatalf("shortly before: %+v", f)
				}
				time.Sleep(10 * time.Minute) // the target itself may be left alone for a minute or two
				synctest.Wait()
				if f := r.figures("backend"); f.Pending != 0 || f.DeadLetters != 1 {
					t.Fatalf("shortly after: %+v", f)
				}
				got := v.all()
				if last := got[len(got)-1]; last.body.Data.Event.Seq != 2 {
					t.Errorf("the next event did not follow: %+v", last.body)
				}
				if n := len(got) - 1; n < c.min || n > c.max {
					t.Errorf("%d attempts", n)
				}
				for i := range got[:len(got)-1] {
					if got[i].id != got[0].id || string(got[i].raw) != string(got[0].raw) {
						t.Errorf("attempt %d differs: %s %s", i, got[i].id, got[i].raw)
					}
					if i > 0 && got[i].at.Sub(got[i-1].at) < 3*time.Second {
						t.Errorf("attempt %d came after %s", i, got[i].at.Sub(got[i-1].at))
					}
				}
			})
		})
	}
}

// A refusal that turns into an outage does not make the hour: its clock begins anew.
func TestRefusalMustLast(t *testing.T) {
	v := &receiver{}
	v.answer = func(n int, _ request) (int, http.Header) { return []int{404, 500}[n%2], nil }
	bubble(t, v, func(r *rig) {
		r.settle("s")
		time.Sleep(days(2.9))
		synctest.Wait()
		if f := r.figures("backend"); f.Pending != 1 {
			t.Fatalf("%+v", f)
		}
	})
}

// Retry-After is obeyed, up to a cap.
func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{"60": time.Minute, "99999999999999999999": 15 * time.Minute, "86400": 15 * time.Minute} {
		v := &receiver{}
		v.answer = func(n int, _ request) (int, http.Header) {
			if n == 0 {
				return 429, http.Header{"Retry-After": {text}}
			}
			return 204, nil
		}
		bubble(t, v, func(r *rig) {
			r.settle("s")
			time.Sleep(time.Hour)
			synctest.Wait()
			got := v.all()
			if len(got) != 2 {
				t.Fatalf("%s: %d requests", text, len(got))
			}
			if d := got[1].at.Sub(got[0].at); d < want || d > want+time.Minute {
				t.Errorf("%s: waited %s, want %s", text, d, want)
			}
		})
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "-5": 0, "soon": 0, "0": 0, "7": 7 * time.Second,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Dead letters are sent again on request, marked as late, with the old id and a new
// signature; skipped ones never.
func TestRetryAndSkip(t *testing.T) {
	var dead atomic.Bool
	dead.Store(true)
	v := &receiver{}
	v.answer = func(int, request) (int, http.Header) {
		if dead.Load() {
			return 410, nil
		}
		return 204, nil
	}
	bubble(t, v, func(r *rig) {
		ctx := context.Background()
		for _, id := range []string{"a", "b", "c"} {
			r.settle(id)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if f := r.figures("backend"); f.DeadLetters != 3 || f.NewDead != 3 {
			t.Fatalf("%+v", f)
		}
		dead.Store(false)
		before := v.all()
		if ok, err := r.store.RetryDead(ctx, "backend", 1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err := r.store.RetryDead(ctx, "backend", 1); ok || err != nil {
			t.Fatal("retried twice", ok, err)
		}
		if ok, err := r.store.Skip(ctx, "backend", 2); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if n, err := r.store.RetryAllDead(ctx, "backend"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := v.all()[len(before):]
		// They are of different sessions: in which order they come is chance, also before.
		signed := map[string]string{}
		for _, q := range before {
			signed[q.id] = q.header.Get("webhook-signature")
		}
		if len(got) != 2 || got[0].id == got[1].id {
			t.Fatalf("%+v", got)
		}
		for _, q := range got {
			if seq := q.body.Data.Event.Seq; !q.body.Late || seq == 2 || signed[q.id] == "" {
				t.Errorf("event %d was sent again as %s, late %t", seq, q.id, q.body.Late)
			}
			if q.header.Get("webhook-signature") == signed[q.id] {
				t.Error("the signature is the old one")
			}
		}
		if f := r.figures("backend"); f.DeadLetters != 0 || f.Pending != 0 || f.LastError != "" {
			t.Errorf("%+v", f)
		}
	})
}

// A skipped event gives the turn to the next one of its session.
func TestSkipGivesTheTurn(t *testing.T) {
	v := &receiver{}
	v.answer = func(_ int, q request) (int, http.Header) {
		if q.body.Data.Event.Seq == 1 {
			return 400, nil
		}
		return 204, nil
	}
	bubble(t, v, func(r *rig) {
		r.settle("s")
		r.settle("s")
		time.Sleep(time.Minute)
		if ok, err := r.store.Skip(context.Background(), "backend", 1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if f := r.figures("backend"); f.Pending != 0 {
			t.Errorf("%+v", f)
		}
	})
}

// While nothing comes through, the target is probed rarely, most events stay packed, and
// after three days they are given up in bulk; whatever comes later is sent once it is back.
func TestDeadForDays(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	v := &receiver{}
	v.answer = func(int, request) (int, http.Header) {
		if down.Load() {
			return 0, nil
		}
		return 204, nil
	}
	tm := defaultTiming()
	tm.pauseMax = 15 * time.Minute // fewer probes than in truth, so that the test ends sooner
	bubbleWith(t, tm, v, func(r *rig) {
		for i := range 200 {
			r.settle(fmt.Sprint("old-", i))
		}
		time.Sleep(days(2.9))
		synctest.Wait()
		if f := r.figures("backend"); f.Pending != 200 || f.DeadLetters != 0 {
			t.Fatalf("%+v", f)
		}
		if n := len(v.all()); n > 3*24*4*2 {
			t.Errorf("%d probes in three days", n)
		}
		r.settle("new")
		time.Sleep(days(1))
		synctest.Wait()
		if f := r.figures("backend"); f.Pending != 1 || f.DeadLetters != 200 {
			t.Fatalf("%+v", f)
		}
		down.Store(false)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if f := r.figures("backend"); f.Pending != 0 || !f.FailingSince.IsZero() {
			t.Errorf("%+v", f)
		}
	})
}

// While the clock is in doubt nothing is given up by it.
func TestDoubt(t *testing.T) {
	turn := store.Turn{Seq: 1, Since: time.Unix(0, 0), Attempts: 50, RefusedAt: time.Unix(0, 0)}
	now := time.Unix(0, 0).Add(days(400))
	tm := defaultTiming()
	for _, status := range []int{0, 404, 500} {
		if !tm.next(turn, answer{status: status}, now, 0, false).Dead {
			t.Errorf("%d: not given up", status)
		}
		if s := tm.next(turn, answer{status: status}, now, 0, true); s.Dead || !s.NextAt.After(now) {
			t.Errorf("%d: given up in doubt: %+v", status, s)
		}
		few := turn
		few.Attempts = 1
		if tm.next(few, answer{status: status}, now, 0, false).Dead {
			t.Errorf("%d: given up after two attempts", status)
		}
	}
}

// A target is changed while it is failing: what was pending goes to the new address with the
// new key. One that is removed gets nothing, and goes on when it is there again.
func TestConfigure(t *testing.T) {
	v := &receiver{}
	v.answer = func(int, request) (int, http.Header) { return 204, nil }
	down := &receiver{answer: func(int, request) (int, http.Header) { return 500, nil }}
	old, fresh := httptest.NewServer(down), httptest.NewServer(v)
	defer old.Close()
	defer fresh.Close()
	r := newRig(t, "backend")
	r.start(defaultTiming(), nil, Target{"backend", old.URL, [][]byte{{1}}})
	r.settle("a")
	r.eventually("the old address is asked", func() bool { return len(down.all()) > 0 })
	r.eventually("it is recorded", func() bool { return r.figures("backend").LastError != "" })
	r.fwd.Configure(nil)
	before := len(down.all())
	r.settle("b")
	time.Sleep(50 * time.Millisecond)
	if f := r.figures("backend"); f.Pending != 2 || len(v.all()) != 0 || len(down.all()) != before {
		t.Fatalf("%+v, %d requests", f, len(down.all())-before)
	}
	r.fwd.Configure([]Target{{"backend", fresh.URL, [][]byte{[]byte("new key")}}})
	r.drained("backend")
	wh, err := standardwebhooks.NewWebhookRaw([]byte("new key"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, q := range v.all() {
		if err := wh.Verify(q.raw, q.header); err != nil {
			t.Error(err)
		}
		ids = append(ids, q.body.Data.Event.SessionID)
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("%v", ids)
	}
}

// Stop breaks off what hangs, and it is sent again after the next start.
func TestStop(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer srv.Close()
	defer close(hang)
	r := newRig(t, "backend")
	tm := quick()
	tm.attempt = time.Minute
	r.start(tm, nil, Target{"backend", srv.URL, [][]byte{{1}}})
	r.settle("s")
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	r.stop(100 * time.Millisecond)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	v := &receiver{}
	r.start(quick(), v, Target{"backend", "http://x/", nil})
	r.drained("backend")
	if len(v.all()) != 1 {
		t.Errorf("%d", len(v.all()))
	}
}
