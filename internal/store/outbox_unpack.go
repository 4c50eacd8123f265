package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

// unpackRecords is how many records of sessions are read before an unpacking ends, a few
// milliseconds: a session that was asked about without end has thousands.
const unpackRecords = 500

// UnpackOutbox unpacks the oldest packs, until about packMax events were in them, and reports
// whether there were any. Packs keep a delivery cheap; whoever sends unpacks what comes next.
func (s *Store) UnpackOutbox(ctx context.Context) (bool, error) {
	return s.unpackTo(ctx, math.MaxInt64)
}

// unpackTo is UnpackOutbox for packs that begin up to a sequence.
func (s *Store) unpackTo(ctx context.Context, last int64) (bool, error) {
	var found bool
	err := s.queue.do(ctx, func(t *txn) error {
		found = false
		u := unpacking{txn: t, chains: map[int64][]record{}}
		for u.events < packMax && u.records < unpackRecords {
			ok, err := u.oldest(last)
			if err != nil || !ok {
				return err
			}
			found = true
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("unpack the outbox: %w", err) // found may still be written to, should ctx have ended
	}
	return found, nil
}

// unpacking is the work of one transaction that unpacks.
type unpacking struct {
	*txn
	events, records int
	chains          map[int64][]record // of the sessions met, as far as they were read
}

// oldest unpacks the oldest pack that begins up to a sequence, or the first events of it, and
// reports whether there was one. Nothing is written before all is read: an error that has
// nothing to do with the file troubles no other operation.
func (u *unpacking) oldest(last int64) (bool, error) {
	var seq, lastSession int64
	var store string
	var data []byte
	err := u.lookup("SELECT seq, store, last_session, data FROM outbox_packs WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1",
		u.q.unreadable, last).Scan(&seq, &store, &lastSession, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	list, err := unpack(data)
	if err != nil {
		// It stays for a person: verify names it. What came after it goes on.
		u.q.unreadable = seq
		u.q.s.log.Error("events cannot be forwarded, see `moverisd db verify`", "seq", seq, "err", err)
		return true, nil
	}
	bodies := make([][]byte, 0, len(list))
	for i := range list {
		if i > 0 && u.records >= unpackRecords {
			break
		}
		body, err := u.body(store, &list[i])
		if err != nil {
			return false, err
		}
		bodies = append(bodies, body)
	}
	if err := u.exec("DELETE FROM outbox_packs WHERE seq = ?", seq); err != nil {
		return false, err
	}
	for i, body := range bodies {
		if err := u.write(store, &list[i], body); err != nil {
			return false, err
		}
	}
	u.events += len(bodies)
	return true, u.putBack(store, lastSession, list[len(bodies):])
}

// putBack packs again what there was no time for.
func (u *unpacking) putBack(store string, lastSession int64, list []packed) error {
	if len(list) == 0 {
		return nil
	}
	var data []byte
	for i := range list {
		data = list[i].append(data)
	}
	return u.exec(insertPackSQL, list[0].seq, store, list[0].at, lastSession, data)
}

// body is what is sent about a packed event.
func (u *unpacking) body(store string, p *packed) ([]byte, error) {
	if p.then == nil {
		return p.body, nil
	}
	return u.render(store, p)
}

// payloadSQL puts the metadata of the session, if it is still there, into what is sent.
const payloadSQL = `INSERT INTO payloads (seq, store, at_ms, account, session_id, change, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6,
	CASE WHEN ?8 THEN coalesce((SELECT json_set(?7, '$.data.session.metadata', json(metadata), '$.data.event.metadata', json(metadata))
		FROM sessions WHERE session_id = ?5 AND account = ?4 AND metadata IS NOT NULL), ?7) ELSE ?7 END`

// write puts an event into the outbox of its forwards.
func (u *unpacking) write(store string, p *packed, body []byte) error {
	payload := func(metadata bool) error {
		return u.exec(payloadSQL, p.seq, store, p.at, p.account, packID(p.sessionID), p.change, string(body), metadata)
	}
	err := payload(p.metadata)
	if err != nil && p.metadata && severityOf(err) == harmless {
		// The result matters more than what was announced with it.
		u.q.s.log.Error("metadata cannot be forwarded, its event is without them", "session", p.sessionID, "err", err)
		err = payload(false)
	}
	if err != nil {
		return err
	}
	u.packed.add(p.forwards, -1)
	u.turned = true
	for _, f := range p.forwards {
		u.forwardCounts(f).pending++
		if err := u.enqueue(f, p.seq, p.session, p.at, false); err != nil {
			return err
		}
	}
	return nil
}

// unpackAll unpacks what was packed when it begins, for people who look for an event there.
func (s *Store) unpackAll(ctx context.Context) error {
	var last sql.NullInt64
	if err := s.reader.QueryRowContext(ctx, "SELECT max(seq) FROM outbox_packs").Scan(&last); err != nil {
		return translate(err)
	}
	for more := last.Valid; more; {
		var err error
		if more, err = s.unpackTo(ctx, last.Int64); err != nil {
			return err
		}
	}
	return nil
}

// readPack is a pack read for looking at it; err says that what is in it cannot be read.
type readPack struct {
	seq    int64
	store  string
	events []packed
	err    error
}

// readPacks walks the packs that may hold events after a sequence, the oldest first. The walk
// must be ended before the transaction is used for anything else. The first value that a walk
// over a damaged file ends with has an error of the database; where only what is in a pack
// cannot be read, which is ErrCorrupt, the walk goes on.
func readPacks(ctx context.Context, tx querier, after int64) (iter.Seq[readPack], error) {
	rows, err := tx.QueryContext(ctx, `SELECT seq, store, data FROM outbox_packs WHERE seq >=
		coalesce((SELECT max(seq) FROM outbox_packs WHERE seq <= ?), 0) ORDER BY seq`, after+1)
	if err != nil {
		return nil, err
	}
	return func(yield func(readPack) bool) {
		defer rows.Close()
		for rows.Next() {
			var p readPack
			var data []byte
			if p.err = rows.Scan(&p.seq, &p.store, &data); p.err != nil {
				yield(p)
				return
			}
			p.events, p.err = unpack(data)
			if !yield(p) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(readPack{err: err})
		}
	}, nil
}

// countPacked counts what is packed, when the store is opened. What cannot be read is left out:
// it must not keep a store from being opened, and whoever meets it later says so.
func (s *Store) countPacked(ctx context.Context, conn *sql.Conn) {
	have, err := userVersion(ctx, conn)
	if err != nil || have < packedApart {
		return // all that is pending is counted by its forward
	}
	packs, err := readPacks(ctx, conn, 0)
	if err != nil {
		s.log.Error("what is packed for the outbox cannot be counted", "err", err)
		return
	}
	for p := range packs {
		if p.err != nil {
			s.log.Error("what is packed for the outbox cannot be counted whole", "err", p.err)
		}
		for _, e := range p.events {
			s.packed.add(e.forwards, 1)
		}
	}
}

// thenOf cuts a chain to its records up to the newest at the time of an event, or is false where
// that is not in it.
func thenOf(recs []record, head int64) ([]record, bool) {
	i, ok := slices.BinarySearchFunc(recs, head, func(rec record, id int64) int { return cmp.Compare(rec.id, id) })
	if !ok {
		return nil, false
	}
	return recs[:i+1], true
}
