package webhook

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the server, all in force before a delivery is authenticated.
const (
	headerMax     = 16 << 10
	headerTimeout = 5 * time.Second
	idleTimeout   = 75 * time.Second
	writeTimeout  = 30 * time.Second
	// connectionsMax bounds file descriptors and goroutines. At the cap the oldest
	// connection still sending its header makes room: an honest sender is done with that in
	// milliseconds.
	connectionsMax = 1024
)

// NewServer returns a server for deliveries with every limit in place; cert is nil for
// plain HTTP behind a proxy.
func NewServer(h http.Handler, log *slog.Logger, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *http.Server {
	g := &gate{conns: map[net.Conn]*connection{}}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout + bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		// net/http allows 4 KiB more than it is told.
		MaxHeaderBytes: headerMax - 4<<10,
		ConnState:      g.changed,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if cert != nil {
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert}
	}
	return srv
}

// gate keeps the number of connections bounded.
type gate struct {
	mu    sync.Mutex
	conns map[net.Conn]*connection
	next  int64
}

type connection struct {
	order int64 // smaller is older
	state http.ConnState
}

// changed is the server's ConnState hook. A connection is in StateNew until its first
// header has arrived whole.
func (g *gate) changed(c net.Conn, state http.ConnState) {
	victim := g.track(c, state)
	if victim != nil {
		victim.Close()
	}
}

func (g *gate) track(c net.Conn, state http.ConnState) net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(g.conns, c)
		return nil
	case http.StateNew:
		g.next++
		g.conns[c] = &connection{g.next, state}
		if len(g.conns) > connectionsMax {
			return g.oldest(c)
		}
	default:
		if e := g.conns[c]; e != nil {
			e.state = state
		}
	}
	return nil
}

// oldest picks the connection to close: the oldest one still sending its header, else the
// oldest idle one, else the newcomer. Its entry is dropped at once, so that it is not
// picked twice.
func (g *gate) oldest(newcomer net.Conn) net.Conn {
	victim := newcomer
	best := g.conns[newcomer]
	weight := func(e *connection) int {
		switch e.state {
		case http.StateNew:
			return 0
		case http.StateIdle:
			return 1
		}
		return 2
	}
	for c, e := range g.conns {
		if c == newcomer || weight(e) == 2 {
			continue
		}
		if victim == newcomer || weight(e) < weight(best) || weight(e) == weight(best) && e.order < best.order {
			victim, best = c, e
		}
	}
	delete(g.conns, victim)
	return victim
}
