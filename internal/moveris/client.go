package moveris

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is what a [Client] needs to know about its account.
type Config struct {
	Account string // the account's name, for logs
	BaseURL string // https, or http to a loopback address
	APIKey  string
	Version string // moverisd's, for the User-Agent

	RequestsPerMinute int           // the budget: never more in any 60 seconds
	Routes            []string      // path templates, in the order in which they are tried
	RetryAfterMax     time.Duration // caps every Retry-After; 0 means 15 minutes

	AttemptTimeout time.Duration // one request with its body; 0 means 10 s
	CallTimeout    time.Duration // one route with its quick retries, waits for tokens left out; 0 means 25 s

	// Transport replaces the client's own, which has TLS 1.2 at least, honours the
	// proxy variables and shares its pool with nobody.
	Transport http.RoundTripper
	RootCAs   *x509.CertPool // of the own transport; nil means the system's

	Now    func() time.Time // nil means time.Now; the budget and the breakers run on the real clock
	Logger *slog.Logger     // nil means none

	Learned Learned // what earlier processes learned
}

// Defaults of [Config].
const (
	retryAfterMaxDefault  = 15 * time.Minute
	attemptTimeoutDefault = 10 * time.Second
	callTimeoutDefault    = 25 * time.Second
)

// Client asks the API for sessions of one account. It is safe for concurrent use.
type Client struct {
	account        string
	base           string
	key            string
	agent          string
	retryAfterMax  time.Duration
	attemptTimeout time.Duration
	callTimeout    time.Duration
	transport      http.RoundTripper
	now            func() time.Time
	log            *slog.Logger
	bucket         *bucket
	routes         []*route // in configured order; the slice never changes

	mu    sync.Mutex // guards standing and the changing fields of the routes
	state standing
}

// Open returns a Client. It refuses what could leak the key or ask for nothing, rather
// than guess; it sends nothing.
func Open(cfg Config) (*Client, error) {
	base, err := checkBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", cfg.Account, err)
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("account %s: %w", cfg.Account, err)
	}
	c := &Client{
		account:        cfg.Account,
		base:           base,
		key:            cfg.APIKey,
		agent:          "moverisd/" + orText(cfg.Version, "unknown"),
		retryAfterMax:  orDuration(cfg.RetryAfterMax, retryAfterMaxDefault),
		attemptTimeout: orDuration(cfg.AttemptTimeout, attemptTimeoutDefault),
		callTimeout:    orDuration(cfg.CallTimeout, callTimeoutDefault),
		transport:      cfg.Transport,
		now:            cfg.Now,
		log:            cfg.Logger,
		bucket:         newBucket(cfg.RequestsPerMinute, cfg.Learned.Rate, time.Now()),
	}
	if c.transport == nil {
		c.transport = ownTransport(cfg.RootCAs)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.state.since = c.now()
	for _, template := range cfg.Routes {
		c.routes = append(c.routes, newRoute(template, cfg.Learned.Routes[template], c.now))
	}
	return c, nil
}

func (cfg *Config) check() error {
	switch {
	case cfg.APIKey == "":
		return errors.New("no API key")
	case strings.ContainsFunc(cfg.APIKey, func(r rune) bool { return r <= ' ' || r > '~' }):
		// net/http would refuse the header at each request.
		return errors.New("the API key has a blank or a character that no header can carry")
	case cfg.RequestsPerMinute < 1:
		return errors.New("the budget is less than one request a minute")
	case len(cfg.Routes) == 0:
		return errors.New("no routes")
	}
	seen := make(map[string]bool)
	for _, template := range cfg.Routes {
		if err := checkTemplate(template); err != nil {
			return err
		}
		if seen[template] {
			return fmt.Errorf("route %q: listed twice", template)
		}
		seen[template] = true
	}
	return nil
}

// String names the account, so that the key cannot be printed by mistake.
func (c *Client) String() string { return "account " + c.account }

// Close gives up idle connections. Calls under way end with their own contexts.
func (c *Client) Close() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Retire ends the client's budget, because a new client asks for the account from now on:
// two buckets would grant twice the budget. What was sent is still answered; nothing more
// is sent.
func (c *Client) Retire() { c.bucket.retire() }

// ownTransport returns a transport with a limit on everything but the time of a whole
// request, which is the attempt's.
func ownTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           8,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        16,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orDuration(d, other time.Duration) time.Duration {
	if d <= 0 {
		return other
	}
	return d
}
