package moveris

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func TestBreaker(t *testing.T) {
	for name, answer := range map[string]func() (*http.Response, error){
		"5xx":       func() (*http.Response, error) { return says(500, ""), nil },
		"transport": func() (*http.Response, error) { return nil, http.ErrServerClosed },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mended := false
				w := &wire{answer: func(int, *http.Request) (*http.Response, error) {
					if mended {
						return says(404, ""), nil
					}
					return answer()
				}}
				c := open(t, w, routes(byID))
				for i := range breakerTrips {
					if h := c.Health(); h.Breaker != "closed" {
						t.Fatalf("open after %d failures", i)
					}
					ask(c)
				}
				sent := w.count()
				if sent != breakerTrips*(1+quickRetries) {
					t.Errorf("%d requests", sent)
				}
				rep := ask(c)
				if conclusions(rep) != SkippedBreaker || rep.Answer != verdict.NoAnswer || w.count() != sent || c.Usable(time.Now()) {
					t.Errorf("%+v", rep)
				}
				if got := time.Until(rep.RetryAt); got <= 0 || got > breakerOpen {
					t.Errorf("RetryAt in %v", got)
				}
				time.Sleep(breakerOpen + time.Millisecond)
				if ask(c); w.count() != sent+1 {
					t.Errorf("%d requests to try the route out, want one", w.count()-sent)
				}
				mended = true
				time.Sleep(breakerOpen + time.Millisecond)
				if rep := ask(c); rep.Answer != verdict.NotThere || c.Health().Breaker != "closed" {
					t.Errorf("%+v", rep)
				}
			})
		})
	}
}

func TestAnswersOfAWorkingServerDoNotTrip(t *testing.T) {
	for _, status := range []int{200, 404, 401, 403, 400} {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, always(status, "<html>"), routes(byID))
			for range 3 * breakerTrips {
				ask(c)
				time.Sleep(probeInterval)
			}
			if got := c.Health().Routes[0].Breaker; got != "closed" {
				t.Errorf("%d: %s", status, got)
			}
		})
	}
}

func TestHealthCountsAndSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		w.answer = func(n int, _ *http.Request) (*http.Response, error) {
			ahead := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
			switch {
			case n == 1:
				return nil, http.ErrServerClosed
			case n == 2:
				return says(501, "", "Date", ahead), nil
			case n == 3:
				return says(200, strings.Replace(job("complete", "live"), testID, "other", 1), "Date", ahead), nil
			}
			return says(200, job("complete", "live"), "Date", ahead), nil
		}
		c := open(t, w, routes(byID))
		for range 4 {
			ask(c)
		}
		h := c.Health()
		skew := h.ClockSkew.Round(5 * time.Second)
		if h.ServerErrors != 1 || h.LastStatus != 200 || skew != 90*time.Second || h.UsedLastMinute != w.count() || h.BudgetPerMinute != 600 {
			t.Errorf("%+v", h)
		}
		r := h.Routes[0]
		if r.Answers["wrong_session"] != 1 || r.Answers["501"] != 1 || r.Answers["200"] != 2 || r.Last200At.IsZero() {
			t.Errorf("%+v", r)
		}
	})
}

func TestRepeatedFailuresAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		down := true
		w := &wire{answer: func(int, *http.Request) (*http.Response, error) {
			if down {
				return nil, http.ErrServerClosed
			}
			return says(404, ""), nil
		}}
		c := open(t, w, routes(byID), logTo(&log, slog.LevelInfo))
		for range 20 {
			ask(c)
			time.Sleep(time.Minute)
		}
		down = false
		for range 5 {
			ask(c)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}
