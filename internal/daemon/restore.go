package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/store"
)

// Restored says what a restore has done.
type Restored = store.Restored

// Restore replaces the store of a stopped daemon by a backup; see store.Restore.
func Restore(ctx context.Context, cfg *config.Config, backup string) (Restored, error) {
	return store.Restore(ctx, cfg.Store.Path, backup, policies(cfg), time.Now(), forwarding(cfg))
}

// SaveBackup writes what fetch gives to path: under a temporary name first, then fsynced,
// verified and renamed, so that path is either the old file or a whole new backup.
func SaveBackup(ctx context.Context, path string, fetch func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".moverisd-backup-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails after the rename, harmlessly
	defer tmp.Close()
	if err := fetch(tmp); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if _, err := store.Inspect(ctx, tmp.Name()); err != nil {
		return fmt.Errorf("verify the backup: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer dir.Close()
	return dir.Sync()
}
