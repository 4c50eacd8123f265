package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/store"
)

// Waiting for space.
const (
	// spaceRetry is how often the store is tried while its disk is full.
	spaceRetry = 2 * time.Second
	// spaceMin is what must be free for a failed open not to be blamed on the disk, in bytes.
	spaceMin = 4 << 20
)

// openStore opens the store. While its disk is full, deliveries are answered 503 and it is
// tried again: a restart would not make room, and Moveris is to keep the deliveries.
func (d *daemon) openStore(ctx context.Context, ln net.Listener) error {
	o := store.Options{Path: d.cfg.Store.Path, Policy: policies(d.cfg), Committed: d.meter.Committed, Logger: d.log}
	var err error
	if d.store, err = store.Open(ctx, o); err == nil || !full(err, d.cfg.Store.Path) {
		return advised(err)
	}
	d.log.Error("the disk of the store is full; deliveries are answered 503 until there is space", "err", err)
	notifyReady() // it runs, as far as it can
	notifyStatus("waiting for space on the disk of " + d.cfg.Store.Path)
	stop := refuseAll(ln, d.log)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped while waiting for space: %w", ctx.Err())
		case <-time.After(spaceRetry):
		}
		if d.store, err = store.Open(ctx, o); err == nil || !full(err, d.cfg.Store.Path) {
			return advised(err)
		}
		notifyBeat()
	}
}

// advised adds to the error of a corrupt store which commands recover.
func advised(err error) error {
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w\nto recover, run `moverisd db restore FILE` with the newest backup: it keeps the damaged store "+
		"beside the restored one, takes over what can still be read, and says which time is not covered; then run "+
		"`moverisd run`, and `moverisd expect -` with the application's records of that time", err)
}

// full reports whether an open failed for want of space. Without space SQLite cannot even
// make its shared memory, and says "I/O error".
func full(err error, path string) bool {
	if errors.Is(err, store.ErrFull) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return true
	}
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && int64(fs.Bavail)*fs.Bsize < spaceMin &&
		!errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewer) && !errors.Is(err, store.ErrLocked)
}

// refuseAll answers every delivery with 503 until the returned function is called; the
// listener stays open.
func refuseAll(ln net.Listener, log *slog.Logger) func() {
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 12 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "30")
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusServiceUnavailable)
			// Nobody is left to read it if this fails.
			_, _ = w.Write([]byte(`{"error":"the delivery cannot be stored now; send it again"}` + "\n"))
		})}
	shared := &lent{Listener: ln, done: make(chan struct{})}
	go srv.Serve(shared)
	return func() { srv.Close() }
}

// lent is a listener that is lent to a server: closing it ends Accept, not the listener.
type lent struct {
	net.Listener
	done chan struct{}
}

// Accept implements net.Listener.
func (l *lent) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.done:
			return nil, net.ErrClosed
		default:
		}
		t, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
		if ok {
			if err := t.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				return nil, err
			}
		}
		c, err := l.Listener.Accept()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			continue
		}
		return c, err
	}
}

// Close implements net.Listener.
func (l *lent) Close() error {
	close(l.done)
	if t, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		// Accept has ended or ends at once; the next server accepts without a deadline.
		time.Sleep(250 * time.Millisecond)
		return t.SetDeadline(time.Time{})
	}
	return nil
}
