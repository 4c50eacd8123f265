package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Backup writes a consistent copy of the store to path while it is in use: to a temporary
// name beside it first, then fsynced, verified and renamed, so that path is either the old
// file or a whole new one. While the copy is made the write-ahead log cannot be cut back.
func (s *Store) Backup(ctx context.Context, path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".backup-*") // mode 0600
	if err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails after the rename, harmlessly
	defer tmp.Close()
	if _, err := s.writer.ExecContext(ctx, "VACUUM INTO ?", tmp.Name()); err != nil {
		return fmt.Errorf("back up the store to %s: %w", path, translate(err))
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("back up the store to %s: %w", path, err)
	}
	if _, err := Inspect(ctx, tmp.Name()); err != nil {
		return fmt.Errorf("verify the backup %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Info is what a store file says about itself.
type Info struct {
	StoreID  string
	Schema   int
	Sessions int64
	Newest   time.Time // the newest record, zero if there is none
}

// Inspect checks a file that nobody uses: that it is a whole database of a schema that is
// known. It writes nothing.
func Inspect(ctx context.Context, path string) (Info, error) {
	var info Info
	if _, err := os.Stat(path); err != nil {
		return info, err
	}
	if err := checkFile(path); err != nil {
		return info, err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&immutable=1&_query_only=1")
	if err != nil {
		return info, err
	}
	defer db.Close()
	var ok string
	var newest sql.NullInt64
	for query, into := range map[string]any{
		"PRAGMA integrity_check(1)":                      &ok,
		"SELECT value FROM meta WHERE key = 'store_id'":  &info.StoreID,
		"PRAGMA user_version":                            &info.Schema,
		"SELECT count(*) FROM sessions":                  &info.Sessions,
		"SELECT max(at_ms) FROM records":                 &newest,
		"SELECT count(*) FROM events WHERE change > 100": new(int64), // the table is there
	} {
		if err := db.QueryRowContext(ctx, query).Scan(into); err != nil {
			return info, fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
		}
	}
	if ok != "ok" {
		return info, fmt.Errorf("%w: %s: %s", ErrCorrupt, path, ok)
	}
	info.Newest = at(newest.Int64)
	return info, nil
}

// backupPattern names the files of BackupInto: they sort by their time.
const (
	backupPrefix = "moverisd-"
	backupSuffix = ".db"
)

// BackupInto writes a backup named by the time into a directory and removes the oldest ones
// beyond keep.
func (s *Store) BackupInto(ctx context.Context, dir string, keep int, now time.Time) (string, error) {
	path := filepath.Join(dir, backupPrefix+now.UTC().Format("20060102T150405Z")+backupSuffix)
	if err := s.Backup(ctx, path); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return path, fmt.Errorf("remove old backups: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), backupPrefix) && strings.HasSuffix(e.Name(), backupSuffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names[:max(0, len(names)-keep)] {
		errs = append(errs, os.Remove(filepath.Join(dir, name)))
	}
	return path, errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// exists reports whether a path is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
