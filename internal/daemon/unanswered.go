package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// silentMax is how long a connection that was accepted just before the stop may stay silent. An
// honest caller sends at once.
const silentMax = time.Second

// unanswered are the connections of a server that were accepted and whose request was not
// answered yet. A server that shuts down drops those whose request it has not read by then,
// without a word; so all of them are waited for before it is told to.
type unanswered struct {
	ln    net.Listener
	ended chan struct{} // closed when no more is accepted

	mu    sync.Mutex // guards conns
	conns map[net.Conn]http.ConnState
}

// watch puts itself between a server and its listener before it serves; the server is to serve
// the listener that is returned.
func (u *unanswered) watch(srv *http.Server, ln net.Listener) net.Listener {
	u.ln, u.ended, u.conns = ln, make(chan struct{}), map[net.Conn]http.ConnState{}
	hook := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		u.changed(c, state)
		if hook != nil {
			hook(c, state)
		}
	}
	return &watchedListener{Listener: ln, ended: sync.OnceFunc(func() { close(u.ended) })}
}

func (u *unanswered) changed(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		u.conns[c] = state
		return
	}
	delete(u.conns, c)
}

// left is how many connections are unanswered. If told to, it closes those that are silent; the
// server would wait for them.
func (u *unanswered) left(closeSilent bool) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c, state := range u.conns {
		if closeSilent && state == http.StateNew {
			c.Close()
			delete(u.conns, c)
		}
	}
	return len(u.conns)
}

// finish accepts nothing more and returns when everything that was accepted is answered, or
// ctx ends. Connections that stay silent for silentMax are closed.
func (u *unanswered) finish(ctx context.Context) {
	if u.ln == nil {
		return
	}
	u.ln.Close()
	// The server's loop tells of a connection before it accepts the next: when it ends, none
	// is left that was accepted and is not known here.
	select {
	case <-u.ended:
	case <-ctx.Done():
		return
	}
	for start := time.Now(); ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		if u.left(time.Since(start) > silentMax) == 0 {
			return
		}
	}
}

// watchedListener tells when its owner has stopped accepting.
type watchedListener struct {
	net.Listener
	ended func()
}

// Accept implements net.Listener.
func (l *watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, net.ErrClosed) {
		l.ended()
	}
	return c, err
}
