package sim

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimit(t *testing.T) {
	c := newClock()
	m := New(Config{APIKey: "k", Now: c.now})
	for i := range 240 {
		if w := get(m, "/api/v1/result/x", "k"); w.Code != 404 {
			t.Fatalf("request %d: %d", i, w.Code)
		}
		c.move(100 * time.Millisecond)
	}
	w := get(m, "/api/v1/result/x", "k")
	expect(t, w, 429, `{"error":"rate_limit_exceeded","message":"Too many requests","retry_after":36}`)
	if w.Header().Get("Retry-After") != "36" {
		t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
	}
	if w := get(m, "/health", ""); w.Code != 200 {
		t.Errorf("the limit is of the key, health answered %d", w.Code)
	}
	c.move(36 * time.Second)
	if w := get(m, "/api/v1/result/x", "k"); w.Code != 404 {
		t.Errorf("after Retry-After: %d", w.Code)
	}
	if n := m.MaxRequestsIn(time.Minute); n != 242 {
		t.Errorf("MaxRequestsIn: %d, want 242 with the refused one and health", n)
	}
	m.ForgetRequests()
	if n := m.MaxRequestsIn(time.Minute); n != 0 || len(m.Requests()) != 0 {
		t.Errorf("forgotten: %d", n)
	}
}

func TestNoLimit(t *testing.T) {
	m := New(Config{RequestsPerMinute: -1})
	for range 1000 {
		if w := get(m, "/api/v1/result/x", ""); w.Code != 404 {
			t.Fatalf("answered %d", w.Code)
		}
	}
}

// Against the definition, counted the slow way.
func TestMaxIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := time.Duration(rapid.IntRange(1, 50).Draw(t, "window"))
		offsets := rapid.SliceOf(rapid.IntRange(0, 200)).Draw(t, "offsets")
		log := newRequestLog(1000)
		begin := newClock().now()
		for _, o := range offsets {
			log.add(Request{At: begin.Add(time.Duration(o))})
		}
		want := 0
		for _, from := range offsets {
			n := 0
			for _, o := range offsets {
				if o >= from && time.Duration(o-from) < window {
					n++
				}
			}
			want = max(want, n)
		}
		if got := log.maxIn(window); got != want {
			t.Fatalf("maxIn(%d) of %v = %d, want %d", window, offsets, got, want)
		}
	})
}

func TestWindowNeverAdmitsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		w := newWindow(limit, time.Minute)
		log := newRequestLog(1000)
		c := newClock()
		for _, step := range rapid.SliceOf(rapid.IntRange(0, 40)).Draw(t, "steps") {
			c.move(time.Duration(step) * time.Second)
			ok, wait := w.admit(c.now())
			if ok {
				log.add(Request{At: c.now()})
			} else if wait <= 0 || wait > time.Minute {
				t.Fatalf("wait %s", wait)
			}
		}
		if n := log.maxIn(time.Minute); n > limit {
			t.Fatalf("%d admitted in a minute, limit %d", n, limit)
		}
	})
}

func TestRequestLogIsARing(t *testing.T) {
	log := newRequestLog(3)
	var numbers []int
	for _, p := range []string{"a", "b", "c", "d", "e"} {
		numbers = append(numbers, log.add(Request{Path: p}))
	}
	for _, n := range numbers {
		log.done(n, 100+n)
	}
	got := ""
	for _, r := range log.all() {
		got += r.Path
		if want := 100 + int(r.Path[0]-'a'); r.Status != want {
			t.Errorf("%s has status %d, want %d", r.Path, r.Status, want)
		}
	}
	if got != "cde" {
		t.Errorf("kept %q", got)
	}
	log.clear()
	n := log.add(Request{Path: "f"})
	log.done(numbers[4], 999) // finished after the clear
	log.done(n, 200)
	if all := log.all(); len(all) != 1 || all[0].Status != 200 {
		t.Errorf("after clear: %+v", all)
	}
}
