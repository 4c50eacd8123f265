package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Delivery is a delivery that told something about a session.
type Delivery struct {
	Record      int64
	Account     string
	SessionID   string
	At          time.Time
	Observation verdict.Observation
	Redelivered int64
	Body        []byte // only of a single one
}

// Deliveries lists deliveries of sessions, the newest first, with record numbers below before
// (0: from the newest), at most limit, without their bodies.
func (s *Store) Deliveries(ctx context.Context, before int64, limit int) ([]Delivery, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT "+recordColumns+` FROM records WHERE id < ? AND kind IN (1, 2)
		ORDER BY id DESC LIMIT ?`, before, limit)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var recs []record
	for rows.Next() {
		rec, err := s.scanRecord(rows)
		if err != nil {
			return nil, translate(err)
		}
		recs = append(recs, rec)
	}
	if err := rows.Err(); err != nil {
		return nil, translate(err)
	}
	var list []Delivery
	for _, rec := range recs {
		d, err := s.delivery(ctx, tx, rec)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// Delivery reads one delivery of a session with its body.
func (s *Store) Delivery(ctx context.Context, record int64) (Delivery, error) {
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return Delivery{}, translate(err)
	}
	defer tx.Rollback()
	rec, err := s.scanRecord(tx.QueryRowContext(ctx,
		"SELECT "+recordColumns+" FROM records WHERE id = ? AND kind IN (1, 2)", record))
	if errors.Is(err, sql.ErrNoRows) {
		return Delivery{}, ErrNotFound
	}
	if err != nil {
		return Delivery{}, translate(err)
	}
	d, err := s.delivery(ctx, tx, rec)
	if err != nil {
		return d, err
	}
	err = tx.QueryRowContext(ctx, "SELECT body FROM records WHERE id = ?", record).Scan(&d.Body)
	return d, translate(err)
}

// delivery adds to a record whose it is.
func (s *Store) delivery(ctx context.Context, tx *sql.Tx, rec record) (Delivery, error) {
	r, err := s.scanRow(tx.QueryRowContext(ctx, "SELECT "+rowColumns+" FROM sessions WHERE id = ?", rec.session))
	if err != nil {
		return Delivery{}, translate(err)
	}
	return Delivery{Record: rec.id, Account: r.name, SessionID: r.sessionID, At: rec.at, Observation: *rec.obs,
		Redelivered: rec.n}, nil
}
