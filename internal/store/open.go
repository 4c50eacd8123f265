package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Limits of the store.
const (
	// batchMax is how many operations share one transaction: more save no fsync worth
	// mentioning and make the last of them wait.
	batchMax = 250
	// queueMax is how many operations may wait; beyond it callers get ErrBusy at once,
	// before Moveris could time out.
	queueMax = 4096
	// readersMax is the number of read-only connections.
	readersMax = 4
	// openTimeout bounds what is done before the store serves.
	openTimeout = 10 * time.Minute
	// walLimit is the size the write-ahead log is cut back to, in bytes.
	walLimit = 64 << 20
	// checkpointPages is after how many pages of the write-ahead log the writer itself
	// checkpoints, should the one beside it not keep up (64 MiB of 4 KiB pages).
	checkpointPages = 16384
)

// Options say how to open a store.
type Options struct {
	Path string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Policy is asked for the policy of an account by name. It may be replaced later by
	// SetPolicy.
	Policy func(account string) verdict.Policy
	Logger *slog.Logger
}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	path string
	id   string
	now  func() time.Time
	log  *slog.Logger
	lock *lock
	// lastBeat is when an earlier process was last known to commit, zero if never.
	lastBeat time.Time
	writer   *sql.DB
	reader   *sql.DB

	accounts *names
	names    *names // labels and routes
	queue    *queue
	wake     *wake
	closed   sync.Once

	rejectedMu sync.Mutex
	rejected   map[figureKey]int64 // not yet written

	mu     sync.RWMutex // guards policy
	policy func(account string) verdict.Policy
}

// Open opens the store, creating or migrating it as needed, and takes its lock. The
// directory must exist. Errors wrap ErrLocked, ErrNewer or ErrCorrupt where that is the
// reason; on an error nothing was changed.
func Open(ctx context.Context, o Options) (*Store, error) {
	useOFDLocks()
	if err := checkFile(o.Path); err != nil {
		return nil, err
	}
	l, err := lockStore(o.Path)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, o, l)
	if err != nil {
		l.release()
		return nil, err
	}
	return s, nil
}

func open(ctx context.Context, o Options, l *lock) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := createFile(o.Path); err != nil {
		return nil, err
	}
	s := &Store{path: o.Path, now: o.Now, log: o.Logger, lock: l, policy: o.Policy,
		wake: newWake(), accounts: newNames(), names: newNames(),
		rejected: map[figureKey]int64{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.policy == nil {
		s.policy = func(string) verdict.Policy { return verdict.Policy{} }
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	return s, nil
}

// connect opens the writer, migrates, and starts the goroutine that owns it.
func (s *Store) connect(ctx context.Context) error {
	var err error
	if s.writer, err = sql.Open("sqlite", dsn(s.path, false)); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(3) // the writer's own, the checkpointer's, a backup's
	if s.reader, err = sql.Open("sqlite", dsn(s.path, true)); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readersMax)
	s.reader.SetMaxIdleConns(readersMax)
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open the store %s: %w", s.path, translate(err))
	}
	if err := prepareFile(ctx, conn); err != nil {
		conn.Close()
		return err
	}
	if err := s.loadNames(ctx, conn); err != nil {
		conn.Close()
		return err
	}
	s.queue, err = startQueue(ctx, s, conn)
	return err
}

// prepareFile checks that the connection is what the DSN asked for, and migrates.
func prepareFile(ctx context.Context, conn *sql.Conn) error {
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
	} {
		var have string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&have); err != nil {
			return fmt.Errorf("read back %s: %w", pragma, translate(err))
		}
		if have != want {
			return fmt.Errorf("the store's %s is %s, not %s: does its file system support shared memory?",
				pragma, have, want)
		}
	}
	return migrate(ctx, conn)
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
		q.Set("_pragma", "cache_size(-2000)")
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
	if n == 0 {
		return nil // an empty file is a new database
	}
	if n < len(header) || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: %s is no SQLite database (%d bytes read, %v)", ErrCorrupt, path, n, err)
	}
	if v := binary.BigEndian.Uint32(header[60:]); v > SchemaVersion {
		return fmt.Errorf("%w: the schema of %s is %d, this version knows up to %d; install the newer moverisd again",
			ErrNewer, path, v, SchemaVersion)
	}
	return nil
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

// ID is the identity of the store; a restore changes it.
func (s *Store) ID() string { return s.id }

// Path is the path of the database file.
func (s *Store) Path() string { return s.path }

// LastBeat is when an earlier process was last known to commit, the zero time for a new
// store.
func (s *Store) LastBeat() time.Time { return s.lastBeat }

// SetPolicy replaces the policies, for a reload.
func (s *Store) SetPolicy(policy func(account string) verdict.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = policy
}

func (s *Store) policyOf(account string) verdict.Policy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.policy(account)
}

// Broken is closed when the store has failed and the process has to end.
func (s *Store) Broken() <-chan struct{} { return s.queue.broken }

// Err says why the store is broken, or nil.
func (s *Store) Err() error { return s.queue.failure() }

// Close commits what is waiting, writes the log back into the database and lets the
// lock go. It is safe to call more than once.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		s.queue.stop()
		err = s.disconnect()
		err = errors.Join(err, s.lock.release())
	})
	return err
}

func (s *Store) disconnect() error {
	var err error
	if s.reader != nil {
		err = errors.Join(err, s.reader.Close())
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.Close())
	}
	return err
}
