package gateway

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// silentMax is how long a connection that is open at the stop may stay silent: a request that
// was on its way is there by then.
const silentMax = time.Second

// connections are those of a server. One that is told to shut down drops a request that it has
// not read by then, without a word; so everything that is open is waited for before.
type connections struct {
	mu     sync.Mutex // guards states
	states map[net.Conn]http.ConnState
}

// changed is the server's hook.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.states, conn)
		return
	}
	if c.states == nil {
		c.states = map[net.Conn]http.ConnState{}
	}
	c.states[conn] = state
}

// left is how many connections are to be waited for. If told to, it gives up those that are
// silent: the server closes those that had a request before, but would wait for the others.
func (c *connections) left(silent bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.states)
	for conn, state := range c.states {
		switch {
		case !silent:
		case state == http.StateNew:
			conn.Close()
			n--
		case state == http.StateIdle:
			n--
		}
	}
	return n
}

// finish returns when every request of a connection that is open has its answer, or ctx ends.
// Nothing is accepted any more.
func (c *connections) finish(ctx context.Context) {
	for start := time.Now(); ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		if c.left(time.Since(start) > silentMax) == 0 {
			return
		}
	}
}
