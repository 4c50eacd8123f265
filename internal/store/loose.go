package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Loose is a signed delivery that makes no session: an event we do not know, or a dead
// letter with the reason why it could not be used.
type Loose struct {
	ID          int64
	Account     string
	Label       string
	Event       string
	Reason      string // empty for an unknown event
	At          time.Time
	Redelivered int64
	Acked       bool
	Digest      []byte
	Body        []byte
}

// KeepLoose stores a signed delivery that makes no session. Repetitions are counted.
func (s *Store) KeepLoose(ctx context.Context, in Loose) (duplicate bool, err error) {
	err = s.queue.do(ctx, func(t *txn) error {
		var err error
		duplicate, err = t.keepLoose(in)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("keep a delivery: %w", err)
	}
	return duplicate, nil
}

func (t *txn) keepLoose(in Loose) (bool, error) {
	account, err := t.account(in.Account)
	if err != nil {
		return false, err
	}
	label, err := t.name(in.Label)
	if err != nil {
		return false, err
	}
	t.used(account, in.Label, in.At)
	n, err := t.execCount("UPDATE loose_deliveries SET redelivered = redelivered + 1 WHERE account = ? AND digest = ?",
		account, in.Digest)
	if err != nil {
		return false, err
	}
	if n > 0 {
		t.count(FigureDuplicate, in.At, 1)
		return true, nil
	}
	if in.Reason == "" {
		t.count(FigureUnknownEvent, in.At, 1)
		t.count(FigureAccepted, in.At, 1)
	} else {
		t.count(FigureDeadLetter, in.At, 1)
		t.totals[totalDeadLetters]++
		t.totals[totalNewDead]++
	}
	t.totals[totalLoose]++
	return false, t.exec(`INSERT INTO loose_deliveries (account, reason, event, at_ms, label, digest, body)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, account, nullText(in.Reason), nullText(in.Event), millis(in.At),
		label, in.Digest, blob(in.Body))
}

// LooseDeliveries lists deliveries that make no session, the newest first, with numbers
// below before (0: from the newest), at most limit, without their bodies.
func (s *Store) LooseDeliveries(ctx context.Context, before int64, limit int) ([]Loose, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := s.reader.QueryContext(ctx, "SELECT "+looseColumns+`, NULL FROM loose_deliveries
		WHERE id < ? ORDER BY id DESC LIMIT ?`, before, limit)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var list []Loose
	for rows.Next() {
		l, err := s.scanLoose(rows)
		if err != nil {
			return nil, translate(err)
		}
		list = append(list, l)
	}
	return list, translate(rows.Err())
}

// LooseDelivery reads one with its body.
func (s *Store) LooseDelivery(ctx context.Context, id int64) (Loose, error) {
	l, err := s.scanLoose(s.reader.QueryRowContext(ctx,
		"SELECT "+looseColumns+", body FROM loose_deliveries WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Loose{}, ErrNotFound
	}
	return l, translate(err)
}

const looseColumns = `id, account, coalesce(label, 0), coalesce(event, ''), coalesce(reason, ''), at_ms,
	redelivered, acked_at_ms IS NOT NULL, digest`

func (s *Store) scanLoose(rows interface{ Scan(...any) error }) (Loose, error) {
	var l Loose
	var account, label, ms int64
	err := rows.Scan(&l.ID, &account, &label, &l.Event, &l.Reason, &ms, &l.Redelivered, &l.Acked, &l.Digest, &l.Body)
	l.Account, l.Label, l.At = s.accounts.text(account), s.names.text(label), at(ms)
	return l, err
}
