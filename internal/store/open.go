package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

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
	walLimit = 128 << 20
	// checkpointPages is after how many pages of the write-ahead log the writer itself
	// checkpoints, should the one beside it not keep up (128 MiB of 4 KiB pages).
	checkpointPages = 32768
)

// Options say how to open a store.
type Options struct {
	Path string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Policy is asked for the policy of an account by name. It may be replaced later by
	// SetPolicy.
	Policy func(account string) verdict.Policy
	// Forwarding fills the outbox; it may be replaced later by SetForwarding.
	Forwarding Forwarding
	// Committed is told of each commit: how many operations shared it, and how long it took; nil
	// if nobody wants to know.
	Committed func(operations int, took time.Duration)
	Logger    *slog.Logger

	checkedFirst int64 // instead of the constant, for tests
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
	forwards *names
	queue    *queue
	wake     *wake
	outbox   signal // an event may have got its turn to be sent
	packed   packedCounts
	closed   sync.Once

	checkedFirst int64
	stopLooking  func() // ends what looks a large store over
	looked       sync.WaitGroup

	tidy bool // opened for reading: the -shm file was not there before

	counters  counters
	hours     hours
	committed func(operations int, took time.Duration)

	rejectedMu sync.Mutex
	rejected   map[figureKey]int64 // not yet written

	mu     sync.RWMutex // guards policy
	policy func(account string) verdict.Policy

	forwarding atomic.Pointer[Forwarding]
}

// Open opens the store, creating or migrating it as needed, and takes its lock. The
// directory must exist. Errors wrap ErrLocked, ErrNewer, ErrCorrupt, fs.ErrPermission, or
// ErrBroken for an I/O error, where that is the reason; on an error nothing was changed.
func Open(ctx context.Context, o Options) (*Store, error) {
	useOFDLocks()
	if err := checkFile(o.Path); err != nil {
		return nil, err
	}
	if err := checkOwner(o.Path); err != nil {
		return nil, err
	}
	if err := checkRestored(o.Path); err != nil {
		return nil, err
	}
	l, err := lockStore(o.Path)
	if err != nil {
		return nil, startError(err)
	}
	s, err := open(ctx, o, l)
	if err != nil {
		l.release()
		return nil, startError(err)
	}
	return s, nil
}

func open(ctx context.Context, o Options, l *lock) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := checkLog(ctx, o.Path); err != nil {
		return nil, err
	}
	if err := createFile(o.Path); err != nil {
		return nil, err
	}
	s := &Store{path: o.Path, now: o.Now, log: o.Logger, lock: l, policy: o.Policy,
		wake: newWake(), accounts: newNames(), names: newNames(),
		rejected: map[figureKey]int64{}, checkedFirst: cmp.Or(o.checkedFirst, checkedFirst)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.policy == nil {
		s.policy = func(string) verdict.Policy { return verdict.Policy{} }
	}
	if s.committed = o.Committed; s.committed == nil {
		s.committed = func(int, time.Duration) {}
	}
	s.SetForwarding(o.Forwarding)
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
	whole, err := prepareFile(ctx, conn, s.path, s.checkedFirst)
	if err != nil {
		conn.Close()
		return err
	}
	if err := s.loadNames(ctx, conn); err != nil {
		conn.Close()
		return err
	}
	s.countPacked(ctx, conn)
	if s.queue, err = startQueue(ctx, s, conn); err != nil {
		conn.Close()
		return err
	}
	if !whole {
		s.lookBeside()
	}
	return nil
}

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
		if s.stopLooking != nil {
			s.stopLooking()
			s.looked.Wait()
		}
		s.queue.stop()
		err = s.disconnect()
		if s.tidy {
			_ = os.Remove(s.path + "-shm")
		}
		err = errors.Join(err, s.lock.release())
	})
	return err
}

// disconnect closes all connections. The last one to close writes the log back into the
// database, which a broken store must not do any more: its writer is left to the end of the
// process.
func (s *Store) disconnect() error {
	var err error
	if s.reader != nil {
		err = errors.Join(err, s.reader.Close())
	}
	if s.writer != nil && (s.queue == nil || s.queue.failure() == nil) {
		err = errors.Join(err, s.writer.Close())
	}
	return err
}
