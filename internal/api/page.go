package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Limits of the page.
const (
	loginTime   = 12 * time.Hour // after which somebody has to log in again
	loginsMax   = 64             // logged in at once; the oldest goes
	failuresMax = 10             // wrong tokens a minute, from everybody together
	pageRows    = 50
	cookieName  = "moverisd"
	// policy lets the page use what it brings along and nothing else.
	policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

//go:embed page/*.html page/*.css page/*.js page/*.svg
var pageFiles embed.FS

// page is the dashboard of the observe listener. It is made on the server and shows everything
// without a script; the script only refreshes it. The figures are for everybody on this
// machine; ids of sessions only for who has logged in with the token of the API.
type page struct {
	server    *Server
	token     func() []byte
	templates *template.Template
	forgery   *http.CrossOriginProtection

	mu       sync.Mutex // guards the fields below
	logins   map[[32]byte]login
	failures []time.Time // in the last minute
}

// login is somebody who has logged in, kept under the digest of the cookie.
type login struct {
	until time.Time
	token [32]byte // digest of the token used: a new token ends it
}

func newPage(s *Server, token func() []byte) *page {
	funcs := template.FuncMap{"ago": status.Ago, "or": pageOr, "when": pageWhen, "link": sessionLink, "digest": shortDigest}
	return &page{server: s, token: token, logins: map[[32]byte]login{}, forgery: http.NewCrossOriginProtection(),
		templates: template.Must(template.New("").Funcs(funcs).ParseFS(pageFiles, "page/*.html"))}
}

func (p *page) register(mux *http.ServeMux) {
	for pattern, h := range map[string]handler{
		"GET /{$}":             p.dashboard,
		"GET /assets/{name}":   p.asset,
		"GET /login":           p.loginForm,
		"POST /login":          p.login,
		"POST /logout":         p.logout,
		"GET /sessions":        p.guarded(p.sessions),
		"GET /sessions/detail": p.guarded(p.session),
	} {
		mux.Handle(pattern, p.forgery.Handler(p.wrap(h)))
	}
}

// wrap gives a page its limits and headers, and turns an error into a page.
func (p *page) wrap(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		err := h(w, r)
		if err == nil {
			return
		}
		problem := p.server.problemOf(err)
		if problem.Status >= 500 {
			p.server.log.Error("page failed", "call", r.Pattern, "err", err)
		}
		p.render(w, problem.Status, "error.html", frameOf(r, p, "Not possible"), problem)
	})
}

// pageFrame is what every page shows around its content.
type pageFrame struct {
	Title    string
	CanLogin bool // a token is configured
	LoggedIn bool
}

func frameOf(r *http.Request, p *page, title string) pageFrame {
	return pageFrame{Title: title, CanLogin: len(p.token()) > 0, LoggedIn: p.known(r)}
}

func (p *page) render(w http.ResponseWriter, code int, name string, frame pageFrame, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	// The connection is gone if this fails: the templates are tested.
	_ = p.templates.ExecuteTemplate(w, name, struct {
		pageFrame
		Data any
	}{frame, data})
}

func (p *page) asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	media := types[name[max(strings.LastIndexByte(name, '.'), 0):]]
	raw, err := pageFiles.ReadFile("page/" + name)
	if err != nil || media == "" {
		return problem(http.StatusNotFound, "there is no such file")
	}
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(raw)
	return nil
}

func (p *page) loginForm(w http.ResponseWriter, r *http.Request) error {
	p.render(w, http.StatusOK, "login.html", frameOf(r, p, "Log in"), "")
	return nil
}

// login takes the token of the API and gives a cookie for it.
func (p *page) login(w http.ResponseWriter, r *http.Request) error {
	token := p.token()
	if len(token) == 0 {
		return problem(http.StatusForbidden, "no api.token is configured: the page shows figures only")
	}
	if !p.mayTry(p.server.Now()) {
		w.Header().Set("Retry-After", "60")
		p.render(w, http.StatusTooManyRequests, "login.html", frameOf(r, p, "Log in"), "Too many wrong tokens. Try again in a minute.")
		return nil
	}
	given, want := sha256.Sum256([]byte(strings.TrimSpace(r.PostFormValue("token")))), sha256.Sum256(token)
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		p.failed(p.server.Now())
		p.render(w, http.StatusUnauthorized, "login.html", frameOf(r, p, "Log in"), "That is not the token.")
		return nil
	}
	cookie := rand.Text() + rand.Text()
	p.remember(sha256.Sum256([]byte(cookie)), login{p.server.Now().Add(loginTime), want})
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: int(loginTime.Seconds())})
	http.Redirect(w, r, "/sessions", http.StatusSeeOther)
	return nil
}

