package daemon

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Times of a night, those of the default configuration.
const (
	nightInterval = 15 * time.Second
	nightGrace    = time.Minute
	nightHold     = 15 * time.Minute // retry_after_max
	nightBudget   = 120
)

var nightRoutes = []string{"/api/v1/result/{job_id}", "/api/v1/result/{session_id}", "/api/v1/sessions/{session_id}"}

// night is everything of the daemon that asks Moveris, in fake time: the real store, poller,
// client and judgement, and the simulator behind real HTTP over pipes in memory. It must be
// made inside a bubble of testing/synctest, where sockets would stop the clock.
type night struct {
	t        *testing.T
	sim      *sim.Moveris // of the first account
	sims     map[string]*sim.Moveris
	store    *store.Store
	poller   *poll.Poller
	cfg      *config.Config
	accounts []account
	network  *pipes
	interval time.Duration // of the sweeps
}

// nightAccount is an account of a night; the zero fields are those of the defaults.
type nightAccount struct {
	name    string
	budget  int
	routes  []string
	handler func(http.Handler) http.Handler // wraps the simulator
}

func newNight(t *testing.T, accounts ...nightAccount) *night {
	t.Helper()
	if len(accounts) == 0 {
		accounts = []nightAccount{{name: "production"}}
	}
	n := &night{t: t, sims: map[string]*sim.Moveris{}, cfg: &config.Config{}, network: newPipes(), interval: nightInterval}
	t.Cleanup(n.network.close)
	policy := verdict.Policy{GracePeriod: nightGrace, GiveUpAfter: 24 * time.Hour, BackoffMin: 15 * time.Second, BackoffMax: time.Hour}
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(nightDir(t), "moverisd.db"),
		Policy: func(string) verdict.Policy { return policy }})
	if err != nil {
		t.Fatal(err)
	}
	n.store = st
	t.Cleanup(func() { st.Close() })
	n.poller = poll.New(st, time.Now, slog.New(slog.DiscardHandler))
	for i, a := range accounts {
		n.open(i, a)
	}
	n.poller.Configure(n.settings())
	return n
}

// nightDir is in memory where that is possible: a night makes thousands of commits, and
// none of its promises is about the disk.
func nightDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "moverisd-night-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// open makes one account with a simulator of its own.
func (n *night) open(i int, a nightAccount) {
	n.t.Helper()
	if a.budget == 0 {
		a.budget = nightBudget
	}
	if a.routes == nil {
		a.routes = nightRoutes
	}
	addr := net.JoinHostPort(net.IPv4(127, 0, 0, byte(i+1)).String(), "80")
	m := sim.New(sim.Config{APIKey: testKey, ResultBySession: true, RequestsPerMinute: -1, RequestsMax: 400_000})
	handler := m.Handler()
	if a.handler != nil {
		handler = a.handler(handler)
	}
	n.network.serve(addr, handler)
	n.sims[a.name] = m
	if i == 0 {
		n.sim = m
	}
	cfg := config.Account{Name: a.name, BaseURL: "http://" + addr, RequestsPerMinute: a.budget, Routes: a.routes}
	n.cfg.Accounts = append(n.cfg.Accounts, cfg)
	n.accounts = append(n.accounts, account{cfg: cfg, client: n.client(cfg, moveris.Learned{})})
}

func (n *night) client(cfg config.Account, learned moveris.Learned) *moveris.Client {
	n.t.Helper()
	transport := &http.Transport{DialContext: n.network.dial, MaxConnsPerHost: 16, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}
	c, err := moveris.Open(moveris.Config{Account: cfg.Name, BaseURL: cfg.BaseURL, APIKey: testKey, Version: "test",
		RequestsPerMinute: cfg.RequestsPerMinute, Routes: cfg.Routes, RetryAfterMax: nightHold, Transport: transport, Learned: learned})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}

