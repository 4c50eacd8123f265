package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// RouteStats is what one route of an account has answered so far.
type RouteStats struct {
	Last200At time.Time
	Answers   map[string]int64 // status, or a word where there was none, to count
}

// Learned is what the client of an account has learned, kept across restarts.
type Learned struct {
	Rate   float64 // requests a minute after a 429, 0 if none was learned
	Routes map[string]RouteStats
}

// LoadLearned reads what was learned for an account; unknown accounts have learned
// nothing.
func (s *Store) LoadLearned(ctx context.Context, account string) (Learned, error) {
	out := Learned{Routes: map[string]RouteStats{}}
	err := s.reader.QueryRowContext(ctx, "SELECT learned_rate FROM accounts WHERE name = ?", account).Scan(&out.Rate)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("read what was learned for %s: %w", account, translate(err))
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT route, coalesce(last_200_ms, 0), answers FROM route_stats
		JOIN accounts ON accounts.id = account WHERE name = ?`, account)
	if err != nil {
		return out, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var route, answers string
		var ms int64
		if err := rows.Scan(&route, &ms, &answers); err != nil {
			return out, translate(err)
		}
		st := RouteStats{Last200At: at(ms)}
		if err := json.Unmarshal([]byte(answers), &st.Answers); err != nil {
			return out, fmt.Errorf("read the answers of route %s: %w", route, err)
		}
		out.Routes[route] = st
	}
	return out, translate(rows.Err())
}

// SaveLearned writes what was learned for an account.
func (s *Store) SaveLearned(ctx context.Context, account string, l Learned) error {
	err := s.queue.do(ctx, func(t *txn) error {
		number, err := t.account(account)
		if err != nil {
			return err
		}
		if err := t.exec("UPDATE accounts SET learned_rate = ? WHERE id = ?", l.Rate, number); err != nil {
			return err
		}
		for route, st := range l.Routes {
			answers, err := json.Marshal(st.Answers)
			if err != nil {
				return err
			}
			if err := t.exec(`INSERT INTO route_stats VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
				last_200_ms = excluded.last_200_ms, answers = excluded.answers`,
				number, route, null(millis(st.Last200At)), string(answers)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save what was learned for %s: %w", account, err)
	}
	return nil
}

// LabelUse is when a webhook secret was last used.
type LabelUse struct {
	Account, Label string
	LastUsedAt     time.Time
}

// LabelUses lists when each secret was last used.
func (s *Store) LabelUses(ctx context.Context) ([]LabelUse, error) {
	rows, err := s.reader.QueryContext(ctx, "SELECT account, label, last_used_ms FROM label_stats")
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var list []LabelUse
	for rows.Next() {
		var account, ms int64
		var u LabelUse
		if err := rows.Scan(&account, &u.Label, &ms); err != nil {
			return nil, translate(err)
		}
		u.Account, u.LastUsedAt = s.accounts.text(account), at(ms)
		list = append(list, u)
	}
	return list, translate(rows.Err())
}

// openByAccountSQL counts the sessions that wait for their first outcome, and those settled
// (3) that wait for one more (flag 2).
const openByAccountSQL = `SELECT account, sum(n) FROM (
		SELECT account, count(*) AS n FROM sessions WHERE state <> 3 AND state IN (1, 2) GROUP BY account
		UNION ALL
		SELECT account, count(*) FROM sessions INDEXED BY sessions_due
			WHERE next_poll_at_ms IS NOT NULL AND state = 3 AND flags & 2 GROUP BY account)
	GROUP BY account`

// OpenByAccount counts the sessions of each account that still wait for an outcome, so
// that a configuration that drops the account can be refused.
func (s *Store) OpenByAccount(ctx context.Context) (map[string]int64, error) {
	rows, err := s.reader.QueryContext(ctx, openByAccountSQL)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var account, n int64
		if err := rows.Scan(&account, &n); err != nil {
			return nil, translate(err)
		}
		out[s.accounts.text(account)] = n
	}
	return out, translate(rows.Err())
}
