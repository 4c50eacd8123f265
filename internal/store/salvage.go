package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// salvageStep is how many records are read at a time. Where a step cannot be read, it is read
// record by record, and those that cannot be read are left out.
const salvageStep = 256

// salvage applies what can be read of a damaged store to this one. Everything has a key, so
// what both have is not doubled. The error says what could not be read; what was taken over
// stays.
func (s *Store) salvage(ctx context.Context, path string) (int64, time.Time, error) {
	bad, err := openDamaged(path)
	if err != nil {
		return 0, time.Time{}, err
	}
	defer bad.disconnect()
	var last int64
	if err := bad.reader.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM records").Scan(&last); err != nil {
		return 0, time.Time{}, fmt.Errorf("read the records: %w", err)
	}
	var taken int64
	var newest time.Time
	var lost error
	unread := 0
	for from := int64(1); from <= last; from += salvageStep {
		recs, err := bad.salvageable(ctx, from, from+salvageStep-1)
		if err != nil {
			recs, unread = bad.salvageSingly(ctx, from, unread)
			lost = fmt.Errorf("%d records cannot be read, the last because of: %w", unread, err)
		}
		for _, rec := range recs {
			ok, err := s.takeOver(ctx, bad, rec)
			if err != nil {
				return taken, newest, errors.Join(lost, err)
			}
			if ok {
				taken++
			}
			if rec.at.After(newest) {
				newest = rec.at
			}
		}
	}
	n, err := s.salvageLoose(ctx, bad)
	return taken + n, newest, errors.Join(lost, err)
}

// openDamaged opens a database that may be damaged, for reading what can be read.
func openDamaged(path string) (*Store, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_query_only=1&_busy_timeout=1000")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	bad := &Store{path: path, reader: db, now: time.Now, log: slog.New(slog.DiscardHandler),
		accounts: newNames(), names: newNames(), wake: newWake()}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err == nil {
		err = bad.loadNames(ctx, conn)
		conn.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nothing can be read from it: %w", err), db.Close())
	}
	return bad, nil
}

// salvageable reads records with their bodies.
func (s *Store) salvageable(ctx context.Context, from, to int64) ([]record, error) {
	rows, err := s.reader.QueryContext(ctx, "SELECT "+recordColumns+" FROM records WHERE id BETWEEN ? AND ? ORDER BY id", from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var recs []record
	for rows.Next() {
		rec, err := s.scanRecord(rows)
		if err != nil {
			return recs, err
		}
		recs = append(recs, rec)
	}
	return recs, rows.Err()
}

func (s *Store) salvageSingly(ctx context.Context, from int64, unread int) ([]record, int) {
	var recs []record
	for id := from; id < from+salvageStep; id++ {
		one, err := s.salvageable(ctx, id, id)
		if err != nil {
			unread++
		}
		recs = append(recs, one...)
	}
	return recs, unread
}

// takeOver applies one record of a damaged store. It reports whether it was something to
// apply; an error is this store's.
func (s *Store) takeOver(ctx context.Context, bad *Store, rec record) (bool, error) {
	if rec.obs == nil && rec.mark == nil {
		return false, nil // attempts and acknowledgements are not worth it
	}
	r, err := bad.scanRow(bad.reader.QueryRowContext(ctx, "SELECT "+rowColumns+" FROM sessions WHERE id = ?", rec.session))
	if err != nil || r.name == "" || !verdict.ValidID(r.sessionID) {
		return false, nil // whose it was cannot be read
	}
	switch {
	case rec.obs != nil:
		// A body that cannot be read is not what the verdict depends on.
		_ = bad.reader.QueryRowContext(ctx, "SELECT body FROM records WHERE id = ?", rec.id).Scan(&rec.body)
		var receipt Receipt
		receipt, err = s.Apply(ctx, Observed{Account: r.name, SessionID: r.sessionID, Observation: *rec.obs, Body: rec.body})
		if err == nil && receipt.Duplicate {
			return false, nil // the backup has it
		}
	case rec.mark.Kind == verdict.Expected:
		_, err = s.Expect(ctx, Expectation{Account: r.name, SessionID: r.sessionID, JobID: r.jobID, Metadata: r.metadata,
			Grace: rec.mark.GraceUntil.Sub(rec.mark.At), Again: rec.mark.Round > 1, At: rec.mark.At})
		var differs *Differs
		if errors.As(err, &differs) {
			err = nil // the backup knows it better
		}
	case rec.mark.Kind == verdict.CalledOff:
		_, err = s.Withdraw(ctx, r.name, r.sessionID, int(rec.n), rec.at)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	return err == nil, err
}

// salvageLoose takes over the deliveries that make no session.
func (s *Store) salvageLoose(ctx context.Context, bad *Store) (int64, error) {
	var n int64
	for before := int64(0); ; {
		page, err := bad.LooseDeliveries(ctx, before, ListMax)
		if err != nil || len(page) == 0 {
			return n, err
		}
		for _, l := range page {
			before = l.ID
			full, err := bad.LooseDelivery(ctx, l.ID)
			if err != nil {
				continue
			}
			duplicate, err := s.KeepLoose(ctx, full)
			if err != nil {
				return n, err
			}
			if !duplicate {
				n++
			}
		}
	}
}
