package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	connectionsMax = 1024 // hanging answers hold one each
	drainTime      = 2 * time.Second
)

// Listen opens a TCP listener on a loopback address, and refuses any other: a
// Moveris that makes up verdicts must not be reachable from elsewhere. With
// expired it speaks TLS with a self-made certificate that has run out.
func Listen(addr string, expired bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if !isLoopback(host) {
		return nil, fmt.Errorf("listen on %q: only loopback addresses are allowed, such as 127.0.0.1:8491", addr)
	}
	var cert tls.Certificate
	if expired {
		if cert, err = expiredCertificate(time.Now()); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if !expired {
		return ln, nil
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}

// isLoopback looks at the text only; a name other than localhost might
// resolve to anything.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Serve answers on the listener until the context ends, then lets answers
// under way finish for two seconds. It closes the listener.
func (m *Moveris) Serve(ctx context.Context, ln net.Listener) error {
	base, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	srv := &http.Server{
		Handler:           m.handler,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		ConnState:         connectionLimit(connectionsMax),
		// HTTP/1 only: half the faults need the bare connection.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	letGo() // wakes hanging answers and long polls, or they would use up the drain time
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		srv.Close()
	}
	<-failed
	return nil
}

// connectionLimit closes connections above the limit at once, so that their
// goroutines are bounded too.
func connectionLimit(limit int64) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > limit {
				c.Close()
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}