func (n *night) settings() poll.Settings {
	s := poll.Settings{Concurrency: 4, RepeatAfter: 15 * time.Second}
	for _, a := range n.accounts {
		s.Accounts = append(s.Accounts, poll.Account{Name: a.cfg.Name, Client: a.client})
	}
	return s
}

// run sweeps as the schedule does, for a time.
func (n *night) run(d time.Duration, each ...func()) {
	n.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		next := time.Now().Add(n.interval)
		if err := n.poller.Sweep(n.t.Context(), next); err != nil {
			n.t.Fatal(err)
		}
		if time.Now().After(next) {
			n.t.Errorf("a sweep ended %s after the next one was due", time.Since(next))
		}
		for _, f := range each {
			f()
		}
		time.Sleep(time.Until(next))
	}
}

// check has a session checked at Moveris, and finished if there is an outcome.
func (n *night) check(account, id string, o sim.Outcome) {
	n.t.Helper()
	m := n.sims[account]
	if _, err := m.Create(sim.NewSession{ID: id}); err != nil {
		n.t.Fatal(err)
	}
	if o == "" {
		return
	}
	if _, err := m.Finish(id, o); err != nil {
		n.t.Fatal(err)
	}
}

func (n *night) expect(account string, ids ...string) {
	n.t.Helper()
	for chunk := range slices.Chunk(ids, 200) {
		var wg sync.WaitGroup
		for _, id := range chunk {
			wg.Go(func() {
				if _, err := n.store.Expect(n.t.Context(), store.Expectation{Account: account, SessionID: id, At: time.Now()}); err != nil {
					n.t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func (n *night) view(account, id string) store.View {
	n.t.Helper()
	v, err := n.store.Get(n.t.Context(), account, id, false)
	if err != nil {
		n.t.Fatal(err)
	}
	return v
}

// judge is what status would say now.
func (n *night) judge() status.Report {
	n.t.Helper()
	now := time.Now()
	f, err := storeFacts(n.t.Context(), n.store, now)
	if err == nil {
		f.Accounts, f.Due, err = accountFacts(n.t.Context(), n.store, n.cfg, n.accounts, now)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return status.Judge(f)
}

// reasons are the codes of the judgement that concern asking Moveris.
func (n *night) reasons() string {
	var codes []string
	for _, r := range n.judge().Reasons {
		switch r.Code {
		case "silence", "disk_low":
		default:
			codes = append(codes, r.Code)
		}
	}
	slices.Sort(codes)
	return strings.Join(slices.Compact(codes), " ")
}

func (n *night) faults(list string) {
	n.t.Helper()
	faults, err := sim.ParseFaults(list)
	if err != nil {
		n.t.Fatal(err)
	}
	n.sim.SetFaults(faults)
}

// pipes is a network in memory.
type pipes struct {
	mu      sync.Mutex
	hosts   map[string]*pipeListener
	servers []*http.Server
	strange []string // addresses dialled that are nobody's
}

func newPipes() *pipes { return &pipes{hosts: map[string]*pipeListener{}} }

func (p *pipes) serve(addr string, h http.Handler) {
	l := &pipeListener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	base, letGo := context.WithCancel(context.Background())
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), BaseContext: func(net.Listener) context.Context { return base }}
	srv.RegisterOnShutdown(letGo)
	p.mu.Lock()
	p.hosts[addr], p.servers = l, append(p.servers, srv)
	p.mu.Unlock()
	go srv.Serve(l)
}

func (p *pipes) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	l := p.hosts[addr]
	if l == nil {
		p.strange = append(p.strange, addr)
	}
	p.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) close() {
	p.mu.Lock()
	servers := p.servers
	p.mu.Unlock()
	for _, srv := range servers {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = srv.Shutdown(ctx)
		cancel()
		srv.Close()
	}
}

// pipeListener accepts one end of each pipe.
type pipeListener struct {
	addr  string
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.addr) }

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }
