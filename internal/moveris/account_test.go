package moveris

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func TestDeniedRouteIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := true
		w := &wire{answer: func(_ int, r *http.Request) (*http.Response, error) {
			if denied && strings.Contains(r.URL.Path, "/sessions/") {
				return says(403, ""), nil
			}
			return says(404, ""), nil
		}}
		c := open(t, w)
		if rep := ask(c); rep.Answer != verdict.NoAnswer || conclusions(rep) != "not_found not_found denied" {
			t.Errorf("%q, %v", conclusions(rep), rep.Answer)
		}
		// It is no longer usable: the others alone decide, and the account runs.
		if rep := ask(c); rep.Answer != verdict.NotThere || conclusions(rep) != "not_found not_found" {
			t.Errorf("%q, %v", conclusions(rep), rep.Answer)
		}
		if h := c.Health(); h.Breaker != "closed" || h.Routes[2].Denied != 403 {
			t.Errorf("%+v", h)
		}
		time.Sleep(probeInterval)
		if rep := ask(c); conclusions(rep) != "not_found not_found denied" {
			t.Errorf("not tried again after a while: %q", conclusions(rep))
		}
		denied = false
		time.Sleep(probeInterval)
		ask(c)
		if rep := ask(c); conclusions(rep) != "not_found not_found not_found" || c.Health().Routes[2].Denied != 0 {
			t.Errorf("not enabled again: %q", conclusions(rep))
		}
	})
}

// stops drives a client into a stop and checks the one probe of each interval.
func stops(t *testing.T, w *wire, c *Client, reason string, mend func()) {
	t.Helper()
	if h := c.Health(); h.Breaker != "stopped" || h.Reason != reason || !h.NextProbeAt.Equal(time.Now().Add(probeInterval)) {
		t.Fatalf("%+v", h)
	}
	before := w.count()
	rep := ask(c)
	if len(rep.Routes) != 0 || rep.Answer != verdict.NoAnswer || !rep.RetryAt.Equal(c.Health().NextProbeAt) {
		t.Errorf("stopped, and yet %+v", rep)
	}
	if c.Usable(time.Now()) || c.Tokens(time.Now().Add(time.Minute)) != 0 || w.count() != before {
		t.Error("stopped, and yet usable")
	}
	time.Sleep(probeInterval)
	if !c.Usable(time.Now()) || c.Tokens(time.Now().Add(time.Minute)) != 1 {
		t.Errorf("no probe when it is due: %d tokens", c.Tokens(time.Now().Add(time.Minute)))
	}
	for range 50 {
		ask(c)
	}
	if n := w.count() - before; n != 1 {
		t.Errorf("%d requests when one probe was due", n)
	}
	mend()
	time.Sleep(probeInterval)
	ask(c)
	if h := c.Health(); h.Breaker != "closed" || h.Reason != "" {
		t.Errorf("a good probe does not start the account: %+v", h)
	}
	for _, r := range c.Health().Routes {
		if r.Denied != 0 {
			t.Errorf("%s is still disabled", r.Route)
		}
	}
}

func TestAccountStopsWhenAllRoutesAreDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 401
		w := &wire{answer: func(int, *http.Request) (*http.Response, error) { return says(status, ""), nil }}
		c := open(t, w)
		if rep := ask(c); conclusions(rep) != "denied denied denied" || rep.Answer != verdict.NoAnswer {
			t.Errorf("%q %v", conclusions(rep), rep.Answer)
		}
		stops(t, w, c, AccountDenied, func() { status = 404 })
	})
}

func TestAccountStopsWhenAProvenRouteSays401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := true
		w := &wire{answer: func(_ int, r *http.Request) (*http.Response, error) {
			switch {
			case !strings.Contains(r.URL.Path, "/result/"+testID):
				return says(404, ""), nil
			case good:
				return says(200, job("complete", "live")), nil
			}
			return says(401, ""), nil
		}}
		c := open(t, w)
		ask(c)
		good = false
		if rep := ask(c); rep.Answer != verdict.NoAnswer || conclusions(rep) != "denied skipped_stopped" {
			t.Errorf("%q %v", conclusions(rep), rep.Answer)
		}
		stops(t, w, c, AccountDenied, func() { good = true })
	})
}

