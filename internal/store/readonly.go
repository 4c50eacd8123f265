package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/verdict"
)

// OpenReadOnly opens the store of a stopped daemon for reading. It writes nothing and leaves
// no file behind, whoever the caller is: a -wal file of another user would keep the daemon
// from starting. It fails with ErrLocked while a daemon runs, and with fs.ErrNotExist or
// fs.ErrPermission where that is the reason.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	l, err := lockShared(path)
	if err != nil {
		return nil, err
	}
	useOFDLocks()
	shared := exists(path + "-shm")
	q := url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {"1000"}}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		// Nothing waits in the log and nobody can write while we hold the lock.
		q.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	s := &Store{path: path, reader: db, lock: l, now: time.Now, log: slog.New(slog.DiscardHandler),
		accounts: newNames(), names: newNames(), wake: newWake(), rejected: map[figureKey]int64{},
		policy: func(string) verdict.Policy { return verdict.Policy{} }, queue: closedQueue(),
		// Nobody but readers can be using it, and they keep what they have opened.
		tidy: !shared}
	conn, err := db.Conn(ctx)
	if err == nil {
		defer conn.Close()
		if err = s.loadNames(ctx, conn); err == nil {
			s.countPacked(ctx, conn)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the store %s: %w", path, translate(err)), s.Close())
	}
	return s, nil
}

// lockShared takes the store's lock beside other readers, but not beside a daemon.
func lockShared(path string) (*lock, error) {
	f, err := os.Open(path + ".lock")
	if errors.Is(err, fs.ErrNotExist) {
		return &lock{}, nil // no daemon has ever run on it
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock of the store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		defer f.Close()
		return nil, fmt.Errorf("%w: a moverisd%s works on %s", ErrLocked, holder(f), path)
	}
	return &lock{f}, nil
}

// closedQueue is the queue of a store that takes no writes.
func closedQueue() *queue {
	q := &queue{closing: true, broken: make(chan struct{}), ended: make(chan struct{}),
		checkpoint: make(chan struct{}), checkpointed: make(chan struct{}), wake: make(chan struct{}, 1)}
	close(q.ended)
	close(q.checkpointed)
	return q
}
