package moveris

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

func contextDone(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

func TestQuickRetries(t *testing.T) {
	refused := errors.New("connection refused")
	for _, tc := range []struct {
		name   string
		answer func() (*http.Response, error)
		want   int
	}{
		{"transport", func() (*http.Response, error) { return nil, refused }, 3},
		{"408", func() (*http.Response, error) { return says(408, ""), nil }, 3},
		{"500", func() (*http.Response, error) { return says(500, ""), nil }, 3},
		{"502", func() (*http.Response, error) { return says(502, ""), nil }, 3},
		{"503", func() (*http.Response, error) { return says(503, ""), nil }, 3},
		{"504", func() (*http.Response, error) { return says(504, ""), nil }, 3},
		{"503, soon", func() (*http.Response, error) { return says(503, "", "Retry-After", "1"), nil }, 3},
		{"503, later", func() (*http.Response, error) { return says(503, "", "Retry-After", "60"), nil }, 1},
		{"503, overflow", func() (*http.Response, error) { return says(503, "", "Retry-After", "9223372036854775807"), nil }, 1},
		{"500, later", func() (*http.Response, error) { return says(500, "", "Retry-After", "60"), nil }, 1},
		{"502, later by body", func() (*http.Response, error) { return says(502, `{"error":"x","retry_after":60}`), nil }, 1},
		{"408, later by asctime", func() (*http.Response, error) { return says(408, "", "Retry-After", "Sat Jan  1 01:00:00 2000"), nil }, 1},
		{"501", func() (*http.Response, error) { return says(501, ""), nil }, 1},
		{"429", func() (*http.Response, error) { return says(429, ""), nil }, 1},
		{"404", func() (*http.Response, error) { return says(404, ""), nil }, 1},
		{"400", func() (*http.Response, error) { return says(400, ""), nil }, 1},
		{"not a result", func() (*http.Response, error) { return says(200, "<html>"), nil }, 1},
		{"body breaks off", func() (*http.Response, error) {
			r := says(200, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":`), brokenReader{}))
			return r, nil
		}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answer: func(int, *http.Request) (*http.Response, error) { return tc.answer() }}
				c := open(t, w, routes(byID))
				rep := ask(c)
				if w.count() != tc.want || rep.Routes[0].Requests != tc.want {
					t.Errorf("%d requests, %d said, want %d", w.count(), rep.Routes[0].Requests, tc.want)
				}
				if c.Health().UsedLastMinute != tc.want {
					t.Error("retries are not on the budget")
				}
				for i := 1; i < len(w.at); i++ {
					if gap := w.at[i].Sub(w.at[i-1]); gap < quickWait || gap > quickWaitMax+quickWait {
						t.Errorf("retry after %v", gap)
					}
				}
			})
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestQuickRetryHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n < 3 {
				return says(503, ""), nil
			}
			return says(200, job("complete", "live")), nil
		}}
		var out bytes.Buffer
		c := open(t, w, routes(byID), logTo(&out, slog.LevelInfo))
		if rep := ask(c); rep.Answer != verdict.Said || rep.Routes[0].Requests != 3 {
			t.Errorf("%+v", rep)
		}
		if out.Len() != 0 {
			t.Errorf("a failure that was mended is logged:\n%s", out.String())
		}
	})
}

func TestLongRetryAfterHoldsTheRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := always(503, `{"error":"busy"}`, "Retry-After", "3600")
		c := open(t, w, routes(byID))
		start := time.Now()
		rep := ask(c)
		if time.Since(start) > time.Second {
			t.Errorf("slept %v", time.Since(start))
		}
		if got := time.Until(rep.RetryAt); got != 15*time.Minute || rep.Routes[0].Code != "busy" {
			t.Errorf("RetryAt in %v, %+v", got, rep.Routes[0])
		}
		if rep := ask(c); conclusions(rep) != SkippedRetryAfter || w.count() != 1 {
			t.Errorf("%q", conclusions(rep))
		}
		time.Sleep(15 * time.Minute)
		if ask(c); w.count() != 2 {
			t.Error("not asked when the wait was over")
		}
	})
}

func TestTimeouts(t *testing.T) {
	hangs := func(_ int, r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	t.Run("attempt and call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{answer: hangs}
			c := open(t, w, routes(byID), func(cfg *Config) { cfg.AttemptTimeout, cfg.CallTimeout = 10*time.Second, 15*time.Second })
			start := time.Now()
			rep := ask(c)
			if took := time.Since(start); w.count() != 2 || took < 15*time.Second || took > 16*time.Second {
				t.Errorf("%d requests, %v", w.count(), took)
			}
			if !errors.Is(rep.Routes[0].Err, errCallTimeout) || conclusions(rep) != Transport {
				t.Errorf("%+v", rep.Routes[0])
			}
		})
	})
	t.Run("attempt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{answer: hangs}
			c := open(t, w, routes(byID), func(cfg *Config) { cfg.AttemptTimeout, cfg.CallTimeout = time.Second, time.Minute })
			if rep := ask(c); w.count() != 3 || !errors.Is(rep.Routes[0].Err, errAttemptTimeout) {
				t.Errorf("%d requests, %+v", w.count(), rep.Routes[0])
			}
		})
	})
	t.Run("a body that never ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{answer: func(_ int, r *http.Request) (*http.Response, error) {
				resp := says(200, "")
				resp.Body = io.NopCloser(waitingReader{r.Context()})
				return resp, nil
			}}
			c := open(t, w, routes(byID))
			if rep := ask(c); conclusions(rep) != Transport {
				t.Errorf("%+v", rep)
			}
		})
	})
	t.Run("waiting for tokens does not count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := always(503, "")
			c := open(t, w, routes(byID), func(cfg *Config) { cfg.RequestsPerMinute, cfg.CallTimeout = 1, 10*time.Second })
			if rep := ask(c); w.count() != 3 || rep.Routes[0].Status != 503 {
				t.Errorf("%d requests, %+v", w.count(), rep.Routes[0])
			}
		})
	})
}

type waitingReader struct{ ctx context.Context }

func (r waitingReader) Read([]byte) (int, error) { <-r.ctx.Done(); return 0, r.ctx.Err() }

// A request that was stopped while it waited for its token is not sent any more.
func TestGateIsAskedOnceMoreAfterTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := always(402, "")
		c := open(t, w, func(cfg *Config) { cfg.RequestsPerMinute = 60 })
		for range 5 {
			go ask(c)
		}
		time.Sleep(time.Minute)
		if w.count() != 1 {
			t.Errorf("%d requests after the account was stopped by the first", w.count())
		}
	})
}

// net/http repeats a GET by itself when a kept connection is dead.
func TestRepeatedSendingCostsATokenEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(_ int, r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GotConn(httptrace.GotConnInfo{Reused: true})
			trace.GotConn(httptrace.GotConnInfo{})
			return says(404, ""), nil
		}}
		c := open(t, w, routes(byID))
		if rep := ask(c); rep.Routes[0].Requests != 2 || c.Health().UsedLastMinute != 2 {
			t.Errorf("%+v", rep.Routes[0])
		}
	})
}
