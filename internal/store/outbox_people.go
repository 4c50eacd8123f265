package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Letter is an event in the outbox of a forward, pending or a dead letter.
type Letter struct {
	Forward   string
	Seq       int64
	ID        string // "evt_<store>_<seq>"
	At        time.Time
	Account   string
	SessionID string
	Change    verdict.Change
	Dead      bool
	Acked     bool // a person has seen the dead letter
	Late      bool // it was a dead letter before
	Attempts  int
	NextAt    time.Time // zero: it is a dead letter, or waits for an earlier one of its session
	DiedAt    time.Time
	Status    int // of the last answer, 0 without one
	Error     string
}

const pendingLetters = `SELECT o.seq, p.store, p.at_ms, p.account, p.session_id, p.change, 0, 0, o.late, o.attempts,
	coalesce(o.next_at_ms, 0), 0, o.status, coalesce(o.error, '') FROM outbox AS o JOIN payloads AS p ON p.seq = o.seq
	WHERE o.forward = ? AND o.seq > ? ORDER BY o.seq LIMIT ?`

const deadLetters = `SELECT d.seq, p.store, p.at_ms, p.account, p.session_id, p.change, 1, d.acked_at_ms IS NOT NULL, 0, d.attempts,
	0, d.died_ms, d.status, coalesce(d.error, '') FROM outbox_dead AS d JOIN payloads AS p ON p.seq = d.seq
	WHERE d.forward = ? AND d.seq > ? ORDER BY d.seq LIMIT ?`

