package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses a store that belongs to somebody else, or that others may open: its
// bodies are for nobody else, and files that two users write to lock one of them out. The
// error wraps fs.ErrPermission.
func checkOwner(path string) error {
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at the store: %w", err)
		}
		if sys, ok := info.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
			return fmt.Errorf("%s belongs to user %d, not to user %d: run `chown %d %s`, or run moverisd as its owner: %w",
				name, sys.Uid, os.Geteuid(), os.Geteuid(), name, fs.ErrPermission)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return fmt.Errorf("%s may be opened by others (mode %04o): run `chmod 600 %s`: %w", name, mode, name, fs.ErrPermission)
		}
	}
	return nil
}

// checkRestored refuses to begin an empty store where a restore was interrupted.
func checkRestored(path string) error {
	if exists(path) || !exists(path+restoringSuffix) {
		return nil
	}
	return fmt.Errorf("%w: a restore of %s was interrupted; do it again", ErrCorrupt, path)
}

// checkWhole is SQLite's quick look at every page, which finds what a torn or foreign page
// would do before anything is served from it. Verify also holds the indexes against the rows.
// A file that is too large for it is left to look.
func checkWhole(ctx context.Context, conn *sql.Conn, path string, most int64) (whole bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("look at the store: %w", err)
	}
	if info.Size() > most {
		return false, nil
	}
	var found string
	if err := conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return false, fmt.Errorf("check the store: %w", translate(err))
	}
	if found != "ok" {
		return false, fmt.Errorf("%w: %s", ErrCorrupt, found)
	}
	return true, nil
}

// startError tells an I/O error at the start apart from other reasons not to start: what is on
// disk is not known then, as when it happens later.
func startError(err error) error {
	if primary(err) == codeIOErr || errors.Is(err, syscall.EIO) {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}
