package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Forward says which changes are forwarded to a target.
type Forward struct {
	Name    string
	Changes []verdict.Change
}

// Forwarding is what fills the outbox: for each event the forwards that want its change.
type Forwarding struct {
	Forwards []Forward
	// Render makes the JSON that is sent about an event, from the session as it was then. It
	// runs when the turn of the event comes near, inside a transaction, which may have to be
	// done again: it must not block. What was committed stays. Its object begins with "type",
	// and its metadata are null: they are put in later. It is needed also where Forwards is
	// empty, for what was written before.
	Render func(store string, e Event, v View) []byte
}

// wanted are the names of the forwards that want a change; f may be nil.
func (f *Forwarding) wanted(c verdict.Change) []string {
	if f == nil {
		return nil
	}
	var names []string
	for _, w := range f.Forwards {
		if slices.Contains(w.Changes, c) {
			names = append(names, w.Name)
		}
	}
	return names
}

// SetForwarding replaces what fills the outbox, for the events from now on. What is pending
// stays as it is.
func (s *Store) SetForwarding(f Forwarding) { s.forwarding.Store(&f) }

// signal tells whoever waits that something has happened since the channel was taken. The
// zero signal is ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// OutboxChanged returns a channel that is closed by the next commit after which an event may
// have its turn that had not before. Take it before reading the outbox.
func (s *Store) OutboxChanged() <-chan struct{} { return s.outbox.next() }

// forwardCounts are changes of a forward's counts within a transaction.
type forwardCounts struct{ pending, dead, newDead int64 }

func (t *txn) forwardCounts(forward int64) *forwardCounts {
	if t.outbox == nil {
		t.outbox = map[int64]*forwardCounts{}
	}
	c := t.outbox[forward]
	if c == nil {
		c = &forwardCounts{}
		t.outbox[forward] = c
	}
	return c
}

// flushForwards writes the gathered events and counts.
func (t *txn) flushForwards() error {
	if err := t.writePacks(); err != nil {
		return err
	}
	for id, c := range t.outbox {
		if *c == (forwardCounts{}) {
			continue
		}
		if err := t.exec(`UPDATE forwards SET pending = pending + ?, dead = dead + ?, new_dead = new_dead + ? WHERE id = ?`,
			c.pending, c.dead, c.newDead, id); err != nil {
			return err
		}
	}
	return nil
}

// forward returns the number of a forward, writing it if it is new.
func (t *txn) forward(name string) (int64, error) {
	return t.number(t.q.s.forwards, &t.newForwards, "INSERT INTO forwards (name) VALUES (?) RETURNING id", name)
}

// forwardEvent notes an event for the outbox of each forward that wants its change.
func (t *txn) forwardEvent(f *Forwarding, seq int64, c verdict.Change, r *row, recs []record, now time.Time) error {
	names := f.wanted(c)
	if len(names) == 0 {
		return nil
	}
	out := packed{seq: seq, at: millis(now), account: r.account, session: r.id, sessionID: r.sessionID,
		change: code(verdict.Changes(), c), metadata: r.metadata != "", then: momentOf(r, recs), forwards: make([]int64, 0, 4)}
	for _, name := range names {
		id, err := t.forward(name)
		if err != nil {
			return err
		}
		out.forwards = append(out.forwards, id)
	}
	t.pack(&out)
	return nil
}

// enqueueSQL gives the event its turn unless another one of its session is pending.
const enqueueSQL = `INSERT INTO outbox (forward, seq, session, queued_ms, turn_ms, next_at_ms, late)
	SELECT ?1, ?2, ?3, ?4, turn, turn, ?5 FROM (SELECT CASE WHEN EXISTS
		(SELECT 1 FROM outbox INDEXED BY outbox_session WHERE session = ?3 AND forward = ?1) THEN NULL ELSE ?4 END AS turn)`

// enqueue adds an event to a forward's outbox, in which it is counted already.
func (t *txn) enqueue(forward, seq, session, since int64, late bool) error {
	t.turned = true
	return t.exec(enqueueSQL, forward, seq, session, since, late)
}

// nextTurnSQL gives the turn to the oldest pending event of a session.
const nextTurnSQL = `UPDATE outbox SET turn_ms = ?3, next_at_ms = ?3 WHERE forward = ?1 AND seq =
	(SELECT min(seq) FROM outbox INDEXED BY outbox_session WHERE session = ?2 AND forward = ?1)`

