package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// refusal is what an operation returns that has found, before writing anything, that it
// must not be done.
type refusal struct{ reason error }

func (r *refusal) Error() string { return r.reason.Error() }

func refuse(reason error) error { return &refusal{reason} }

// alone runs each operation of a failed batch in a transaction of its own, so that one
// bad operation fails alone. An error that concerns the file ends the attempt for all.
func (q *queue) alone(b *batch, err error) {
	for i, op := range b.ops {
		if severityOf(err) == harmless && q.failure() == nil {
			if err = q.transact([]operation{op}, b.errs[i:i+1]); err != nil {
				b.errs[i] = translate(err)
			}
			continue
		}
		b.errs[i] = translate(err)
		if q.failure() != nil {
			b.errs[i] = fmt.Errorf("%w: %w", ErrBroken, q.failure())
		}
	}
}

// transact runs operations in one transaction. An operation that refuses gets its error
// into errs and harms no other. After a returned error nothing of them is on disk; after
// an I/O error the store is broken.
func (q *queue) transact(ops []operation, errs []error) (err error) {
	t, start := newTxn(q), time.Now()
	defer func() {
		if err != nil {
			q.rollback(t)
			q.judge(err)
		}
	}()
	if err := t.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, op := range ops {
		var no *refusal
		err := op(t)
		if errs[i] = nil; errors.As(err, &no) {
			errs[i] = no.reason
		} else if err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := q.failure(); err != nil {
		return err // the checkpointer has found out meanwhile
	}
	if err := t.control("COMMIT"); err != nil {
		return err
	}
	q.commits.Add(1)
	q.lastCommit.Store(q.s.now().UnixMilli())
	t.committed()
	q.s.committed(len(ops), time.Since(start))
	return nil
}

// control begins or ends a transaction. Where that fails for no reason of the file's, the
// connection is in another state than we think: SQLite may have rolled back by itself, and
// what came after it is on disk already.
func (t *txn) control(statement string) error {
	err := t.exec(statement)
	if err != nil && severityOf(err) == harmless {
		return fmt.Errorf("%w: %s: %w", errTransaction, statement, err)
	}
	return err
}

// rollback undoes a transaction, in the file and in what the writer remembers.
func (q *queue) rollback(t *txn) {
	q.nextRecord, q.nextSess, q.nextEvent = t.firstRecord, t.firstSess, t.firstEvent
	t.giveBackRejected()
	// SQLite has rolled back by itself after some errors; then this fails, harmlessly.
	_, _ = q.conn.ExecContext(context.Background(), "ROLLBACK")
}
