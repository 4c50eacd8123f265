package store

import (
	"context"
	"fmt"
	"time"
)

// Limits of pruning.
const (
	// pruneBatch is how many sessions one transaction looks at: few enough that a delivery
	// behind it is not delayed noticeably.
	pruneBatch = 50
	// pruneShare is the part of all sessions that one run may delete: a wrong clock or a
	// slip in the configuration then costs a twentieth, not everything.
	pruneShare = 20
	// pruneFree is how many sessions a run may delete however small the store is.
	pruneFree = 100
	// figuresKept is how long figures are kept: two windows.
	figuresKept = 48 * time.Hour
)

// Retention says how long things are kept; 0 keeps them for ever.
type Retention struct {
	Settled     time.Duration // sessions that wait for nothing, from their last observation
	DeadLetters time.Duration
	Events      time.Duration
	All         bool // lift the limit of one run
}

// Pruned says what a run has deleted.
type Pruned struct {
	Sessions    int64 `json:"sessions"`
	DeadLetters int64 `json:"dead_letters"`
	Events      int64 `json:"events"`
	Limited     bool  `json:"limited"` // more is due, the limit of one run was reached
}

// Prune deletes what is older than its retention, in small transactions. Sessions that still
// wait for an outcome are never deleted.
func (s *Store) Prune(ctx context.Context, r Retention, now time.Time) (Pruned, error) {
	var out Pruned
	if r.Settled > 0 {
		if err := s.pruneSessions(ctx, now.Add(-r.Settled), r.All, &out); err != nil {
			return out, fmt.Errorf("prune sessions: %w", err)
		}
	}
	var err error
	if r.Events > 0 {
		if out.Events, err = s.pruneEvents(ctx, now.Add(-r.Events)); err != nil {
			return out, fmt.Errorf("prune events: %w", err)
		}
	}
	if r.DeadLetters > 0 {
		if out.DeadLetters, err = s.pruneLoose(ctx, now.Add(-r.DeadLetters)); err != nil {
			return out, fmt.Errorf("prune dead letters: %w", err)
		}
		dead, err := s.pruneDead(ctx, now.Add(-r.DeadLetters))
		if out.DeadLetters += dead; err != nil {
			return out, fmt.Errorf("prune dead letters of forwards: %w", err)
		}
	}
	if err := s.pruneFigures(ctx, now.Add(-figuresKept)); err != nil {
		return out, fmt.Errorf("prune figures: %w", err)
	}
	return out, nil
}

// pruneSessions walks all sessions by number. No index is kept for it: it runs once a day.
// What is still to be forwarded of them is unpacked first, which makes it stand for itself.
func (s *Store) pruneSessions(ctx context.Context, before time.Time, all bool, out *Pruned) error {
	allowed, err := s.pruneAllowance(ctx)
	if err != nil {
		return err
	}
	for last := int64(0); ; {
		found, outboxSeq, err := s.prunable(ctx, last, before)
		if err != nil || len(found) == 0 {
			return err
		}
		last = found[len(found)-1]
		for more := true; more; {
			if more, err = s.unpackTo(ctx, outboxSeq); err != nil {
				return err
			}
		}
		if !all && out.Sessions+int64(len(found)) > allowed {
			out.Limited = true
			if found = found[:max(0, allowed-out.Sessions)]; len(found) == 0 {
				return nil
			}
		}
		n, err := s.deleteSessions(ctx, found, before)
		out.Sessions += n
		if err != nil || out.Limited {
			return err
		}
	}
}

func (s *Store) pruneAllowance(ctx context.Context) (int64, error) {
	var n int64
	err := s.reader.QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM totals WHERE total BETWEEN 1 AND 5").Scan(&n)
	return max(n/pruneShare, pruneFree), translate(err)
}

// restsSQL selects the sessions that wait for nothing; 2 is flagAgain.
const restsSQL = "next_poll_at_ms IS NULL AND state IN (3, 4, 5) AND flags & 2 = 0"

// prunable lists the numbers of the next sessions that may be deleted, and says which is the
// newest event of them that went into the outbox.
func (s *Store) prunable(ctx context.Context, after int64, before time.Time) (ids []int64, outboxSeq int64, err error) {
	rows, err := s.reader.QueryContext(ctx, "SELECT id, coalesce(outbox_seq, 0) FROM sessions WHERE id > ? AND last_observed_at_ms < ? AND "+
		restsSQL+" ORDER BY id LIMIT ?", after, before.UnixMilli(), pruneBatch)
	if err != nil {
		return nil, 0, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, seq int64
		if err := rows.Scan(&id, &seq); err != nil {
			return nil, 0, translate(err)
		}
		ids, outboxSeq = append(ids, id), max(outboxSeq, seq)
	}
	return ids, outboxSeq, translate(rows.Err())
}

