package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Limits of the API.
const (
	bodyMax     = 64 << 10 // one expectation or submission, in bytes
	bulkMax     = 64 << 20 // a list of them
	lineMax     = bodyMax
	metadataMax = 4 << 10 // in bytes, as compact JSON
	// metadataDepthMax is how many levels of objects and arrays metadata have: SQLite's JSON
	// functions end at a thousand, and those of other receivers earlier.
	metadataDepthMax = 64
	waitMax          = 60 * time.Second
	graceMax         = 30 * 24 * time.Hour
	daysMax          = 36500 // in a duration, far from the overflow of time.Duration
	// callTimeout bounds every call that does not wait for something to happen.
	callTimeout = 60 * time.Second
)

// Deps is what the API works on.
type Deps struct {
	Store    *store.Store
	Poller   *poll.Poller
	Status   func(context.Context) status.Report
	Accounts func() []string // configured accounts
	Forwards func() []string // configured forwards
	// Submission reads a synchronous result; its session id is empty where the body names
	// none.
	Submission func(raw []byte) (string, verdict.Observation, error)
	Policy     func(account string) verdict.Policy
	Sweep      func(context.Context) error // a sweep now
	Reload     func(context.Context) error
	Prune      func(ctx context.Context, all bool) (store.Pruned, error)
	// Replay reads a dead letter again: the session it belongs to now, or why it still cannot
	// be used.
	Replay func(context.Context, store.Loose) (sessionID, reason string, err error)
	Meter  *Meter // nil: nothing is measured, of a file
	Doctor func(ctx context.Context, publicURL string) []Check
	Now    func() time.Time
	Log    *slog.Logger
}

// Server answers the calls of the local API.
type Server struct {
	Deps
	store *store.Store
	log   *slog.Logger
	stop  chan struct{}
	mux   *http.ServeMux

	atOnce int           // linesAtOnce; a benchmark compares it with 1
	bulk   chan struct{} // holds a token for each line of a list that is being expected

	policyMu sync.RWMutex // guards Deps.Policy
}

// New returns the handler of the local API.
func New(d Deps) *Server {
	s := &Server{Deps: d, store: d.Store, log: d.Log, stop: make(chan struct{}), mux: http.NewServeMux(),
		atOnce: linesAtOnce, bulk: make(chan struct{}, linesMax)}
	parameters := parameters()
	for pattern, h := range s.calls() {
		s.mux.Handle(pattern, s.limited(h, parameters[pattern]))
	}
	return s
}

// Stop ends every call that waits, so that a shutdown need not wait for them.
func (s *Server) Stop() { close(s.stop) }

// handler answers a call or returns what is wrong.
type handler func(w http.ResponseWriter, r *http.Request) error

// calls are all calls of the API.
func (s *Server) calls() map[string]handler {
	return map[string]handler{
		"PUT /v1/sessions/{id}":                s.putSession,
		"POST /v1/sessions":                    s.postSessions,
		"DELETE /v1/sessions/{id}":             s.deleteSession,
		"GET /v1/sessions/{id}":                s.getSession,
		"GET /v1/sessions":                     s.listSessions,
		"POST /v1/sessions/{id}/observations":  s.postObservation,
		"POST /v1/sessions/{id}/poll":          s.pollSession,
		"GET /v1/events":                       s.listEvents,
		"GET /v1/status":                       s.getStatus,
		"GET /v1/openapi.yaml":                 s.openAPI,
		"GET /livez":                           s.livez,
		"GET /readyz":                          s.readyz,
		"GET /metrics":                         s.metrics,
		"GET /v1/admin/sessions/{id}/timeline": s.timeline,
		"POST /v1/admin/sweep":                 s.sweep,
		"POST /v1/admin/reload":                s.reload,
		"POST /v1/admin/sessions/{id}/probe":   s.probe,
		"POST /v1/admin/ack":                   s.ack,
		"POST /v1/admin/sessions/{id}/erase":   s.erase,
		"GET /v1/admin/deliveries":             s.listDeliveries,
		"GET /v1/admin/deliveries/{id}":        s.getDelivery,
		"POST /v1/admin/deliveries/replay":     s.replay,
		"GET /v1/admin/forwards":               s.listForwards,
		"GET /v1/admin/forwards/{name}/events": s.listLetters,
		"POST /v1/admin/forwards/{name}/retry": s.retryLetters,
		"POST /v1/admin/forwards/{name}/skip":  s.skipLetters,
		"POST /v1/admin/rebuild":               s.rebuild,
		"POST /v1/admin/verify":                s.verify,
		"POST /v1/admin/prune":                 s.prune,
		"GET /v1/admin/backup":                 s.backup,
		"POST /v1/admin/doctor":                s.doctor,
		"GET /v1/admin/series":                 s.series,
	}
}