// Letters lists what is pending for a forward, or its dead letters, the oldest first, with
// sequences above after, at most limit.
func (s *Store) Letters(ctx context.Context, forward string, dead bool, after int64, limit int) ([]Letter, error) {
	id, ok := s.forwards.id(forward)
	if !ok {
		return nil, nil
	}
	query := pendingLetters
	if dead {
		query = deadLetters
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer tx.Rollback()
	list, err := s.readLetters(tx.QueryContext(ctx, query, id, after, limit))
	if err == nil && !dead && len(list) < limit {
		list, err = s.packedLetters(ctx, tx, list, id, after, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the outbox of %s: %w", forward, translate(err))
	}
	for i := range list {
		list[i].Forward = forward
	}
	return list, nil
}

func (s *Store) readLetters(rows *sql.Rows, err error) ([]Letter, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Letter
	for rows.Next() {
		var l Letter
		if err := s.scanLetter(rows, &l); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// packedLetters adds what is pending but still packed: all of it comes after what is not.
func (s *Store) packedLetters(ctx context.Context, tx *sql.Tx, list []Letter, id, after int64, limit int) ([]Letter, error) {
	packs, err := readPacks(ctx, tx, after)
	if err != nil {
		return nil, err
	}
	for p := range packs {
		if errors.Is(p.err, ErrCorrupt) {
			continue
		}
		if p.err != nil {
			return nil, p.err
		}
		for _, e := range p.events {
			if e.seq <= after || !slices.Contains(e.forwards, id) {
				continue
			}
			change, err := word(verdict.Changes(), e.change)
			if err != nil {
				return nil, err
			}
			list = append(list, Letter{Seq: e.seq, ID: eventID(p.store, e.seq), At: at(e.at), Account: s.accounts.text(e.account),
				SessionID: e.sessionID, Change: change})
			if len(list) == limit {
				return list, nil
			}
		}
	}
	return list, nil
}

func (s *Store) scanLetter(rows *sql.Rows, l *Letter) error {
	var store string
	var ms, account, change, next, died int64
	var id any
	err := rows.Scan(&l.Seq, &store, &ms, &account, &id, &change, &l.Dead, &l.Acked, &l.Late, &l.Attempts, &next, &died, &l.Status, &l.Error)
	if err != nil {
		return err
	}
	l.ID, l.At, l.Account, l.NextAt, l.DiedAt = eventID(store, l.Seq), at(ms), s.accounts.text(account), at(next), at(died)
	if l.SessionID, err = unpackID(id); err != nil {
		return err
	}
	l.Change, err = word(verdict.Changes(), change)
	return err
}

// ForwardKnown reports whether a forward was ever written to.
func (s *Store) ForwardKnown(name string) bool {
	_, ok := s.forwards.id(name)
	return ok
}

// lettersBatch is how many events of an outbox one transaction changes for a person.
const lettersBatch = 200

// RetryDead puts dead letters of a forward back into its outbox, marked as late. It reports
// whether the dead letter was there.
func (s *Store) RetryDead(ctx context.Context, forward string, seq int64) (bool, error) {
	n, err := s.onLetters(ctx, forward, true, seq-1, 1, func(t *txn, id, found int64) error {
		if found != seq {
			return refuse(ErrNotFound)
		}
		return t.retryDead(id, found)
	})
	return n == 1, notThere(err)
}

// RetryAllDead puts all dead letters of a forward back into its outbox, and says how many.
func (s *Store) RetryAllDead(ctx context.Context, forward string) (int64, error) {
	return s.onAllLetters(ctx, forward, true, func(t *txn, id, seq int64) error { return t.retryDead(id, seq) })
}

func (t *txn) retryDead(forward, seq int64) error {
	session, err := t.removeDead(forward, seq)
	if err != nil {
		return err
	}
	t.forwardCounts(forward).pending++
	return t.enqueue(forward, seq, session, millis(t.q.s.now()), true)
}

// Skip takes a pending event or a dead letter out of a forward's outbox: it is not sent any
// more. It reports whether it was there.
func (s *Store) Skip(ctx context.Context, forward string, seq int64) (bool, error) {
	if err := s.unpackAll(ctx); err != nil {
		return false, err
	}
	for _, dead := range []bool{false, true} {
		n, err := s.onLetters(ctx, forward, dead, seq-1, 1, func(t *txn, id, found int64) error {
			if found != seq {
				return refuse(ErrNotFound)
			}
			return t.skip(id, found, dead)
		})
		if err = notThere(err); err != nil || n == 1 {
			return n == 1, err
		}
	}
	return false, nil
}

// SkipAll skips all that is pending for a forward, or all its dead letters, and says how many.
func (s *Store) SkipAll(ctx context.Context, forward string, dead bool) (int64, error) {
	if !dead {
		if err := s.unpackAll(ctx); err != nil {
			return 0, err
		}
	}
	return s.onAllLetters(ctx, forward, dead, func(t *txn, id, seq int64) error { return t.skip(id, seq, dead) })
}

func (t *txn) skip(forward, seq int64, dead bool) error {
	var err error
	if dead {
		_, err = t.removeDead(forward, seq)
	} else {
		_, err = t.leave(forward, seq, t.q.s.now())
	}
	if err != nil {
		return err
	}
	return t.dropPayload(seq)
}

// removeDead takes a dead letter away and returns the number of its session, 0 if it was not
// there.
func (t *txn) removeDead(forward, seq int64) (int64, error) {
	rows, err := t.query("DELETE FROM outbox_dead WHERE forward = ? AND seq = ? RETURNING session, acked_at_ms IS NULL", forward, seq)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var session int64
	for rows.Next() {
		var fresh bool
		if err := rows.Scan(&session, &fresh); err != nil {
			return 0, err
		}
		c := t.forwardCounts(forward)
		c.dead--
		if fresh {
			c.newDead--
		}
	}
	return session, rows.Err()
}

// AckDead records that a person has seen a dead letter of a forward, and reports whether that
// is new; a sequence of 0 means all of them. by is the person's user id, or -1.
func (s *Store) AckDead(ctx context.Context, forward string, seq int64, by int, now time.Time) (int64, error) {
	id, ok := s.forwards.id(forward)
	if !ok {
		return 0, nil
	}
	var n int64
	err := s.queue.do(ctx, func(t *txn) error {
		query := "UPDATE outbox_dead SET acked_at_ms = ?, acked_by = ? WHERE acked_at_ms IS NULL AND forward = ?"
		args := []any{millis(now), by, id}
		if seq != 0 {
			query += " AND seq = ?"
			args = append(args, seq)
		}
		var err error
		n, err = t.execCount(query, args...)
		t.forwardCounts(id).newDead -= n
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("acknowledge dead letters of %s: %w", forward, err)
	}
	return n, nil
}

// onAllLetters does something to all that is pending or dead when it begins, in small
// transactions.
func (s *Store) onAllLetters(ctx context.Context, forward string, dead bool, do func(t *txn, forward, seq int64) error) (int64, error) {
	var total int64
	for after := int64(0); ; {
		n, err := s.onLetters(ctx, forward, dead, after, lettersBatch, func(t *txn, id, seq int64) error {
			after = seq
			return do(t, id, seq)
		})
		if total += n; err != nil || n < lettersBatch {
			return total, err
		}
	}
}

// onLetters does something to at most limit letters after a sequence, in one transaction.
func (s *Store) onLetters(ctx context.Context, forward string, dead bool, after int64, limit int, do func(t *txn, forward, seq int64) error) (int64, error) {
	id, ok := s.forwards.id(forward)
	if !ok {
		return 0, nil
	}
	table := "outbox"
	if dead {
		table = "outbox_dead"
	}
	var n int64
	err := s.queue.do(ctx, func(t *txn) error {
		n = 0
		seqs, err := t.numbers("SELECT seq FROM "+table+" WHERE forward = ? AND seq > ? ORDER BY seq LIMIT ?", id, after, limit)
		if err != nil {
			return err
		}
		for _, seq := range seqs {
			if err := do(t, id, seq); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("change the outbox of %s: %w", forward, err)
	}
	return n, nil
}

// numbers reads a column of integers, all of it before anything is written.
func (t *txn) numbers(query string, args ...any) ([]int64, error) {
	rows, err := t.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}
