package store

import (
	"context"
	"fmt"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// What a person can acknowledge.
const (
	AckMissing     = "missing"
	AckConflicts   = "conflicts"
	AckDeadLetters = "dead-letters"
)

// ackMax is how many sessions one transaction acknowledges.
const ackMax = 200

// AckSession records that a person has seen that a session is missing, or its conflict. by
// is the person's user id, or -1. It fails with ErrNotFound where the session is not known or
// there is nothing to see.
func (s *Store) AckSession(ctx context.Context, what, account, id string, by int, now time.Time) error {
	err := s.queue.do(ctx, func(t *txn) error {
		k, err := t.load(account, id)
		if err != nil {
			return err
		}
		if k.before == nil || !ackable(k.row, what) {
			return refuse(ErrNotFound)
		}
		return t.ack(k.row, what, by, now)
	})
	if err != nil {
		return fmt.Errorf("acknowledge %s: %w", id, err)
	}
	return nil
}

// AckAll acknowledges every missing session, or every conflict, and says how many.
func (s *Store) AckAll(ctx context.Context, what string, by int, now time.Time) (int, error) {
	query := ackMissingSQL
	if what == AckConflicts {
		query = ackConflictsSQL
	}
	total := 0
	for last := int64(0); ; {
		n, next := 0, int64(0)
		err := s.queue.do(ctx, func(t *txn) error {
			rows, err := t.rows(query, last, ackMax)
			if err != nil {
				return err
			}
			n = len(rows)
			for _, r := range rows {
				next = r.id
				if err := t.ack(r, what, by, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return total, fmt.Errorf("acknowledge %s: %w", what, err)
		}
		if total += n; n < ackMax {
			return total, nil
		}
		last = next
	}
}

// What is still to be acknowledged, by number, each by an index of its own: 8 and 16 are
// flagMissingAcked and flagConflictAcked.
const (
	ackMissingSQL = "SELECT " + rowColumns + ` FROM sessions INDEXED BY sessions_unsettled
		WHERE state = 4 AND state <> 3 AND grace_until_ms IS NULL AND id > ? AND flags & 8 = 0 ORDER BY id LIMIT ?`
	ackConflictsSQL = "SELECT " + rowColumns + ` FROM sessions INDEXED BY sessions_conflict
		WHERE flags & 1 AND id > ? AND flags & 16 = 0 ORDER BY id LIMIT ?`
)

// rows reads sessions inside the transaction, all of them before the first is written.
func (t *txn) rows(query string, args ...any) ([]*row, error) {
	found, err := t.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var list []*row
	for found.Next() {
		r, err := t.q.s.scanRow(found)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, found.Err()
}

func ackable(r *row, what string) bool {
	if what == AckConflicts {
		return r.flags&flagConflict != 0
	}
	return r.state == code(verdict.States(), verdict.Missing)
}

func (t *txn) ack(r *row, what string, by int, now time.Time) error {
	bit := flagMissingAcked
	if what == AckConflicts {
		bit = flagConflictAcked
	}
	if r.flags&bit != 0 {
		return nil
	}
	totals := r.totals()
	if err := t.append(r, record{kind: kindAcked, at: now, n: int64(by), word: what}); err != nil {
		return err
	}
	r.flag(bit, true)
	if err := t.save(r); err != nil {
		return err
	}
	t.recount(totals, r.totals())
	return nil
}

// AckLoose acknowledges dead letters by number, or all of them if there are none, and says
// how many were new.
func (s *Store) AckLoose(ctx context.Context, ids []int64, by int, now time.Time) (int64, error) {
	var total int64
	err := s.queue.do(ctx, func(t *txn) error {
		total = 0
		const set = "UPDATE loose_deliveries SET acked_at_ms = ?, acked_by = ? WHERE reason IS NOT NULL AND acked_at_ms IS NULL"
		if len(ids) == 0 {
			var err error
			total, err = t.execCount(set, millis(now), by)
			t.totals[totalNewDead] -= total
			return err
		}
		for _, id := range ids {
			n, err := t.execCount(set+" AND id = ?", millis(now), by, id)
			if err != nil {
				return err
			}
			total += n
		}
		t.totals[totalNewDead] -= total
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("acknowledge dead letters: %w", err)
	}
	return total, nil
}

// DropLoose removes a loose delivery that has become a session's after all.
func (s *Store) DropLoose(ctx context.Context, id int64) error {
	err := s.queue.do(ctx, func(t *txn) error {
		fresh, err := t.execCount("DELETE FROM loose_deliveries WHERE id = ? AND reason IS NOT NULL AND acked_at_ms IS NULL", id)
		if err != nil {
			return err
		}
		seen, err := t.execCount("DELETE FROM loose_deliveries WHERE id = ? AND reason IS NOT NULL", id)
		if err != nil {
			return err
		}
		other, err := t.execCount("DELETE FROM loose_deliveries WHERE id = ?", id)
		t.totals[totalNewDead] -= fresh
		t.totals[totalDeadLetters] -= fresh + seen
		t.totals[totalLoose] -= fresh + seen + other
		return err
	})
	if err != nil {
		return fmt.Errorf("drop delivery %d: %w", id, err)
	}
	return nil
}
