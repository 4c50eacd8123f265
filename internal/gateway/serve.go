package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// headerMax and headerTimeout bound the head of a request; its body has the time that its
	// caller gives it.
	headerMax     = 64 << 10
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// drainTimeout is for checks under way at the end; the SDK waits for 30 seconds itself.
	drainTimeout = 30 * time.Second
	// countsEvery is how often the log is told what has passed, if anything has.
	countsEvery = time.Minute
)

// Counts returns what has passed so far.
func (g *Gateway) Counts() Counts { return g.recorder.counts() }

// Serve passes on what comes in at a listener until ctx ends, then lets answers under way
// finish and tells the daemon what is left to tell.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	// Notes are worked on until the last answer has passed.
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		g.recorder.run(recording)
	}()
	var open connections
	srv := &http.Server{Handler: g, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerMax,
		ConnState: open.changed, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	err := g.wait(ctx, failed)
	g.stopping.Store(true)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err == nil {
		ln.Close()
		<-failed // the server has told of all connections that it has accepted
		open.finish(within)
	}
	if srv.Shutdown(within) != nil {
		srv.Close()
	}
	stop()
	<-recorded
	g.tellCounts(Counts{})
	return err
}

// wait returns when ctx ends, or with the error that ended the server.
func (g *Gateway) wait(ctx context.Context, failed <-chan error) error {
	tick := time.NewTicker(countsEvery)
	defer tick.Stop()
	var before Counts
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("serve the gateway: %w", err)
		case <-tick.C:
			before = g.tellCounts(before)
		}
	}
}

// tellCounts tells the log what has passed, unless nothing has since.
func (g *Gateway) tellCounts(before Counts) Counts {
	c := g.Counts()
	if c != before {
		g.log.Info("passed on so far", "requests", c.Requests, "unknown_key", c.UnknownKey, "expected", c.Expected,
			"submitted", c.Submitted, "refused", c.Refused, "dropped", c.Dropped, "unread", c.Unread)
	}
	return c
}
