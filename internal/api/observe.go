package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Observer is the read-only listener for monitoring: metrics, liveness, readiness, the report
// and the page. It asks for no password, so it tells nothing of any session but to who has
// logged in to the page, and it is for this machine alone: its address is a loopback one, and
// so must be the Host of a request. Another Host means that some page on the web has a browser
// ask in its name (DNS rebinding).
//
// token is asked for at each login; an empty one lets nobody in.
func (s *Server) Observer(token func() []byte) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /metrics":   s.metrics,
		"GET /livez":     s.livez,
		"GET /readyz":    s.readyz,
		"GET /v1/status": s.getStatus,
	} {
		mux.Handle(pattern, s.limited(h, nil))
	}
	newPage(s, token).register(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if !localHost(r.Host) {
			s.writeError(w, r, problem(http.StatusForbidden, "this listener answers to localhost and loopback addresses only"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// localHost reports whether a Host is a name or an address of this machine's loopback. Any port
// will do: it may be forwarded.
func localHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
