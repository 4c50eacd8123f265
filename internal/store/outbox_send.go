package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Turn is an event that has its turn to be sent to a forward.
type Turn struct {
	Seq       int64
	NextAt    time.Time
	Since     time.Time // when it got its turn
	RefusedAt time.Time // since when it is answered with a 4xx that means no; zero if it is not
	Attempts  int
	Late      bool // it was a dead letter before
}

// DueOutbox lists events whose time has come to be sent to a forward, the longest due first,
// at most limit, and says when the next one after now comes (zero: none). One that is planned
// for later than horizon is due as well: the clock was ahead when that was written.
func (s *Store) DueOutbox(ctx context.Context, forward string, now time.Time, horizon time.Duration, limit int) ([]Turn, time.Time, error) {
	id, ok := s.forwards.id(forward)
	if !ok {
		return nil, time.Time{}, nil
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, time.Time{}, translate(err)
	}
	defer tx.Rollback()
	const columns = `SELECT seq, next_at_ms, turn_ms, coalesce(refused_ms, 0), attempts, late
		FROM outbox INDEXED BY outbox_due WHERE forward = ? AND next_at_ms `
	list, err := turns(tx.QueryContext(ctx, columns+"<= ? ORDER BY next_at_ms LIMIT ?", id, millis(now), limit))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the outbox of %s: %w", forward, translate(err))
	}
	if len(list) < limit {
		more, err := turns(tx.QueryContext(ctx, columns+"> ? ORDER BY next_at_ms DESC LIMIT ?", id, millis(now.Add(horizon)), limit-len(list)))
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read the outbox of %s: %w", forward, translate(err))
		}
		list = append(list, more...)
	}
	var next sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT min(next_at_ms) FROM outbox INDEXED BY outbox_due WHERE forward = ? AND next_at_ms > ?`,
		id, millis(now)).Scan(&next)
	return list, at(next.Int64), translate(err)
}

func turns(rows *sql.Rows, err error) ([]Turn, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Turn
	for rows.Next() {
		var t Turn
		var next, since, refused int64
		if err := rows.Scan(&t.Seq, &next, &since, &refused, &t.Attempts, &t.Late); err != nil {
			return nil, err
		}
		t.NextAt, t.Since, t.RefusedAt = at(next), at(since), at(refused)
		list = append(list, t)
	}
	return list, rows.Err()
}

// Outgoing is what is sent: the id that stays the same in each attempt, and the JSON.
type Outgoing struct {
	ID   string // "evt_<store>_<seq>"
	Body []byte
}

// Outgoing reads what is sent about an event, or ErrNotFound where it is not pending any more.
func (s *Store) Outgoing(ctx context.Context, forward string, seq int64) (Outgoing, error) {
	id, _ := s.forwards.id(forward)
	var store string
	var out Outgoing
	err := s.reader.QueryRowContext(ctx, `SELECT p.store, p.body FROM outbox AS o JOIN payloads AS p ON p.seq = o.seq
		WHERE o.forward = ? AND o.seq = ?`, id, seq).Scan(&store, &out.Body)
	if errors.Is(err, sql.ErrNoRows) {
		return out, ErrNotFound
	}
	if err != nil {
		return out, fmt.Errorf("read event %d for %s: %w", seq, forward, translate(err))
	}
	out.ID = eventID(store, seq)
	return out, nil
}

func eventID(store string, seq int64) string { return fmt.Sprintf("evt_%s_%d", store, seq) }

// Sent is what came of one attempt to send an event. Exactly one of Done, Dead and NextAt
// says what follows.
type Sent struct {
	Forward   string
	Seq       int64
	At        time.Time
	Status    int    // of the answer, 0 without one
	Error     string // what went wrong
	Done      bool
	Dead      bool
	NextAt    time.Time
	RefusedAt time.Time
}

// RecordSent writes what came of attempts, all in one transaction. What is not pending any
// more is left as it is.
func (s *Store) RecordSent(ctx context.Context, list []Sent) error {
	err := s.queue.do(ctx, func(t *txn) error {
		health := map[int64]Sent{} // the latest of each forward
		for _, in := range list {
			forward, err := t.forward(in.Forward)
			if err != nil {
				return err
			}
			if err := t.recordSent(forward, in); err != nil {
				return err
			}
			health[forward] = in
		}
		for forward, in := range health {
			if err := t.recordHealth(forward, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record what was sent: %w", err)
	}
	return nil
}

func (t *txn) recordSent(forward int64, in Sent) error {
	now := t.q.s.now()
	switch {
	case in.Done:
		found, err := t.leave(forward, in.Seq, now)
		if err == nil && !found {
			// It was given up while it was on its way.
			_, err = t.removeDead(forward, in.Seq)
		}
		if err != nil {
			return err
		}
		return t.dropPayload(in.Seq)
	case in.Dead:
		return t.bury(forward, in.Seq, in.Status, in.Error, 1, now)
	}
	return t.exec(`UPDATE outbox SET attempts = attempts + 1, next_at_ms = ?, turn_ms = min(turn_ms, ?), refused_ms = ?,
		status = ?, error = ? WHERE forward = ? AND seq = ? AND next_at_ms IS NOT NULL`,
		millis(in.NextAt), millis(now), null(millis(in.RefusedAt)), in.Status, nullText(in.Error), forward, in.Seq)
}

// recordHealth keeps since when a forward fails, and how.
func (t *txn) recordHealth(forward int64, in Sent) error {
	if in.Done {
		return t.exec("UPDATE forwards SET last_error = NULL, failing_since_ms = NULL WHERE id = ? AND failing_since_ms IS NOT NULL", forward)
	}
	return t.exec(`UPDATE forwards SET last_error = ?1, failing_since_ms = coalesce(failing_since_ms, ?2)
		WHERE id = ?3 AND (last_error IS NOT ?1 OR failing_since_ms IS NULL)`, in.Error, millis(in.At), forward)
}

// bury makes a pending event a dead letter.
func (t *txn) bury(forward, seq int64, status int, why string, attempts int64, now time.Time) error {
	n, err := t.execCount(`INSERT INTO outbox_dead (forward, seq, session, died_ms, attempts, status, error)
		SELECT forward, seq, session, ?, attempts + ?, ?, ? FROM outbox WHERE forward = ? AND seq = ?`,
		millis(now), attempts, status, nullText(why), forward, seq)
	if err != nil || n == 0 {
		return err
	}
	c := t.forwardCounts(forward)
	c.dead++
	c.newDead++
	_, err = t.leave(forward, seq, now)
	return err
}

// giveUpBatch is how many events one transaction looks at for giving up.
const giveUpBatch = 200

// GiveUpOutbox makes dead letters of those events that have had their turn since before a
// time, because nothing comes through to the forward. It looks at a bounded number of events
// after a sequence, and returns where to go on: 0 after the last.
func (s *Store) GiveUpOutbox(ctx context.Context, forward string, after int64, before time.Time, why string) (next, buried int64, err error) {
	id, ok := s.forwards.id(forward)
	if !ok {
		return 0, 0, nil
	}
	err = s.queue.do(ctx, func(t *txn) error {
		next, buried = 0, 0
		rows, err := t.query("SELECT seq, coalesce(turn_ms, 0) FROM outbox WHERE forward = ? AND seq > ? ORDER BY seq LIMIT ?", id, after, giveUpBatch)
		if err != nil {
			return err
		}
		var old []int64
		n := 0
		for rows.Next() {
			var seq, turn int64
			if err := rows.Scan(&seq, &turn); err != nil {
				rows.Close()
				return err
			}
			n, next = n+1, seq
			if turn != 0 && turn < millis(before) {
				old = append(old, seq)
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		if n < giveUpBatch {
			next = 0
		}
		for _, seq := range old {
			if err := t.bury(id, seq, 0, why, 0, t.q.s.now()); err != nil {
				return err
			}
		}
		buried = int64(len(old))
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("give up what cannot be sent to %s: %w", forward, err)
	}
	return next, buried, nil
}
