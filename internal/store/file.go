package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// prepareFile checks that the connection is what the DSN asked for and, unless it is larger than
// most bytes, that the file is whole, and migrates.
func prepareFile(ctx context.Context, conn *sql.Conn, path string, most int64) (whole bool, err error) {
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
	} {
		var have string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&have); err != nil {
			return false, fmt.Errorf("read back %s: %w", pragma, translate(err))
		}
		if have != want {
			return false, fmt.Errorf("the store's %s is %s, not %s: does its file system support shared memory?",
				pragma, have, want)
		}
	}
	if whole, err = checkWhole(ctx, conn, path, most); err != nil {
		return false, err
	}
	return whole, migrate(ctx, conn)
}

// dsn is the address of the database with every pragma that matters; readers can write
// nothing.
func dsn(path string, readOnly bool) string {
	q := url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_txlock":       {"immediate"},
		"_pragma": {
			fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages),
			fmt.Sprintf("journal_size_limit(%d)", walLimit),
			"cache_size(-8000)",
			"secure_delete(1)", // what is erased is overwritten
			"temp_store(memory)",
		},
	}
	if readOnly {
		q.Set("_query_only", "1")
		q.Set("_txlock", "deferred")
		q.Set("_pragma", "cache_size(-1000)")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// checkFile looks at the file before SQLite does, so that a refused store is left as it
// was: a newer schema, something that is no database, a missing directory.
func checkFile(path string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("the directory %s of the store does not exist; create it, or set store.path: %w",
			dir, errors.Join(err, fs.ErrNotExist))
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	defer f.Close()
	header := make([]byte, 100)
	n, err := f.ReadAt(header, 0)
	if log, no := os.Stat(path + "-wal"); n == 0 && no == nil && log.Size() > 0 {
		// SQLite would take it for a new database, and delete the log.
		return fmt.Errorf("%w: %s is empty but its log is not", ErrCorrupt, path)
	}
	if n == 0 {
		return nil // an empty file is a new database
	}
	if n < len(header) || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: %s is no SQLite database (%d bytes read, %v)", ErrCorrupt, path, n, err)
	}
	if v := binary.BigEndian.Uint32(header[60:]); v > SchemaVersion {
		return newer(path, int(v))
	}
	return nil
}

// checkLog looks for a newer schema that is in the write-ahead log only, as an unclean end
// leaves it: opened for writing, the log would be written back before anyone looks. What is
// wrong otherwise, opening will say.
func checkLog(ctx context.Context, path string) error {
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() == 0 {
		return nil
	}
	shared := exists(path + "-shm")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&_query_only=1&_busy_timeout=1000")
	if err != nil {
		return err
	}
	var have int
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have)
	db.Close()
	if err != nil || have <= SchemaVersion {
		return nil
	}
	if !shared {
		_ = os.Remove(path + "-shm")
	}
	return newer(path, have)
}

func newer(path string, have int) error {
	return fmt.Errorf("%w: the schema of %s is %d, this version knows up to %d; install the newer moverisd again",
		ErrNewer, path, have, SchemaVersion)
}

// createFile makes an empty database only its owner can read, which SQLite would not.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the store: %w", err)
	}
	return f.Close()
}

// useOFDLocks makes closing another descriptor of the database harmless. It has to come
// before the first connection of the process; elsewhere than on Linux it is not there.
func useOFDLocks() { _, _ = sqlite.OFDLocking(true) }
