package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
)

// UnpackOutbox unpacks the oldest packs, until about packMax events were in them, and reports
// whether there were any. Packs keep a delivery cheap while nothing comes through to a target;
// whoever sends unpacks what it needs next.
func (s *Store) UnpackOutbox(ctx context.Context) (bool, error) {
	return s.unpackTo(ctx, math.MaxInt64)
}

// unpackTo is UnpackOutbox for packs that begin up to a sequence.
func (s *Store) unpackTo(ctx context.Context, last int64) (bool, error) {
	var found bool
	err := s.queue.do(ctx, func(t *txn) error {
		found = false
		for left := packMax; left > 0; {
			n, err := t.unpackOldest(last)
			if err != nil {
				return err
			}
			if n == 0 {
				return nil
			}
			left -= n
			found = true
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("unpack the outbox: %w", err) // found may still be written to, should ctx have ended
	}
	return found, nil
}

// unpackOldest says how many events the oldest pack has held; 0 if there was none, or it begins
// after last.
func (t *txn) unpackOldest(last int64) (int, error) {
	var store string
	var data []byte
	err := t.lookup("DELETE FROM outbox_packs WHERE seq = (SELECT min(seq) FROM outbox_packs) AND seq <= ? RETURNING store, data",
		last).Scan(&store, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	list, err := unpack(data)
	if err != nil {
		return 0, err
	}
	for i := range list {
		if err := t.unpackEvent(store, &list[i]); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// payloadSQL puts the metadata of the session, if it is still there, into what is sent.
const payloadSQL = `INSERT INTO payloads (seq, store, at_ms, account, session_id, change, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6,
	CASE WHEN ?8 THEN coalesce((SELECT json_set(?7, '$.data.session.metadata', json(metadata), '$.data.event.metadata', json(metadata))
		FROM sessions WHERE session_id = ?5 AND account = ?4 AND metadata IS NOT NULL), ?7) ELSE ?7 END`

func (t *txn) unpackEvent(store string, p *packed) error {
	body := p.body
	if p.then != nil {
		var err error
		if body, err = t.render(store, p); err != nil {
			return err
		}
	}
	if err := t.exec(payloadSQL, p.seq, store, p.at, p.account, packID(p.sessionID), p.change, string(body), p.metadata); err != nil {
		return err
	}
	t.packed.add(p.forwards, -1)
	for _, f := range p.forwards {
		t.forwardCounts(f).pending++
		if err := t.enqueue(f, p.seq, p.session, p.at, false); err != nil {
			return err
		}
	}
	return nil
}

// unpackAll unpacks what was packed when it begins, for people who look for an event there.
func (s *Store) unpackAll(ctx context.Context) error {
	for n := s.countPacks(ctx); n > 0; n-- {
		if found, err := s.UnpackOutbox(ctx); err != nil || !found {
			return err
		}
	}
	return nil
}

func (s *Store) countPacks(ctx context.Context) int64 {
	var n int64
	// Without the count nothing is unpacked, and the caller finds nothing.
	_ = s.reader.QueryRowContext(ctx, "SELECT count(*) FROM outbox_packs").Scan(&n)
	return n
}

// readPack is a pack read for looking at it.
type readPack struct {
	store  string
	events []packed
	err    error
}

// readPacks walks the packs that may hold events after a sequence, the oldest first. The walk
// must be ended before the transaction is used for anything else.
func readPacks(ctx context.Context, tx querier, after int64) (iter.Seq[readPack], error) {
	rows, err := tx.QueryContext(ctx, `SELECT store, data FROM outbox_packs WHERE seq >=
		coalesce((SELECT max(seq) FROM outbox_packs WHERE seq <= ?), 0) ORDER BY seq`, after+1)
	if err != nil {
		return nil, err
	}
	return func(yield func(readPack) bool) {
		defer rows.Close()
		for rows.Next() {
			var p readPack
			var data []byte
			if p.err = rows.Scan(&p.store, &data); p.err == nil {
				p.events, p.err = unpack(data)
			}
			if !yield(p) || p.err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(readPack{err: err})
		}
	}, nil
}
