package store

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// slowCommit is how long a commit takes where the disk, not the work, is what it waits for.
const slowCommit = 500 * time.Millisecond

// yields is how often the writer lets others run before it takes a batch; what they wake is ready
// by the next time.
const yields = 3

// operation is one use case inside a transaction. It must be able to run again after a
// rollback: it sets its results, it does not add to them.
type operation func(t *txn) error

// batch is what shares one transaction. done is closed after the commit, when errs
// holds one result for each operation.
type batch struct {
	ops  []operation
	errs []error
	done chan struct{}
}

// queue is the group commit. One goroutine owns the connection; everyone else appends
// to the youngest batch and waits for its done channel.
type queue struct {
	s    *Store
	conn *sql.Conn
	wake chan struct{} // holds a token while batches wait

	mu      sync.Mutex // guards the fields below
	batches []*batch
	waiting int
	closing bool
	failed  error

	// Owned by the writer goroutine.
	stmts      map[string]*sql.Stmt // for what reads rows
	statements statements           // for all else
	labels     map[labelKey]int64   // when they were last written to have been used
	nextRecord int64
	nextSess   int64
	nextEvent  int64
	unreadable int64 // newest pack of the outbox that was found unreadable

	commits    atomic.Int64 // number of commits, for tests and metrics
	lastCommit atomic.Int64 // Unix milliseconds
	slow       atomic.Bool  // the last commit took longer than slowCommit
	restart    atomic.Bool  // the log is to be begun anew, see runCheckpoints
	broken     chan struct{}
	ended      chan struct{} // closed when the writer goroutine has ended
	checkpoint chan struct{} // holds a token while there is something to write back
	// checkpointed is closed when the checkpointer has ended.
	checkpointed chan struct{}
}

func startQueue(ctx context.Context, s *Store, conn *sql.Conn) (*queue, error) {
	q := &queue{s: s, conn: conn, wake: make(chan struct{}, 1), stmts: map[string]*sql.Stmt{},
		statements: newStatements(), labels: map[labelKey]int64{},
		broken: make(chan struct{}), ended: make(chan struct{}),
		checkpoint: make(chan struct{}, 1), checkpointed: make(chan struct{})}
	for table, next := range map[string]*int64{
		"SELECT coalesce(max(id), 0) + 1 FROM records": &q.nextRecord,
		// The number of a session that was pruned must not lead to what is still to be sent of it.
		`SELECT max(coalesce((SELECT max(id) FROM sessions), 0), coalesce((SELECT max(session) FROM outbox), 0),
			coalesce((SELECT max(session) FROM outbox_dead), 0), coalesce((SELECT max(last_session) FROM outbox_packs), 0)) + 1`: &q.nextSess,
		// Events are pruned from their front only, but all of them may be gone.
		"SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'last_seq'), 0)) + 1": &q.nextEvent,
	} {
		if err := conn.QueryRowContext(ctx, table).Scan(next); err != nil {
			return nil, fmt.Errorf("read the last ids: %w", translate(err))
		}
	}
	beside, err := s.writer.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the checkpointer's connection: %w", translate(err))
	}
	go q.run()
	go q.runCheckpoints(beside)
	return q, nil
}

// do queues an operation and waits for its commit. If ctx ends first, the operation may
// still be committed, but not if its batch had not begun: behind a slow disk it would take
// the place of those who still wait.
func (q *queue) do(ctx context.Context, op operation) error {
	b, i, err := q.add(func(t *txn) error {
		if err := ctx.Err(); err != nil {
			return refuse(err)
		}
		return op(t)
	})
	if err != nil {
		return err
	}
	select {
	case <-b.done:
		return b.errs[i]
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add puts an operation into the youngest batch with room and returns its place there.
func (q *queue) add(op operation) (*batch, int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.failed != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrBroken, q.failed)
	case q.closing:
		return nil, 0, ErrClosed
	case q.waiting >= queueMax:
		return nil, 0, ErrBusy
	}
	n := len(q.batches)
	if n == 0 || len(q.batches[n-1].ops) >= q.room() {
		q.batches = append(q.batches, &batch{done: make(chan struct{})})
		n++
	}
	b := q.batches[n-1]
	b.ops = append(b.ops, op)
	q.waiting++
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return b, len(b.ops) - 1, nil
}

// room is how many operations may share a transaction. Behind a disk that takes long for each,
// all that wait have to: in turns of batchMax the last would have left before their turn.
func (q *queue) room() int {
	if q.slow.Load() {
		return queueMax
	}
	return batchMax
}

// take removes the oldest batch; nil means that the queue is empty, and over if closing.
func (q *queue) take() (b *batch, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return nil, q.closing
	}
	b = q.batches[0]
	q.batches = q.batches[1:]
	q.waiting -= len(b.ops)
	return b, false
}

// run is the writer goroutine. It ends when the queue is closed and empty.
func (q *queue) run() {
	defer close(q.ended)
	for {
		// Whoever is ready to run goes first: those whom the last commit released have their
		// answers to write, and those about to queue fill the next batch. It is no delay: where
		// nobody is ready, yielding returns at once.
		for range yields {
			runtime.Gosched()
		}
		b, over := q.take()
		if over {
			return
		}
		if b == nil {
			<-q.wake
			continue
		}
		if q.restart.Swap(false) && q.failure() == nil {
			q.finishLog()
		}
		q.commit(b)
	}
}

// commit runs a batch and releases its waiters.
func (q *queue) commit(b *batch) {
	b.errs = make([]error, len(b.ops))
	start := time.Now()
	if q.failure() != nil {
		for i := range b.errs {
			b.errs[i] = fmt.Errorf("%w: %w", ErrBroken, q.failure())
		}
	} else if err := q.transact(b.ops, b.errs); err != nil {
		q.alone(b, err)
	}
	q.slow.Store(time.Since(start) > slowCommit)
	close(b.done)
	select {
	case q.checkpoint <- struct{}{}:
	default:
	}
}

// judge marks the store as broken if an error leaves its file in doubt.
func (q *queue) judge(err error) {
	if s := severityOf(err); s != unsure && s != corruption {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed == nil {
		q.failed = translate(err)
		close(q.broken)
	}
}

func (q *queue) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// depth is the number of operations that wait.
func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// stop refuses new operations, waits until the queue is empty and both goroutines have
// ended, and gives the writer's connection back. It may be called once.
func (q *queue) stop() {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	<-q.ended
	close(q.checkpoint) // only the writer goroutine sends
	<-q.checkpointed
	if q.failure() != nil {
		return // see Store.disconnect
	}
	for _, st := range q.stmts {
		st.Close()
	}
	if q.conn != nil {
		_ = q.conn.Raw(func(any) error { q.statements.close(); return nil })
		q.conn.Close()
	}
}
