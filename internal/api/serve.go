package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// NewServer returns the server of the local API with its limits. It sets no write timeout:
// streams of events last; calls have their own.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ConnContext: ConnContext, ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
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
