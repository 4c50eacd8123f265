package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// View is a session as readers see it.
type View struct {
	ID         string
	Account    string
	JobID      string
	Metadata   string // canonical JSON, or empty
	Session    verdict.Session
	State      verdict.State // at the time of reading
	Attempts   int
	NextPollAt time.Time
	Route      string // what answered for it last
	Erased     bool
	Acked      bool    // a person has seen its conflict or that it is missing
	Entries    []Entry // its whole history, the oldest first

	cursor int64
}

// Entry is one record of a session's history.
type Entry struct {
	Record      int64
	Kind        string // "webhook", "poll", "submitted", "expected", "withdrawn", "gave_up", "attempt", "acked", "erased", "filled"
	At          time.Time
	Observation *verdict.Observation
	Mark        *verdict.Mark
	Redelivered int64
	Status      int    // HTTP status of an attempt
	Word        string // conclusion of an attempt; what was acknowledged or filled
	Label       string
	Route       string
	By          int // user id of a withdrawal, acknowledgement or erasure, -1 if unknown
	Digest      []byte
	Body        []byte // only if asked for, nil if erased
}

func (rec *record) entry() Entry {
	e := Entry{Record: rec.id, At: rec.at, Observation: rec.obs, Mark: rec.mark, Word: rec.word,
		Label: rec.label, Route: rec.route, Digest: rec.digest, Body: rec.body}
	switch rec.kind {
	case kindExpected:
		e.Kind = "expected"
	case kindWithdrawn:
		e.Kind, e.By = "withdrawn", int(rec.n)
	case kindGaveUp:
		e.Kind = "gave_up"
	case kindAttempt:
		e.Kind, e.Status = "attempt", int(rec.n)
	case kindAcked:
		e.Kind, e.By = "acked", int(rec.n)
	case kindErased:
		e.Kind, e.By = "erased", int(rec.n)
	case kindFilled:
		e.Kind = "filled"
	default:
		e.Kind, e.Redelivered = string(sourceOf(rec.kind)), rec.n
	}
	return e
}

// Accounts lists the accounts in which a session id is known.
func (s *Store) Accounts(ctx context.Context, id string) ([]string, error) {
	rows, err := s.reader.QueryContext(ctx,
		"SELECT account FROM sessions WHERE session_id = ? ORDER BY account", packID(id))
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var account int64
		if err := rows.Scan(&account); err != nil {
			return nil, translate(err)
		}
		list = append(list, s.accounts.text(account))
	}
	return list, translate(rows.Err())
}

// Get reads a session with its history, and the bodies of its observations if asked. An
// empty account means: the only one that knows the id. Errors: ErrNotFound, *Ambiguous.
func (s *Store) Get(ctx context.Context, account, id string, bodies bool) (View, error) {
	if account == "" {
		list, err := s.Accounts(ctx, id)
		switch {
		case err != nil:
			return View{}, fmt.Errorf("read session %s: %w", id, err)
		case len(list) > 1:
			return View{}, &Ambiguous{list}
		case len(list) == 1:
			account = list[0]
		}
	}
	number, ok := s.accounts.id(account)
	if !ok {
		return View{}, fmt.Errorf("session %s: %w", id, ErrNotFound)
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return View{}, translate(err)
	}
	defer tx.Rollback()
	r, err := s.scanRow(tx.QueryRowContext(ctx,
		"SELECT "+rowColumns+" FROM sessions WHERE session_id = ? AND account = ?", packID(id), number))
	if errors.Is(err, sql.ErrNoRows) {
		return View{}, fmt.Errorf("session %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return View{}, fmt.Errorf("read session %s: %w", id, translate(err))
	}
	return s.view(ctx, tx, r, bodies)
}

// view folds a session from its records.
func (s *Store) view(ctx context.Context, tx *sql.Tx, r *row, bodies bool) (View, error) {
	recs, err := s.chain(func(id int64) scanner {
		return tx.QueryRowContext(ctx, "SELECT "+recordColumns+" FROM records WHERE id = ?", id)
	}, r)
	if err != nil {
		return View{}, translate(err)
	}
	for i := range recs {
		if bodies && recs[i].obs != nil {
			row := tx.QueryRowContext(ctx, "SELECT body FROM records WHERE id = ?", recs[i].id)
			if err := row.Scan(&recs[i].body); err != nil {
				return View{}, translate(err)
			}
		}
	}
	return s.viewOf(r, verdict.Fold(evidence(recs)), recs, s.now()), nil
}

// viewOf is a session as readers see it at a time, from its row, its fold and its records.
func (s *Store) viewOf(r *row, session verdict.Session, recs []record, now time.Time) View {
	v := View{ID: r.sessionID, Account: r.name, JobID: r.jobID, Metadata: r.metadata,
		Session: session, State: session.StateAt(now), Attempts: int(r.attempts), NextPollAt: at(r.nextPoll),
		Route: s.names.text(r.route), Erased: r.flags&flagErased != 0,
		Acked: r.flags&(flagMissingAcked|flagConflictAcked) != 0, cursor: r.id}
	for i := range recs {
		v.Entries = append(v.Entries, recs[i].entry())
	}
	return v
}