func (t *txn) promote(forward, session int64, now time.Time) error {
	n, err := t.execCount(nextTurnSQL, forward, session, millis(now))
	t.turned = t.turned || n > 0
	return err
}

// leave takes an event out of the outbox, gives the turn to the next one of its session, and
// reports whether it was there.
func (t *txn) leave(forward, seq int64, now time.Time) (bool, error) {
	rows, err := t.query("DELETE FROM outbox WHERE forward = ? AND seq = ? RETURNING session, next_at_ms IS NOT NULL", forward, seq)
	if err != nil {
		return false, err
	}
	var session int64
	found, turn := false, false
	for rows.Next() {
		found = true
		if err := rows.Scan(&session, &turn); err != nil {
			rows.Close()
			return false, err
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil || !found {
		return false, err
	}
	t.forwardCounts(forward).pending--
	if turn {
		err = t.promote(forward, session, now)
	}
	return true, err
}

// dropPayloadSQL deletes what is sent about an event once no forward needs it any more.
// CROSS JOIN makes SQLite look by forward and sequence, which is what the primary key is for.
const dropPayloadSQL = `DELETE FROM payloads WHERE seq = ?1
	AND NOT EXISTS (SELECT 1 FROM forwards AS f CROSS JOIN outbox AS o ON o.forward = f.id AND o.seq = ?1)
	AND NOT EXISTS (SELECT 1 FROM forwards AS f CROSS JOIN outbox_dead AS d ON d.forward = f.id AND d.seq = ?1)`

func (t *txn) dropPayload(seq int64) error { return t.exec(dropPayloadSQL, seq) }

// eraseForwarded removes a session's metadata from all that is still to be sent about it, and
// from its dead letters: what is sent later says null.
func (t *txn) eraseForwarded(r *row) error {
	return t.exec(`UPDATE payloads SET body = json_set(body, '$.data.session.metadata', json('null'), '$.data.event.metadata', json('null'))
		WHERE account = ?1 AND session_id = ?2 AND seq IN (
			SELECT seq FROM outbox INDEXED BY outbox_session WHERE session = ?3 UNION ALL
			SELECT seq FROM outbox_dead INDEXED BY outbox_dead_session WHERE session = ?3)`,
		r.account, packID(r.sessionID), r.id)
}

// ForwardFigures is what the store knows of a forward.
type ForwardFigures struct {
	Name         string
	Pending      int64
	OldestAt     time.Time // when the oldest pending event was put into the outbox, about
	DeadLetters  int64
	NewDead      int64 // not acknowledged
	FailingSince time.Time
	LastError    string // empty after a success
}

// oldestSpan is how many of the first pending events are looked at for the oldest: one that
// was sent again has its old place, but is not old.
const oldestSpan = 100

// ForwardFigures reads the figures of all forwards that were ever written to, by name.
func (s *Store) ForwardFigures(ctx context.Context) ([]ForwardFigures, error) {
	// Taken first: what is unpacked meanwhile is counted twice for a moment, and never not at all.
	packed := s.packed.all()
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer tx.Rollback()
	if ok, err := hasOutbox(ctx, tx); err != nil || !ok {
		return nil, translate(err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, name, pending, dead, new_dead, coalesce(failing_since_ms, 0), coalesce(last_error, ''),
		coalesce((SELECT min(queued_ms) FROM (SELECT queued_ms FROM outbox AS o WHERE o.forward = f.id ORDER BY seq LIMIT ?)),
			(SELECT at_ms FROM outbox_packs ORDER BY seq LIMIT 1), 0)
		FROM forwards AS f ORDER BY name`, oldestSpan)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var list []ForwardFigures
	for rows.Next() {
		var f ForwardFigures
		var id, failing, oldest int64
		if err := rows.Scan(&id, &f.Name, &f.Pending, &f.DeadLetters, &f.NewDead, &failing, &f.LastError, &oldest); err != nil {
			return nil, translate(err)
		}
		f.FailingSince = at(failing)
		if f.Pending += packed[id]; f.Pending > 0 {
			f.OldestAt = at(oldest)
		}
		list = append(list, f)
	}
	return list, translate(rows.Err())
}
