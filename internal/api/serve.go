package api

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// How many connections a server of the API keeps open, so that callers of it leave file
// descriptors and memory to deliveries and the store.
const (
	// ConnectionsMax is for the API: ten thousand callers that wait, and whoever calls meanwhile.
	ConnectionsMax = 12_000
	// ObserveConnectionsMax is for monitoring, which everybody on the machine may ask.
	ObserveConnectionsMax = 256
)

// NewServer returns the server of the local API with its limits. It sets no write timeout:
// streams of events last; calls have their own. Beyond the most connections it closes one that
// has no call under way, or else the newest.
func NewServer(h http.Handler, log *slog.Logger, connections int) *http.Server {
	most := &capped{max: connections, idle: map[net.Conn]struct{}{}}
	return &http.Server{Handler: h, ConnContext: ConnContext, ConnState: most.changed, ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// capped keeps the connections of a server below a number.
type capped struct {
	max int

	mu   sync.Mutex // guards the fields below
	open int
	idle map[net.Conn]struct{}
}

func (m *capped) changed(c net.Conn, state http.ConnState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.idle, c)
	switch state {
	case http.StateNew:
		if m.open++; m.open > m.max {
			m.makeRoom(c)
		}
	case http.StateIdle:
		m.idle[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		m.open--
	}
}

// makeRoom closes a connection; its server says so soon.
func (m *capped) makeRoom(newest net.Conn) {
	for c := range m.idle {
		delete(m.idle, c)
		c.Close()
		return
	}
	newest.Close()
}

// SetPolicy replaces the policies, for a reload.
func (s *Server) SetPolicy(policy func(account string) verdict.Policy) {
	s.policyMu.Lock()
	defer s.policyMu.Unlock()
	s.Policy = policy
}

func (s *Server) policyOf(account string) verdict.Policy {
	s.policyMu.RLock()
	defer s.policyMu.RUnlock()
	return s.Policy(account)
}
