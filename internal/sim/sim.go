// Package sim plays Moveris, the outside party, so that the daemon can be
// tested against it without an account and without the network.
//
// Its one idea: it is written from the provider's contract alone and shares
// no code with the daemon. What the daemon misreads, it must not misread in
// the same way, or the mistake would hide in both. So this package imports no
// other package of the module, and spells the signature, the timestamps, the
// envelope and the error bodies out a second time.
//
// A [Moveris] holds sessions (store.go), answers for them over HTTP
// (routes.go), tells about them by webhook (delivery.go) and keeps a bounded
// log of who asked when (requestlog.go), because "never more requests than
// the budget in any 60 seconds" can only be judged from the other side.
//
// Bad days are faults (faults.go): named, combinable, switchable while it
// runs, each with an optional share of the requests. An HTTP answer is a value
// until the last moment; a fault either takes the place of that value or
// changes it, and one function (wire.go) then writes it, slowly, halfway or
// not at all. That keeps thirty faults from becoming thirty handlers.
//
// The control API under /_sim/ (control.go) offers the same to another
// process; it is no part of Moveris. Everything listens and delivers on
// loopback only.
//
// Where the contract says UNDOC, the choice made here is marked "our choice";
// no test of the daemon should depend on it.
package sim

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// Limits. Each bounds memory or time for a simulator that is left running.
const (
	defaultPerMinute = 240              // contract §4: documented for check endpoints, assumed for reads
	defaultSessions  = 200_000          // about 100 MB of sessions
	defaultRequests  = 100_000          // kept in the request log
	waitDefault      = 30               // seconds, contract §2
	waitMax          = 120              // seconds, contract §2
	holdMax          = 10 * time.Minute // hang and drip let go after this
	deliveryTimeout  = 10 * time.Second
	controlBodyMax   = 64 << 10
)

// Config says which Moveris to play. The zero value is usable: no key check,
// the documented rate, results by job id only.
type Config struct {
	// APIKey is what X-API-Key must hold; empty switches the check off.
	APIKey string
	// WebhookURL (loopback only) and WebhookSecret are the one registered
	// webhook. Both can be set later with Register.
	WebhookURL    string
	WebhookSecret string
	// ResultBySession lets the result routes take a session id where a job id
	// belongs. Whether the real ones do is UNDOC.
	ResultBySession bool
	// SessionRoute lets GET /api/v1/sessions/{id} answer; otherwise it is 404,
	// as for any path that does not exist.
	SessionRoute bool
	// RequestsPerMinute is the limit per key; 0 means 240, negative none.
	RequestsPerMinute int
	// SessionsMax and RequestsMax bound the memory; 0 means the defaults,
	// 200,000 sessions and 100,000 requests.
	SessionsMax int
	RequestsMax int
	// Faults are on from the start.
	Faults []Fault
	// Seed decides which requests a fault with a share strikes.
	Seed uint64
	// Now is the clock; nil means time.Now. Long polls, hang and drip always
	// run on real time.
	Now func() time.Time
}

// Moveris is a simulated provider. All methods are safe for concurrent use.
type Moveris struct {
	cfg      Config
	now      func() time.Time
	sessions *sessionStore
	log      *requestLog
	limit    *window
	faults   *faultSet
	client   *http.Client
	handler  http.Handler
	checks   checks

	mu      sync.Mutex // guards the fields below
	webhook webhook
	counts  DeliveryCounts
}

// New returns a Moveris for the configuration. It starts nothing: no
// goroutine, no listener.
func New(cfg Config) *Moveris {
	m := &Moveris{cfg: cfg, now: cfg.Now}
	if m.now == nil {
		m.now = time.Now
	}
	m.sessions = newSessionStore(orDefault(cfg.SessionsMax, defaultSessions))
	m.log = newRequestLog(orDefault(cfg.RequestsMax, defaultRequests))
	m.limit = newWindow(orDefault(cfg.RequestsPerMinute, defaultPerMinute), time.Minute)
	m.faults = newFaultSet(cfg.Seed, cfg.Faults)
	m.webhook = webhook{url: cfg.WebhookURL, secret: cfg.WebhookSecret}
	m.counts.Answers = map[string]int{}
	m.client = deliveryClient()
	m.checks.outcome, m.checks.done, m.checks.streams = Live, map[[sha256.Size]byte]any{}, map[string]map[int]struct{}{}
	m.handler = m.routes()
	return m
}

// Handler serves the API and, under /_sim/, the control API.
func (m *Moveris) Handler() http.Handler { return m.handler }

// SetFaults replaces the faults that are on; nil clears them.
func (m *Moveris) SetFaults(faults []Fault) { m.faults.set(faults) }

// Faults returns the faults that are on.
func (m *Moveris) Faults() []Fault { return m.faults.list() }

// Requests returns the API requests kept in the log, oldest first. Control
// requests are not among them.
func (m *Moveris) Requests() []Request { return m.log.all() }

// MaxRequestsIn returns the largest number of API requests, refused ones
// included, that arrived within any window of that length. It sees the
// requests still in the log.
func (m *Moveris) MaxRequestsIn(window time.Duration) int { return m.log.maxIn(window) }

// ForgetRequests empties the request log.
func (m *Moveris) ForgetRequests() { m.log.clear() }

func orDefault(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}
