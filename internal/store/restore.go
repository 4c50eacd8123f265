package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Restored says what a restore has done.
type Restored struct {
	Backup   Info
	StoreID  string    // the new identity
	Aside    string    // where the store that was there has gone, empty if there was none
	Salvaged int64     // observations and marks taken over from it
	Lost     string    // why nothing more could be read from it, empty if all was read
	From     time.Time // beginning of the time not covered, zero if there is none
	Until    time.Time // its end
}

// Restore replaces a store whose daemon is stopped by a backup. The file that was there is
// kept aside; what can still be read from it is applied to the restored store first. The
// store gets a new identity, so that consumers of its events notice. What is salvaged is
// forwarded by forwarding, of which there is at most one: perhaps once more than before, and
// under a new id, but nothing stays unsaid.
func Restore(ctx context.Context, path, backup string, policy func(string) verdict.Policy, now time.Time, forwarding ...Forwarding) (Restored, error) {
	var out Restored
	useOFDLocks()
	l, err := lockStore(path)
	if err != nil {
		return out, err
	}
	defer l.release()
	if out.Backup, err = Inspect(ctx, backup); err != nil {
		return out, fmt.Errorf("the backup cannot be used: %w", err)
	}
	// The copy is filled under a name of its own and takes the store's at the very end: until
	// then Open refuses, and a restore that was killed is done again.
	fresh := path + restoringSuffix
	interrupted := !exists(path) && exists(fresh)
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return out, fmt.Errorf("remove what an interrupted restore has left: %w", err)
		}
	}
	if err := copyFile(backup, fresh); err != nil {
		return out, fmt.Errorf("copy the backup: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return out, err
	}
	if out.Aside, err = setAside(path, interrupted, now); err != nil {
		return out, fmt.Errorf("keep the store aside: %w", err)
	}
	o := Options{Path: fresh, Policy: policy, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range forwarding {
		o.Forwarding = f
	}
	if err := out.fill(ctx, o, now, l); err != nil {
		return out, err
	}
	if err := os.Rename(fresh, path); err != nil {
		return out, fmt.Errorf("put the backup in place: %w", err)
	}
	return out, syncDir(filepath.Dir(path))
}

// restoringSuffix names the store that a restore is filling.
const restoringSuffix = ".restoring"

// setAside renames the store that is there, and returns its new name, empty if there is none.
// After an interrupted restore it is the one that was renamed then.
func setAside(path string, interrupted bool, now time.Time) (string, error) {
	aside := path + ".bad-" + now.UTC().Format("20060102T150405Z")
	switch earlier, err := filepath.Glob(path + ".bad-*Z"); {
	case err != nil:
		return "", err
	case interrupted && len(earlier) > 0:
		aside = earlier[len(earlier)-1] // they sort by their time
	case !exists(path):
		return "", nil
	}
	return aside, moveAside(path, aside)
}

// fill gives the restored store its new identity and what could be salvaged.
func (out *Restored) fill(ctx context.Context, o Options, now time.Time, l *lock) (err error) {
	s, err := open(ctx, o, l)
	if err != nil {
		return err
	}
	defer func() {
		s.queue.stop()
		err = errors.Join(err, s.disconnect())
		if err == nil && exists(o.Path+"-wal") {
			err = errors.New("the log of the restored store could not be written back; run the restore again")
		}
	}()
	if out.StoreID, err = newStoreID(); err != nil {
		return err
	}
	if err := s.queue.do(ctx, func(t *txn) error {
		return t.exec("UPDATE meta SET value = ? WHERE key = 'store_id'", out.StoreID)
	}); err != nil {
		return fmt.Errorf("give the store its new id: %w", err)
	}
	s.id = out.StoreID
	var newest time.Time
	if out.Aside != "" {
		out.Salvaged, newest, err = s.salvage(ctx, out.Aside)
		if err != nil {
			out.Lost = err.Error()
		}
	}
	if out.From = out.Backup.Newest; newest.After(out.From) {
		out.From = newest
	}
	out.Until = now
	return nil
}

// moveAside renames a database with its log.
func moveAside(path, aside string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if exists(path + suffix) {
			errs = append(errs, os.Rename(path+suffix, aside+suffix))
		}
	}
	return errors.Join(errs...)
}

// copyFile copies to a new file only its owner can read, and fsyncs it.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
