package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Event is a change with its place in the store's sequence.
type Event struct {
	Seq       int64
	At        time.Time
	Account   string
	SessionID string
	Change    verdict.Change
	State     verdict.State
	Outcome   verdict.Outcome
	FirstBy   verdict.Source
	Conflict  bool
	// Metadata is that of the session now, canonical JSON or empty: what was erased does not
	// come back with an old event.
	Metadata string
}

// EventsMax is the largest page of events.
const EventsMax = 1000

// Gone says which events are still kept, where a cursor cannot be continued.
type Gone struct {
	Oldest int64 // the oldest sequence kept, or the next one if none is
	Last   int64 // the newest sequence ever given
}

func (e *Gone) Error() string {
	return fmt.Sprintf("the cursor cannot be continued: events %d to %d are kept", e.Oldest, e.Last)
}

func (e *Gone) Unwrap() error { return ErrGone }

// Events reads up to limit events after a sequence, in order and without gaps; after < 0
// means from the oldest kept. It fails with *Gone where events in between were pruned or
// the sequence has never been given.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	if limit <= 0 || limit > EventsMax {
		limit = EventsMax
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer tx.Rollback()
	oldest, last, err := eventSpan(ctx, tx)
	if err != nil {
		return nil, translate(err)
	}
	if after < 0 {
		after = oldest - 1
	}
	if after < oldest-1 || after > last {
		return nil, &Gone{Oldest: oldest, Last: last}
	}
	rows, err := tx.QueryContext(ctx, `SELECT seq, at_ms, account, session_id, change, state,
		coalesce(outcome, 0), coalesce(first_by, 0), conflict, coalesce((SELECT metadata FROM sessions
			WHERE sessions.session_id = events.session_id AND sessions.account = events.account), '')
		FROM events WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	list := make([]Event, 0, 16)
	for rows.Next() {
		e, err := s.scanEvent(rows)
		if err != nil {
			return nil, fmt.Errorf("read event after %d: %w", after, translate(err))
		}
		list = append(list, e)
	}
	return list, translate(rows.Err())
}

// EventSpan reads the oldest sequence kept, or the next one if none is, and the newest
// ever given.
func (s *Store) EventSpan(ctx context.Context) (oldest, last int64, err error) {
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, translate(err)
	}
	defer tx.Rollback()
	oldest, last, err = eventSpan(ctx, tx)
	return oldest, last, translate(err)
}

// eventSpan reads the oldest sequence kept and the newest ever given.
func eventSpan(ctx context.Context, tx *sql.Tx) (oldest, last int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT min(seq) FROM events), 0), max(
		coalesce((SELECT max(seq) FROM events), 0),
		coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'last_seq'), 0))`).Scan(&oldest, &last)
	if oldest == 0 {
		oldest = last + 1
	}
	return oldest, last, err
}

func (s *Store) scanEvent(rows interface{ Scan(...any) error }) (Event, error) {
	var e Event
	var ms, account, change, state, outcome, firstBy int64
	var id any
	err := rows.Scan(&e.Seq, &ms, &account, &id, &change, &state, &outcome, &firstBy, &e.Conflict, &e.Metadata)
	if err != nil {
		return e, err
	}
	e.At, e.Account = at(ms), s.accounts.text(account)
	if e.SessionID, err = unpackID(id); err != nil {
		return e, err
	}
	if e.Change, err = word(verdict.Changes(), change); err != nil {
		return e, err
	}
	if e.State, err = word(verdict.States(), state); err != nil {
		return e, err
	}
	if e.Outcome, err = word(verdict.Outcomes(), outcome); err != nil {
		return e, err
	}
	e.FirstBy, err = word(verdict.Sources(), firstBy)
	return e, err
}
