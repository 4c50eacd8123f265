package webhook

import (
	"container/list"
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
	g := newGate()
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

// gate keeps the number of connections bounded. Its lists keep the longest waiting first, so
// that a flood of strangers costs no search for each of them.
type gate struct {
	mu      sync.Mutex
	conns   map[net.Conn]*list.Element // nil: it is served now
	opening *list.List                 // connections still sending their first header
	idle    *list.List                 // connections between two requests
}

func newGate() *gate {
	return &gate{conns: map[net.Conn]*list.Element{}, opening: list.New(), idle: list.New()}
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
	place, known := g.conns[c]
	if !known && state != http.StateNew {
		return nil // it was a victim
	}
	g.leave(place)
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(g.conns, c)
	case http.StateNew:
		g.conns[c] = g.opening.PushBack(c)
		if len(g.conns) > connectionsMax {
			return g.oldest()
		}
	case http.StateIdle:
		g.conns[c] = g.idle.PushBack(c)
	default:
		g.conns[c] = nil
	}
	return nil
}

// leave takes a connection out of the list it is in, if it is in one.
func (g *gate) leave(place *list.Element) {
	if place != nil {
		g.opening.Remove(place) // a list leaves the elements of another alone
		g.idle.Remove(place)
	}
}

// oldest picks the connection to close: the oldest one still sending its header, else the
// longest idle one, else the newcomer, which is the last that is still sending its header. It
// is forgotten at once, so that it is not picked twice.
func (g *gate) oldest() net.Conn {
	first := g.opening.Front()
	if idle := g.idle.Front(); g.opening.Len() == 1 && idle != nil {
		first = idle
	}
	victim := first.Value.(net.Conn)
	g.leave(first)
	delete(g.conns, victim)
	return victim
}
