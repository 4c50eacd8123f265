package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// outboxSchema is the first schema with an outbox. A file of an older one can still be read.
const outboxSchema = 2

// packedApart is the first schema in which a forward's count leaves out what is packed.
const packedApart = 3

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// hasOutbox reports whether the file has an outbox: one that is only read is not migrated.
func hasOutbox(ctx context.Context, tx *sql.Tx) (bool, error) {
	var v int
	err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v)
	return v >= outboxSchema, err
}

// loadForwards reads the names of the forwards.
func (s *Store) loadForwards(ctx context.Context, conn *sql.Conn) error {
	s.forwards = newNames()
	have, err := userVersion(ctx, conn)
	if err != nil || have < outboxSchema {
		return err
	}
	fresh, err := readNames(ctx, conn, "SELECT name, id FROM forwards")
	if err != nil {
		return fmt.Errorf("read the names of the forwards: %w", translate(err))
	}
	s.forwards.learn(fresh)
	if have < packedApart {
		return nil // all that is pending is counted by its forward
	}
	packs, err := readPacks(ctx, conn, 0)
	if err != nil {
		return fmt.Errorf("count what is packed: %w", translate(err))
	}
	for p := range packs {
		if p.err != nil && severityOf(p.err) == harmless {
			return nil // whoever unpacks it says so; deliveries need not wait for that
		}
		if p.err != nil {
			return fmt.Errorf("count what is packed: %w", translate(p.err))
		}
		for _, e := range p.events {
			s.packed.add(e.forwards, 1)
		}
	}
	return nil
}

// notThere turns ErrNotFound into nothing.
func notThere(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// pruneDead deletes dead letters of forwards that died before a time.
func (s *Store) pruneDead(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		var n int
		err := s.queue.do(ctx, func(t *txn) error {
			ids, err := t.numbers("SELECT id FROM forwards WHERE dead > 0 ORDER BY id")
			if err != nil {
				return err
			}
			n = 0
			for _, id := range ids {
				seqs, err := t.numbers("SELECT seq FROM outbox_dead WHERE forward = ? AND died_ms < ? ORDER BY seq LIMIT ?",
					id, before.UnixMilli(), pruneBatch)
				if err != nil {
					return err
				}
				for _, seq := range seqs {
					if err := t.skip(id, seq, true); err != nil {
						return err
					}
				}
				n = max(n, len(seqs))
				total += int64(len(seqs))
			}
			return nil
		})
		if err != nil || n < pruneBatch {
			return total, err
		}
	}
}

// oldestPending is the first sequence that some forward has pending: events from there on are
// not pruned.
func (t *txn) oldestPending() (int64, error) {
	list, err := t.numbers(`SELECT coalesce(min(seq), 9223372036854775807) FROM (
		SELECT (SELECT min(seq) FROM outbox AS o WHERE o.forward = f.id) AS seq FROM forwards AS f WHERE f.pending > 0
		UNION ALL SELECT min(seq) FROM outbox_packs)`)
	if err != nil {
		return 0, err
	}
	return list[0], nil
}

// verifyOutbox holds the counts of the forwards against what they count, and looks for events
// that would never be sent.
func verifyOutbox(ctx context.Context, tx *sql.Tx) ([]string, error) {
	if ok, err := hasOutbox(ctx, tx); err != nil || !ok {
		return nil, err
	}
	wrong, err := verifyPacks(ctx, tx)
	if err != nil {
		return nil, err
	}
	var have int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return nil, err
	}
	for _, c := range []struct{ wrong, query string }{
		{"forward %d: its counts are wrong", fmt.Sprintf(`SELECT id FROM forwards AS f WHERE
			%t AND pending <> (SELECT count(*) FROM outbox WHERE forward = f.id) OR
			dead <> (SELECT count(*) FROM outbox_dead WHERE forward = f.id) OR
			new_dead <> (SELECT count(*) FROM outbox_dead WHERE forward = f.id AND acked_at_ms IS NULL) LIMIT 1`, have >= packedApart)},
		{"event %d is pending for a forward that is not there", "SELECT seq FROM outbox WHERE forward NOT IN (SELECT id FROM forwards) LIMIT 1"},
		{"event %d is pending, but what is to be sent is not there", "SELECT seq FROM outbox WHERE seq NOT IN (SELECT seq FROM payloads) LIMIT 1"},
		{"event %d is a dead letter, but what was to be sent is not there", "SELECT seq FROM outbox_dead WHERE seq NOT IN (SELECT seq FROM payloads) LIMIT 1"},
		{"event %d is neither pending nor a dead letter, but what was to be sent is still there", `SELECT seq FROM payloads WHERE
			seq NOT IN (SELECT seq FROM outbox) AND seq NOT IN (SELECT seq FROM outbox_dead) LIMIT 1`},
		{"session %d: not exactly one of its pending events has its turn", "SELECT session FROM outbox GROUP BY session, forward HAVING count(next_at_ms) <> 1 LIMIT 1"},
	} {
		var found sql.NullInt64
		if err := tx.QueryRowContext(ctx, "SELECT ("+c.query+")").Scan(&found); err != nil {
			return nil, err
		}
		if found.Valid {
			wrong = append(wrong, fmt.Sprintf(c.wrong, found.Int64))
		}
	}
	return wrong, nil
}

// verifyPacks looks for what packed events are made from.
func verifyPacks(ctx context.Context, tx *sql.Tx) ([]string, error) {
	packs, err := readPacks(ctx, tx, 0)
	if err != nil {
		return []string{err.Error()}, nil
	}
	for p := range packs {
		if p.err != nil {
			return []string{p.err.Error()}, nil
		}
		for i := range p.events {
			if gone, err := goneThen(ctx, tx, &p.events[i]); err != nil {
				return nil, err
			} else if gone {
				return []string{fmt.Sprintf("event %d is packed, but what it is made from is not there", p.events[i].seq)}, nil
			}
		}
	}
	return nil, nil
}

// goneThen reports whether the session of a packed event is not there as it was.
func goneThen(ctx context.Context, tx *sql.Tx, p *packed) (bool, error) {
	if p.then == nil {
		return false, nil
	}
	var found bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM records WHERE id = ?1 AND session = ?2) AND
		EXISTS (SELECT 1 FROM sessions WHERE id = ?2 AND outbox_seq >= ?3)`, p.then.head, p.session, p.seq).Scan(&found)
	return !found, err
}
