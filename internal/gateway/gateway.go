package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Account is whose requests are passed on, and where to.
type Account struct {
	Name    string
	BaseURL string
	APIKey  []byte
}

// Settings say how to pass on. Accounts is not empty; requests with the key of none of them
// go to the first.
type Settings struct {
	Accounts []Account
	Socket   string // of the daemon
	Log      *slog.Logger
}

// Gateway passes requests on and records what they tell.
type Gateway struct {
	targets  []target
	recorder *recorder
	proxy    *httputil.ReverseProxy
	log      *slog.Logger
	stopping atomic.Bool // callers are told to come over another connection
}

// target is an account as it is looked for.
type target struct {
	name string
	key  [sha256.Size]byte
	base *url.URL
}

// New returns a gateway; nothing is contacted before the first request.
func New(s Settings) (*Gateway, error) {
	g := &Gateway{recorder: newRecorder(s.Socket, s.Log), log: s.Log}
	if len(s.Accounts) == 0 {
		return nil, errors.New("no account is configured")
	}
	for _, a := range s.Accounts {
		base, err := url.Parse(a.BaseURL)
		if err != nil || base.Host == "" {
			return nil, fmt.Errorf("base_url of account %s is no URL", a.Name)
		}
		g.targets = append(g.targets, target{a.Name, sha256.Sum256(a.APIKey), base})
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, ModifyResponse: g.answered, ErrorHandler: g.failed, FlushInterval: -1, Transport: newTransport(),
		ErrorLog: log.New(io.Discard, "", 0), // its lines hold addresses of callers
	}
	return g, nil
}

// newTransport is the way to Moveris: its own, bounded in what it keeps, patient in what it
// waits for, because the caller has the timeouts.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		// Node's fetch keeps connections for four seconds; whoever keeps them longer than the
		// server loses requests that must not be sent again.
		IdleConnTimeout:       4 * time.Second,
		MaxIdleConnsPerHost:   32,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // or an answer would be unpacked on its way
		ForceAttemptHTTP2:     true,
		WriteBufferSize:       64 << 10, // frames are large
		ReadBufferSize:        16 << 10,
	}
}

// passage is what a request carries through the proxy.
type passage struct {
	base     *url.URL
	exchange *exchange // nil if it is not recorded
}

type passageKey struct{}

func passageOf(ctx context.Context) *passage { return ctx.Value(passageKey{}).(*passage) }

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.recorder.requests.Add(1)
	p := &passage{base: g.targets[0].base}
	if t := g.whose(r.Header.Get("X-API-Key")); t == nil {
		g.recorder.unknownKey.Add(1)
	} else {
		p.base = t.base
		// A check is a POST; to read about a session does not begin one.
		if r.Method == http.MethodPost {
			p.exchange = &exchange{recorder: g.recorder, account: t.name}
			p.exchange.begin(r)
		}
	}
	// An answer that begins before its request has ended must not use up the rest of it. A
	// server without this does not stream both ways; all else is the same.
	_ = http.NewResponseController(w).EnableFullDuplex()
	// What Moveris does not say is not made up here.
	w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passageKey{}, p)))
}

// whose finds the account of a key, in the same time whichever it is; nil if it is nobody's.
func (g *Gateway) whose(key string) *target {
	sum := sha256.Sum256([]byte(key))
	var found *target
	for i := range g.targets {
		if subtle.ConstantTimeCompare(sum[:], g.targets[i].key[:]) == 1 && found == nil {
			found = &g.targets[i]
		}
	}
	return found
}

// rewrite sends a request to the account's host, and leaves all else as it was: also what the
// proxy has taken for its own, forwarding headers and queries that it cannot parse.
func rewrite(r *httputil.ProxyRequest) {
	base := passageOf(r.In.Context()).base
	out := r.Out
	out.URL = &url.URL{Scheme: base.Scheme, Host: base.Host,
		Path:     strings.TrimSuffix(base.Path, "/") + r.In.URL.Path,
		RawPath:  strings.TrimSuffix(base.EscapedPath(), "/") + r.In.URL.EscapedPath(),
		RawQuery: r.In.URL.RawQuery, ForceQuery: r.In.URL.ForceQuery}
	out.Host = base.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			out.Header[name] = values
		}
	}
}

// answered notes an answer as it begins.
func (g *Gateway) answered(resp *http.Response) error {
	if g.stopping.Load() && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Header.Set("Connection", "close")
	}
	if x := passageOf(resp.Request.Context()).exchange; x != nil {
		x.answered(resp)
	}
	return nil
}

// failed answers where there was no answer, and notes the session unless Moveris was never
// reached.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	if x := passageOf(r.Context()).exchange; x != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			x.end()
		} else {
			x.expect()
		}
	}
	if r.Context().Err() != nil {
		return // nobody is there to read it
	}
	g.log.Warn("Moveris did not answer", "err", withoutURL(err))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadGateway)
	// The connection is gone if this fails.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "gateway_no_answer", "message": "moverisd's gateway got no answer from Moveris"})
}

// withoutURL strips the address, which may hold an id, off an error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
