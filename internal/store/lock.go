package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// lock is held by whoever may write to a store. It lies beside the database, because
// opening and closing the database file itself would drop SQLite's own locks.
type lock struct{ f *os.File }

// lockStore takes the lock without waiting. The error names the process that holds it.
func lockStore(path string) (*lock, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the store: %w", err)
		}
		return nil, fmt.Errorf("%w: another moverisd%s works on %s; stop it, or give this one a store.path of its own",
			ErrLocked, holder(f), path)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the lock of the store: %w", err)
	}
	if _, err := f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the lock of the store: %w", err)
	}
	return &lock{f}, nil
}

// holder reads the process id that the lock's owner wrote, for a message.
func holder(f *os.File) string {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	if pid := strings.TrimSpace(string(buf[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

// release lets the lock go. The file stays: removing it could take it from under a
// process that has just opened it.
func (l *lock) release() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}
