package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
	if len(t.packs) > 0 { // not yet written
		return min(list[0], t.packs[0].seq), nil
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

// verifyBatch is how many packed events are read before they are looked at.
const verifyBatch = 1000

// verifyPacks looks for what packed events are made from.
func verifyPacks(ctx context.Context, tx *sql.Tx) ([]string, error) {
	var wrong []string
	for after := int64(0); len(wrong) == 0; {
		packs, err := readPacks(ctx, tx, after)
		if err != nil {
			return nil, err
		}
		var list []packed
		for p := range packs {
			if errors.Is(p.err, ErrCorrupt) {
				wrong = append(wrong, fmt.Sprintf("the events from %d on are packed, and the pack cannot be read", p.seq))
				continue
			}
			if p.err != nil {
				return nil, p.err
			}
			list = append(list, slices.DeleteFunc(p.events, func(e packed) bool { return e.seq <= after })...)
			if len(list) >= verifyBatch {
				break
			}
		}
		if len(list) == 0 {
			return wrong, nil
		}
		for i := range list {
			if gone, err := goneThen(ctx, tx, &list[i]); err != nil {
				return nil, err
			} else if gone {
				return append(wrong, fmt.Sprintf("event %d is packed, but what it is made from is not there", list[i].seq)), nil
			}
		}
		after = list[len(list)-1].seq
	}
	return wrong, nil
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
