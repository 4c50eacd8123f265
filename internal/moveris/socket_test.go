package moveris

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/moverisd/moverisd/internal/verdict"
)

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
	for _, size := range []int{bodyMax, bodyMax + 1, 8 * bodyMax} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			head := fmt.Sprintf(`{"session_id":%q,"status":"complete","verdict":"live","pad":"`, testID)
			io.WriteString(w, head+strings.Repeat("x", size-len(head)-2)+`"}`)
		}))
		c := open(t, nil, routes(byID), func(cfg *Config) { cfg.BaseURL = srv.URL })
		rep := ask(c)
		if want := size <= bodyMax; (rep.Told != nil) != want {
			t.Errorf("%d bytes: %+v", size, rep.Routes)
		}
		c.Close()
		srv.Close()
	}
}

func TestOwnTransport(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.EscapedPath() != "/api/v1/result/a%2Fb%20%25" {
			w.WriteHeader(404)
		}
		io.WriteString(w, `{"session_id":"a/b %","status":"complete","verdict":"live"}`)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
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
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []func() (*http.Response, error){
			func() (*http.Response, error) { return nil, errors.New("refused") },
			func() (*http.Response, error) { return says(401, `{"detail":"`+testKey+`"}`), nil },
			func() (*http.Response, error) { return says(200, `{"x":"`+testKey+`"}`), nil },
		} {
			w := &wire{answer: func(int, *http.Request) (*http.Response, error) { return answer() }}
			c := open(t, w, logTo(&out, slog.LevelDebug))
			rep := ask(c)
			fmt.Fprintf(&out, "%v %+v %v", rep.Routes, rep.Routes, c)
			for _, r := range rep.Routes {
				fmt.Fprint(&out, r.Err, r.URL)
			}
		}
	})
	if strings.Contains(out.String(), testKey) || strings.Contains(out.String(), "{\"x\"") {
		t.Errorf("a key or a body in:\n%s", out.String())
	}
}