// limited gives a call its limits and turns its error into an answer.
func (s *Server) limited(h handler, parameters []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var end time.Time // none
		if !unbounded(r.Pattern) {
			ctx, cancel := context.WithTimeout(r.Context(), callTimeout+waitMax)
			defer cancel()
			r = r.WithContext(ctx)
			end = time.Now().Add(callTimeout + waitMax)
		}
		// A caller that sends or reads too slowly is cut off. Not every server has deadlines:
		// those without have no connection either. Each call sets its own.
		rc := http.NewResponseController(w)
		_, _ = rc.SetReadDeadline(end), rc.SetWriteDeadline(end)
		limit := int64(bodyMax)
		if r.Pattern == "POST /v1/sessions" {
			limit = bulkMax
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		err := checkQuery(r, parameters)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			s.writeError(w, r, err)
		}
	})
}

// unbounded are the calls that may take as long as they need: they end with their caller.
func unbounded(pattern string) bool {
	switch pattern {
	case "POST /v1/sessions", "GET /v1/events", "POST /v1/admin/rebuild", "POST /v1/admin/verify", "POST /v1/admin/prune",
		"GET /v1/admin/backup":
		return true
	}
	return false
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if escaped := r.URL.EscapedPath(); escaped != "*" && path.Clean(escaped) != escaped {
		// The mux would redirect: to another call than was meant, for an id like "..".
		s.writeError(w, r, noCall(http.StatusNotFound, r))
		return
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		// The mux answers 404 and 405 itself, as plain text; only its status is kept.
		rec := &statusOnly{header: w.Header()}
		s.mux.ServeHTTP(rec, r)
		s.writeError(w, r, noCall(rec.status, r))
		return
	}
	s.mux.ServeHTTP(w, r)
}

func noCall(status int, r *http.Request) error {
	return problem(status, "%.20s %.200s is no call of this API; see /v1/openapi.yaml", r.Method, r.URL.Path)
}

// statusOnly records a status and throws the rest away.
type statusOnly struct {
	header http.Header
	status int
}

func (w *statusOnly) Header() http.Header         { return w.header }
func (w *statusOnly) WriteHeader(status int)      { w.status = status }
func (w *statusOnly) Write(b []byte) (int, error) { return len(b), nil }

type peerKey struct{}

// ConnContext is the server's hook that notes who is at the other end of a unix socket.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ctx
	}
	uid := -1
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return context.WithValue(ctx, peerKey{}, uid)
}

// peer is the user id of the caller, or -1 where it is not known.
func peer(ctx context.Context) int {
	if uid, ok := ctx.Value(peerKey{}).(int); ok {
		return uid
	}
	return -1
}

// accounts are the configured accounts.
func (s *Server) accounts() []string { return s.Accounts() }

// sessionID reads the id of the path.
func sessionID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !verdict.ValidID(id) {
		return "", problem(http.StatusBadRequest,
			"a session id has 1 to %d bytes of UTF-8 without control characters and is neither . nor ..", verdict.SessionIDMax)
	}
	return id, nil
}

// account resolves which account an id belongs to: the one named, else the only one that
// knows the id, else the only one configured.
func (s *Server) account(ctx context.Context, named, id string) (string, error) {
	configured := s.accounts()
	if named != "" {
		for _, a := range configured {
			if a == named {
				return a, nil
			}
		}
		return "", poll.ErrUnknownAccount
	}
	known, err := s.store.Accounts(ctx, id)
	switch {
	case err != nil:
		return "", err
	case len(known) > 1:
		return "", &store.Ambiguous{Accounts: known}
	case len(known) == 1:
		return known[0], nil
	case len(configured) == 1:
		return configured[0], nil
	}
	p := problem(http.StatusConflict, "several accounts are configured; name one with account")
	p.Names = configured
	return "", p
}

// knownAccount is account for calls about a session that must be known already: without a
// name, an id that nobody knows is not found rather than a question of the account.
func (s *Server) knownAccount(ctx context.Context, named, id string) (string, error) {
	if named == "" {
		known, err := s.store.Accounts(ctx, id)
		if err == nil && len(known) == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return "", err
		}
	}
	return s.account(ctx, named, id)
}

// decode reads a JSON body strictly; an empty body is an empty object. Text that is not
// UTF-8 is refused, because it would be changed on the way: to another id, for one.
func decode(r io.Reader, v any) error {
	raw, err := io.ReadAll(r)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err = dec.Decode(v); err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("more than one JSON value")
		}
	}
	if err == nil && !utf8.Valid(raw) {
		err = errors.New("it is not UTF-8")
	}
	if err != nil {
		return problem(http.StatusBadRequest, "the body cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// duration reads a duration as the configuration writes it, from one second up to max.
func duration(text string, max time.Duration) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	var d time.Duration
	var err error
	if found {
		var n int
		if n, err = strconv.Atoi(days); n < 0 || n > daysMax {
			err = strconv.ErrRange
		}
		d = time.Duration(n) * 24 * time.Hour
		text = rest
	}
	if err == nil && text != "" {
		var more time.Duration
		more, err = time.ParseDuration(text)
		d += more
	}
	if err != nil || d < 0 || d > max {
		return 0, problem(http.StatusBadRequest, "a duration is written like \"90s\" or \"24h\", at most %s", max)
	}
	return d, nil
}

func hexDigest(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return "sha256:" + hex.EncodeToString(b)
}
