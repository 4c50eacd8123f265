package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// eraseBatch is how many payloads one transaction erases.
const eraseBatch = 200

// Erase removes the bodies of a session's observations and its metadata, also from what is
// still to be forwarded of it. What was concluded from them stays, with the digests. Where the
// session was pruned, the latter is all there is to erase; it fails with ErrNotFound where
// there is neither. by is the user id of who asked for it, or -1.
func (s *Store) Erase(ctx context.Context, account, id string, by int, now time.Time) error {
	err := s.eraseSession(ctx, account, id, by, now)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("erase %s: %w", id, err)
	}
	// A session of this id that was pruned before may have left payloads: they are all in
	// their own table since, and no transaction adds to them.
	n, perr := s.erasePayloads(ctx, account, id)
	if perr != nil {
		return fmt.Errorf("erase what is to be forwarded of %s: %w", id, perr)
	}
	if err != nil && n == 0 {
		return fmt.Errorf("erase %s: %w", id, err)
	}
	return nil
}

// eraseSession erases a session that is there.
func (s *Store) eraseSession(ctx context.Context, account, id string, by int, now time.Time) error {
	return s.queue.do(ctx, func(t *txn) error {
		k, err := t.load(account, id)
		if err != nil {
			return err
		}
		if k.before == nil {
			return refuse(ErrNotFound)
		}
		for _, rec := range k.recs {
			if rec.obs == nil {
				continue
			}
			if err := t.exec("UPDATE records SET body = NULL WHERE id = ?", rec.id); err != nil {
				return err
			}
		}
		if err := t.eraseForwarded(k.row); err != nil {
			return err
		}
		k.row.metadata = ""
		k.row.flag(flagErased, true)
		if err := t.append(k.row, record{kind: kindErased, at: now, n: int64(by)}); err != nil {
			return err
		}
		return t.save(k.row)
	})
}

// erasePayloads removes the metadata from all payloads of an id, whichever session of it they
// belong to, and says how many there are. There is no index by id: the search goes on beside
// the writer, and only what it finds is written.
func (s *Store) erasePayloads(ctx context.Context, account, id string) (int, error) {
	number, ok := s.accounts.id(account)
	if !ok {
		return 0, nil
	}
	found, err := s.payloadsOf(ctx, "SELECT seq FROM payloads WHERE session_id = ? AND account = ?", packID(id), number)
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(found, eraseBatch) {
		err := s.queue.do(ctx, func(t *txn) error {
			for _, seq := range part {
				if err := t.exec(`UPDATE payloads SET body = json_set(body,
					'$.data.session.metadata', json('null'), '$.data.event.metadata', json('null')) WHERE seq = ?`, seq); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// Erasable lists the accounts that know an id, or still have something to forward of it.
func (s *Store) Erasable(ctx context.Context, id string) ([]string, error) {
	list, err := s.Accounts(ctx, id)
	if err != nil {
		return nil, err
	}
	more, err := s.payloadsOf(ctx, "SELECT DISTINCT account FROM payloads WHERE session_id = ?", packID(id))
	if err != nil {
		return nil, err
	}
	for _, number := range more {
		if name := s.accounts.text(number); !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list, nil
}

// payloadsOf reads a column of integers.
func (s *Store) payloadsOf(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var list []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, translate(err)
		}
		list = append(list, n)
	}
	return list, translate(rows.Err())
}