// packedSQL tells whether a pack of the outbox may need a session; what a transaction packs is
// written at its end, and has sequences from its first on.
const packedSQL = "coalesce(outbox_seq, 0) >= min(?, (SELECT coalesce(min(seq), 9223372036854775807) FROM outbox_packs))"

// deleteSessions deletes sessions with their records, unless something was heard of them or
// packed since they were picked.
func (s *Store) deleteSessions(ctx context.Context, ids []int64, before time.Time) (int64, error) {
	var n int64
	err := s.queue.do(ctx, func(t *txn) error {
		n = 0
		for _, id := range ids {
			found, err := t.rows("SELECT "+rowColumns+" FROM sessions WHERE id = ? AND last_observed_at_ms < ? AND "+restsSQL+
				" AND NOT "+packedSQL, id, before.UnixMilli(), t.firstEvent)
			if err != nil {
				return err
			}
			for _, r := range found {
				if err := t.deleteSession(r); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err // n may still be written to, should ctx have ended
	}
	return n, nil
}

func (t *txn) deleteSession(r *row) error {
	for id := r.head; id != 0; {
		if err := t.lookup("DELETE FROM records WHERE id = ? RETURNING coalesce(prev, 0)", id).Scan(&id); err != nil {
			return fmt.Errorf("delete the records of session %d: %w", r.id, err)
		}
	}
	t.recount(r.totals(), nil)
	return t.exec("DELETE FROM sessions WHERE id = ?", r.id)
}

// pruneEventsSQL looks at the oldest events only, however many there are, and deletes those
// before the first that is to be kept.
const pruneEventsSQL = `WITH oldest AS MATERIALIZED (SELECT seq, at_ms FROM events ORDER BY seq LIMIT ?2)
	DELETE FROM events WHERE seq IN (SELECT seq FROM oldest WHERE
		seq < coalesce((SELECT min(seq) FROM oldest WHERE at_ms >= ?1), 9223372036854775807) AND seq < ?3)`

// pruneEvents deletes events from the front only, so that what is kept has no gaps, and
// remembers the newest sequence, should all be deleted. What is still to be forwarded stays,
// and so does what came after it.
func (s *Store) pruneEvents(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := s.queue.do(ctx, func(t *txn) error {
			if err := t.exec(`INSERT INTO meta VALUES ('last_seq', ?)
				ON CONFLICT DO UPDATE SET value = excluded.value`, fmt.Sprint(t.q.nextEvent-1)); err != nil {
				return err
			}
			pending, err := t.oldestPending()
			if err != nil {
				return err
			}
			n, err = t.execCount(pruneEventsSQL, before.UnixMilli(), pruneBatch*10, pending)
			return err
		})
		if err != nil {
			return total, err // n may still be written to, should ctx have ended
		}
		if total += n; n < pruneBatch*10 {
			return total, nil
		}
	}
}

func (s *Store) pruneLoose(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		var dead, fresh, other int64
		err := s.queue.do(ctx, func(t *txn) error {
			var err error
			const pick = " IN (SELECT id FROM loose_deliveries WHERE at_ms < ? AND reason IS "
			if fresh, err = t.execCount("DELETE FROM loose_deliveries WHERE id"+pick+"NOT NULL AND acked_at_ms IS NULL ORDER BY id LIMIT ?)",
				before.UnixMilli(), pruneBatch); err != nil {
				return err
			}
			if dead, err = t.execCount("DELETE FROM loose_deliveries WHERE id"+pick+"NOT NULL AND acked_at_ms IS NOT NULL ORDER BY id LIMIT ?)",
				before.UnixMilli(), pruneBatch); err != nil {
				return err
			}
			if other, err = t.execCount("DELETE FROM loose_deliveries WHERE id"+pick+"NULL ORDER BY id LIMIT ?)",
				before.UnixMilli(), pruneBatch); err != nil {
				return err
			}
			t.totals[totalNewDead] -= fresh
			t.totals[totalDeadLetters] -= fresh + dead
			t.totals[totalLoose] -= fresh + dead + other
			return nil
		})
		if err != nil {
			return total, err // they may still be written to, should ctx have ended
		}
		if total += fresh + dead + other; max(fresh, dead, other) < pruneBatch {
			return total, nil
		}
	}
}

func (s *Store) pruneFigures(ctx context.Context, before time.Time) error {
	for {
		var n int64
		err := s.queue.do(ctx, func(t *txn) error {
			var err error
			n, err = t.execCount(`DELETE FROM figures WHERE (slot, figure) IN
				(SELECT slot, figure FROM figures WHERE slot < ? ORDER BY slot LIMIT ?)`, slotOf(before), pruneBatch*10)
			return err
		})
		if err != nil || n < pruneBatch*10 {
			return err
		}
	}
}