// A proven route that says 403 lacks a scope at most.
func TestProven403DisablesTheRouteOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := byPath(map[string]func() *http.Response{"/sessions/": answers(403, "")})
		c := open(t, w, func(cfg *Config) {
			cfg.Learned.Routes = map[string]RouteStats{bySession: {Last200At: time.Now()}}
		})
		ask(c)
		if h := c.Health(); h.Breaker != "closed" || h.Routes[2].Denied != 403 {
			t.Errorf("%+v", h)
		}
	})
}

func TestAccountStopsWithoutCredits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 402
		w := &wire{answer: func(int, *http.Request) (*http.Response, error) { return says(status, ""), nil }}
		c := open(t, w)
		if rep := ask(c); conclusions(rep) != NoCredits {
			t.Errorf("%q: no further route is to be asked", conclusions(rep))
		}
		stops(t, w, c, AccountNoCredits, func() { status = 404 })
	})
}

// What was on its way when the account was stopped does not start it again.
func TestStopOutlivesAnswersUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 1 {
				time.Sleep(9 * time.Second)
				return says(200, job("complete", "live")), nil
			}
			return says(402, ""), nil
		}}
		c := open(t, w, routes(byID))
		go ask(c)
		time.Sleep(time.Second)
		ask(c)
		time.Sleep(time.Minute)
		if h := c.Health(); h.Breaker != "stopped" || h.Routes[0].Last200At.IsZero() {
			t.Errorf("%+v", h)
		}
	})
}

func TestUnsentProbeIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := always(402, "")
		c := open(t, w)
		ask(c)
		time.Sleep(probeInterval)
		ctx, cancel := contextDone(t)
		defer cancel()
		c.Ask(ctx, Asked{SessionID: testID})
		if !c.Usable(time.Now()) {
			t.Error("a probe that was never sent is taken for one")
		}
	})
}

func TestRateLimitHoldsTheAccount(t *testing.T) {
	for _, tc := range []struct {
		header, body string
		want         time.Duration
	}{
		{"30", "", 30 * time.Second}, {"", `{"error":"rate_limited","retry_after":40}`, 40 * time.Second},
		{"", "", rateLimitedWait}, {"0", "", rateLimitedWait}, {"-3", "", rateLimitedWait}, {"junk", "", rateLimitedWait},
		{"86400", "", 15 * time.Minute}, {"9223372036854775807", "", 15 * time.Minute},
		{"Sat, 01 Jan 2000 00:05:00 GMT", "", 5*time.Minute - time.Second},
		{"Saturday, 01-Jan-00 00:05:00 GMT", "", 5*time.Minute - time.Second},
		{"Sat Jan  1 00:05:00 2000", "", 5*time.Minute - time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := always(429, tc.body, "Retry-After", tc.header)
			c := open(t, w, func(cfg *Config) { cfg.RequestsPerMinute = 68 }) // the first token comes after a second
			rep := ask(c)
			wait := time.Until(rep.RetryAt).Round(100 * time.Millisecond)
			if conclusions(rep) != RateLimited || rep.Answer != verdict.NoAnswer || wait != tc.want {
				t.Errorf("%q %q: %q, %v", tc.header, tc.body, conclusions(rep), wait)
			}
			if rep.Routes[0].Requests != 1 {
				t.Errorf("%d requests: a 429 is not retried", rep.Routes[0].Requests)
			}
			if again := ask(c); len(again.Routes) != 0 || !again.RetryAt.Equal(rep.RetryAt) || c.Usable(time.Now()) {
				t.Errorf("not held: %+v", again)
			}
			if !c.Usable(rep.RetryAt) {
				t.Error("not usable when the wait is over")
			}
			if h := c.Health(); h.RatePerMinute != 34 || h.RateLimited != 1 || h.LastRateLimitedAt.IsZero() || !h.HeldUntil.Equal(rep.RetryAt) {
				t.Errorf("%+v", h)
			}
			if c.LearnedState().Rate != 34 {
				t.Error("the rate is not learned")
			}
		})
	}
}
