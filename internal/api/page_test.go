package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

const pageToken = "token-0123456789abcdef"

// evilID is an id that would do harm if the page did not escape it.
const evilID = `"><script>alert(1)</script>`

// pages serves the page over a store with a few sessions.
type pages struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex // guards the fields below
	token string
	now   time.Time
	level status.Level
}

// set changes what the page is about.
func (p *pages) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func newPages(t *testing.T) *pages {
	t.Helper()
	p := &pages{t: t, token: pageToken, now: time.Now(), level: status.OK}
	st, err := store.Open(t.Context(), store.Options{Path: t.TempDir() + "/moverisd.db",
		Policy: func(string) verdict.Policy { return verdict.Policy{GracePeriod: time.Minute} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	for _, id := range []string{"mine", "other", evilID} {
		if _, err := st.Expect(t.Context(), store.Expectation{Account: "production", SessionID: id, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	server := New(Deps{Store: st, Now: func() (now time.Time) { p.set(func() { now = p.now }); return now }, Log: slog.New(slog.DiscardHandler), Meter: NewMeter(),
		Accounts: func() []string { return []string{"production"} },
		Status: func(context.Context) status.Report {
			p.mu.Lock()
			defer p.mu.Unlock()
			r := status.Judge(status.Facts{Now: p.now, Via: "socket"})
			if r.Level = p.level; p.level != status.OK {
				r.Reasons = []status.Reason{{Code: "silence", Level: p.level, Since: status.Stamp(p.now), Text: "no <b>delivery</b>", Do: "look"}}
			}
			return r
		}})
	p.Server = httptest.NewServer(server.Observer(func() (token []byte) { p.set(func() { token = []byte(p.token) }); return token }))
	t.Cleanup(p.Close)
	return p
}

// visit opens a page, with a cookie if there is one.
func (p *pages) visit(method, path, cookie string, form url.Values) (string, *http.Response) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body), resp
}

func (p *pages) login(token string) (string, *http.Response) {
	_, resp := p.visit("POST", "/login", "", url.Values{"token": {token}})
	for _, c := range resp.Cookies() {
		return c.Value, resp
	}
	return "", resp
}

// The figures are for everybody, ids only for who knows the token.
func TestPageLogin(t *testing.T) {
	p := newPages(t)
	for _, path := range []string{"/", "/login", "/sessions", "/sessions/detail?id=mine&account=production", "/sessions?id=mine", "/nothing"} {
		body, resp := p.visit("GET", path, "", nil)
		if strings.Contains(body, ">mine<") || strings.Contains(path, "/sessions") && resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if cookie, resp := p.login("wrong"); cookie != "" || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong token: %s", resp.Status)
	}
	cookie, resp := p.login(pageToken)
	if c := resp.Header.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Strict") {
		t.Errorf("cookie %s", c)
	}
	body, resp := p.visit("GET", "/sessions", cookie, nil)
	if resp.StatusCode != 200 || !strings.Contains(body, ">mine</a>") || strings.Contains(body, "<script>alert") {
		t.Errorf("list: %s\n%s", resp.Status, body)
	}
	if body, _ = p.visit("GET", "/sessions?id=mine", cookie, nil); !strings.Contains(body, ">mine</a>") || strings.Contains(body, ">other</a>") {
		t.Errorf("search:\n%s", body)
	}
	if body, _ = p.visit("GET", "/sessions?state=settled", cookie, nil); !strings.Contains(body, "No session is like that") {
		t.Errorf("filter:\n%s", body)
	}
	for _, id := range []string{"mine", evilID} {
		body, resp = p.visit("GET", sessionLink(Session{Account: "production", SessionID: id}), cookie, nil)
		if resp.StatusCode != 200 || !strings.Contains(body, "expected") || strings.Contains(body, "<script>alert") {
			t.Errorf("timeline of %q: %s\n%s", id, resp.Status, body)
		}
	}
	if _, resp = p.visit("GET", "/sessions/detail?id=unknown", cookie, nil); resp.StatusCode != 404 {
		t.Errorf("unknown: %s", resp.Status)
	}
	for what, change := range map[string]func(){
		"another token": func() { p.token = "another-0123456789" }, "no token": func() { p.token = "" },
		"a day later": func() { p.now = p.now.Add(24 * time.Hour) },
	} {
		cookie, _ := p.login(pageToken)
		p.set(change)
		if _, resp := p.visit("GET", "/sessions", cookie, nil); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", what, resp.Status)
		}
		p.set(func() { p.token = pageToken })
	}
	p.visit("POST", "/logout", cookie, url.Values{})
	if _, resp := p.visit("GET", "/sessions", cookie, nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after logging out: %s", resp.Status)
	}
}

// Without a token nobody gets in, not even with an empty one; tokens cannot be guessed quickly.
func TestPageLoginIsGuarded(t *testing.T) {
	p := newPages(t)
	p.set(func() { p.token = "" })
	if cookie, resp := p.login(""); cookie != "" || resp.StatusCode != 403 {
		t.Errorf("no token: %s", resp.Status)
	}
	p.set(func() { p.token = pageToken })
	for range failuresMax {
		p.login("wrong")
	}
	if cookie, resp := p.login(pageToken); cookie != "" || resp.StatusCode != 429 {
		t.Errorf("after too many: %s", resp.Status)
	}
	p.set(func() { p.now = p.now.Add(61 * time.Second) })
	if cookie, _ := p.login(pageToken); cookie == "" {
		t.Error("a minute later it is still refused")
	}
	req, _ := http.NewRequest("POST", p.URL+"/login", strings.NewReader("token="+pageToken))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Origin", "https://evil.example")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || resp.StatusCode != 403 {
		t.Errorf("from another site: %v %v", resp, err)
	}
}

// The core of the page needs no script, and nothing from elsewhere: it loads what it brings.
func TestPageIsWhole(t *testing.T) {
	p := newPages(t)
	p.set(func() { p.level = status.Failing })
	body, resp := p.visit("GET", "/", "", nil)
	csp := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("CSP %q", csp)
	}
	for _, part := range []string{`<h1 id="level">failing</h1>`, "no &lt;b&gt;delivery&lt;/b&gt;", "look", "silence", "awaiting", "Sessions by state"} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in\n%s", part, body)
		}
	}
	for _, foreign := range []string{"http://", "https://", " style=", " onclick", "<style", "javascript:"} {
		if strings.Contains(body, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
	for _, asset := range []string{"style.css", "app.js", "icon.svg"} {
		if _, resp := p.visit("GET", "/assets/"+asset, "", nil); resp.StatusCode != 200 || !strings.Contains(body, "/assets/"+asset) {
			t.Errorf("%s: %s", asset, resp.Status)
		}
	}
	for _, none := range []string{"dashboard.html", "..%2fpage.go", "nothing.css"} {
		if _, resp := p.visit("GET", "/assets/"+none, "", nil); resp.StatusCode != 404 {
			t.Errorf("%s: %s", none, resp.Status)
		}
	}
}

func TestLocalHost(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "localhost:1": true, "127.0.0.1:8482": true, "[::1]:1": true, "::1": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "192.168.0.1": false, "0.0.0.0": false} {
		if localHost(host) != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
}
