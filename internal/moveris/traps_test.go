package moveris

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
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
		var log bytes.Buffer
		c := open(t, w, routes(byID), logTo(&log, slog.LevelInfo))
		if rep := ask(c); rep.Answer != verdict.Said || rep.Routes[0].Requests != 3 {
			t.Errorf("%+v", rep)
		}
		if log.Len() != 0 {
			t.Errorf("a failure that was mended is logged:\n%s", log.String())
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
		if got := rep.RetryAt.Sub(time.Now()); got != 15*time.Minute || rep.Routes[0].Code != "busy" {
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

func TestRedirectsAreNotFollowed(t *testing.T) {
	var visited atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{other.URL + "/x", "/same-host", "", "http://[broken"} {
			var here atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				here.Add(1)
				w.Header()["Location"] = []string{location}
				w.WriteHeader(status)
			}))
			c := open(t, nil, routes(byID), func(cfg *Config) { cfg.BaseURL = srv.URL })
			rep := ask(c)
			if conclusions(rep) != NotAResult || rep.Answer != verdict.NoAnswer || rep.Routes[0].Status != status || here.Load() != 1 {
				t.Errorf("%d to %q: %+v, %d requests", status, location, rep.Routes, here.Load())
			}
			c.Close()
			srv.Close()
		}
	}
	if visited.Load() != 0 {
		t.Error("a redirect was followed to another host")
	}
}

func TestHugeBodies(t *testing.T) {
	for _, size := range []int{bodyMax - 100, bodyMax + 1, 8 * bodyMax} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"session_id":%q,"status":"complete","verdict":"live","pad":"`, testID)
			for written := 0; written < size-100; written += 1000 {
				io.WriteString(w, strings.Repeat("x", min(1000, size-100-written)))
			}
			io.WriteString(w, `"}`)
		}))
		c := open(t, nil, routes(byID), func(cfg *Config) { cfg.BaseURL = srv.URL })
		rep := ask(c)
		if want := size < bodyMax; (rep.Told != nil) != want {
			t.Errorf("%d bytes: %+v", size, rep.Routes)
		}
		c.Close()
		srv.Close()
	}
}

func TestOwnTransport(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.EscapedPath() != "/api/v1/result/a%2Fb%20%25" {
			w.WriteHeader(404)
		}
		io.WriteString(w, `{"session_id":"a/b %","status":"complete","verdict":"live"}`)
	}))
	defer srv.Close()
	srv.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	c := open(t, nil, routes(byID), func(cfg *Config) { cfg.BaseURL, cfg.RootCAs = srv.URL, pool })
	if rep := c.Ask(t.Context(), Asked{SessionID: "a/b %"}); rep.Answer != verdict.Said {
		t.Errorf("%+v", rep)
	}
	c.Close()
	// An unknown certificate is refused, and refused once only.
	c = open(t, nil, routes(byID), func(cfg *Config) { cfg.BaseURL = srv.URL })
	if rep := ask(c); conclusions(rep) != Transport || rep.Routes[0].Requests != 1 {
		t.Errorf("%+v", rep)
	}
	c.Close()
}

func TestTheKeyStaysOutOfLogsAndErrors(t *testing.T) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []func() (*http.Response, error){
			func() (*http.Response, error) { return nil, errors.New("refused") },
			func() (*http.Response, error) { return says(401, `{"detail":"body-`+testKey+`"}`), nil },
			func() (*http.Response, error) { return says(200, `{"x":"body-`+testKey+`"}`), nil },
		} {
			w := &wire{answer: func(int, *http.Request) (*http.Response, error) { return answer() }}
			c := open(t, w, logTo(&log, slog.LevelDebug))
			rep := ask(c)
			fmt.Fprintf(&log, "%v %+v %v", rep.Routes, rep.Routes, c)
			for _, r := range rep.Routes {
				fmt.Fprint(&log, r.Err, r.URL)
			}
		}
	})
	if strings.Contains(log.String(), testKey) || strings.Contains(log.String(), "body-") {
		t.Errorf("a key or a body in:\n%s", log.String())
	}
}

func TestOpenRefuses(t *testing.T) {
	good := Config{BaseURL: "https://api.moveris.test", APIKey: "k", RequestsPerMinute: 1, Routes: []string{byID}}
	if _, err := Open(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"plain http":             func(c *Config) { c.BaseURL = "http://api.moveris.test" },
		"no host":                func(c *Config) { c.BaseURL = "https:///x" },
		"no scheme":              func(c *Config) { c.BaseURL = "api.moveris.test" },
		"user":                   func(c *Config) { c.BaseURL = "https://u:p@api.moveris.test" },
		"query":                  func(c *Config) { c.BaseURL = "https://api.moveris.test?x=1" },
		"broken":                 func(c *Config) { c.BaseURL = "https://[::1" },
		"no key":                 func(c *Config) { c.APIKey = "" },
		"line in the key":        func(c *Config) { c.APIKey = "a\nb" },
		"no budget":              func(c *Config) { c.RequestsPerMinute = 0 },
		"no routes":              func(c *Config) { c.Routes = nil },
		"no placeholder":         func(c *Config) { c.Routes = []string{"/x"} },
		"odd placeholder":        func(c *Config) { c.Routes = []string{"/{session_id}/{x}"} },
		"placeholder in a query": func(c *Config) { c.Routes = []string{"/x?id={session_id}"} },
		"relative":               func(c *Config) { c.Routes = []string{"x/{session_id}"} },
		"twice":                  func(c *Config) { c.Routes = []string{byID, byID} },
	} {
		cfg := good
		change(&cfg)
		if _, err := Open(cfg); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, base := range []string{"http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1"} {
		cfg := good
		cfg.BaseURL = base
		if _, err := Open(cfg); err != nil {
			t.Error(err)
		}
	}
}