func (p *page) mayTry(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.failures) > 0 && now.Sub(p.failures[0]) > time.Minute {
		p.failures = p.failures[1:]
	}
	return len(p.failures) < failuresMax
}

func (p *page) failed(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, now)
}

func (p *page) remember(key [32]byte, l login) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.logins) >= loginsMax {
		var oldest [32]byte
		for k, other := range p.logins {
			if first, ok := p.logins[oldest]; !ok || other.until.Before(first.until) {
				oldest = k
			}
		}
		delete(p.logins, oldest)
	}
	p.logins[key] = l
}

// known reports whether a request is of somebody who has logged in with the token that is
// configured now.
func (p *page) known(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.logins[sha256.Sum256([]byte(c.Value))]
	return ok && p.server.Now().Before(l.until) && l.token == sha256.Sum256(p.token()) && len(p.token()) > 0
}

func (p *page) logout(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(cookieName); err == nil {
		p.mu.Lock()
		delete(p.logins, sha256.Sum256([]byte(c.Value)))
		p.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// guarded shows a page to who has logged in, and the way there to everybody else.
func (p *page) guarded(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !p.known(r) {
			p.render(w, http.StatusUnauthorized, "login.html", frameOf(r, p, "Log in"), "")
			return nil
		}
		return h(w, r)
	}
}

// sessionsPage is the list with what it was filtered by.
type sessionsPage struct {
	Filter   url.Values
	States   []verdict.State
	Outcomes []verdict.Outcome
	Sources  []verdict.Source
	Sessions []Session
	Next     string // URL of the next page
}

// sessions lists sessions, or finds one by its id.
func (p *page) sessions(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := store.Filter{State: verdict.State(q.Get("state")), Outcome: verdict.Outcome(q.Get("outcome")),
		Source: verdict.Source(q.Get("source")), Conflict: q.Get("conflict") == "1", After: q.Get("after"), Limit: pageRows}
	if err := errors.Join(known("state", f.State, verdict.States()), known("outcome", f.Outcome, verdict.Outcomes()),
		known("source", f.Source, verdict.Sources())); err != nil {
		return err
	}
	data := sessionsPage{Filter: q, States: verdict.States(), Outcomes: verdict.Outcomes(), Sources: verdict.Sources()}
	if id := strings.TrimSpace(q.Get("id")); id != "" {
		accounts, err := p.server.store.Accounts(r.Context(), id)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			v, err := p.server.store.Get(r.Context(), a, id, false)
			if err != nil {
				return err
			}
			data.Sessions = append(data.Sessions, sessionJSON(v, false))
		}
	} else {
		views, next, err := p.server.store.List(r.Context(), f)
		if err != nil {
			return err
		}
		for _, v := range views {
			data.Sessions = append(data.Sessions, sessionJSON(v, false))
		}
		if next != "" {
			q.Set("after", next)
			data.Next = "/sessions?" + q.Encode()
		}
	}
	p.render(w, http.StatusOK, "sessions.html", frameOf(r, p, "Sessions"), data)
	return nil
}

// session shows everything that happened to one session.
func (p *page) session(w http.ResponseWriter, r *http.Request) error {
	v, err := p.server.store.Get(r.Context(), r.URL.Query().Get("account"), r.URL.Query().Get("id"), false)
	if err != nil {
		return err
	}
	p.render(w, http.StatusOK, "session.html", frameOf(r, p, "Session"), TimelineOf(v))
	return nil
}

// sessionLink is the page of a session. Its id may hold anything, so it is in the query.
func sessionLink(s Session) string {
	return "/sessions/detail?" + url.Values{"account": {s.Account}, "id": {s.SessionID}}.Encode()
}

// pageOr is a text that may be null.
func pageOr(v any) string {
	switch v := v.(type) {
	case *string:
		if v != nil {
			return *v
		}
	case *verdict.Outcome:
		if v != nil {
			return string(*v)
		}
	case *verdict.Source:
		if v != nil {
			return string(*v)
		}
	}
	return "–"
}

// pageWhen is a time as short as it can be read.
func pageWhen(at *string) string {
	t := status.Time(at)
	if t.IsZero() {
		return "–"
	}
	return t.Format("2006-01-02 15:04:05")
}

// shortDigest is as much of a digest as tells it from others.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}
