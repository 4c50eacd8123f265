package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Verify looks at the whole file: SQLite's own check of its pages and indexes, our totals
// against the rows they count, and the links between the tables. It returns what is wrong, at
// most some hundred lines.
func (s *Store) Verify(ctx context.Context) ([]string, error) {
	var wrong []string
	rows, err := s.reader.QueryContext(ctx, "PRAGMA integrity_check(100)")
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, translate(err)
		}
		if line != "ok" {
			wrong = append(wrong, line)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, translate(err)
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return wrong, translate(err)
	}
	defer tx.Rollback()
	for _, check := range []func(context.Context, *sql.Tx) ([]string, error){verifyTotals, verifyLinks, verifyOutbox} {
		more, err := check(ctx, tx)
		if err != nil {
			return wrong, translate(err)
		}
		wrong = append(wrong, more...)
	}
	return wrong, nil
}

// counted are the maintained totals with the queries that count them.
func counted() []struct {
	total int64
	query string
} {
	return []struct {
		total int64
		query string
	}{
		{totalState + 1, "SELECT count(*) FROM sessions WHERE state = 1"},
		{totalState + 2, "SELECT count(*) FROM sessions WHERE state = 2"},
		{totalState + 3, "SELECT count(*) FROM sessions WHERE state = 3"},
		{totalState + 4, "SELECT count(*) FROM sessions WHERE state = 4"},
		{totalState + 5, "SELECT count(*) FROM sessions WHERE state = 5"},
		{totalConflicts, "SELECT count(*) FROM sessions WHERE flags & 1"},
		{totalNewConflicts, "SELECT count(*) FROM sessions WHERE flags & 1 AND flags & 16 = 0"},
		{totalNewMissing, "SELECT count(*) FROM sessions WHERE state = 4 AND flags & 8 = 0"},
		{totalUnknownWord, "SELECT count(*) FROM sessions WHERE flags & 4"},
		{totalDeadLetters, "SELECT count(*) FROM loose_deliveries WHERE reason IS NOT NULL"},
		{totalNewDead, "SELECT count(*) FROM loose_deliveries WHERE reason IS NOT NULL AND acked_at_ms IS NULL"},
		{totalLoose, "SELECT count(*) FROM loose_deliveries"},
	}
}

func verifyTotals(ctx context.Context, tx *sql.Tx) ([]string, error) {
	var wrong []string
	for _, c := range counted() {
		var n, kept int64
		if err := tx.QueryRowContext(ctx, c.query).Scan(&n); err != nil {
			return nil, err
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce((SELECT n FROM totals WHERE total = ?), 0)", c.total).Scan(&kept); err != nil {
			return nil, err
		}
		if n != kept {
			wrong = append(wrong, fmt.Sprintf("total %d is kept as %d, counted %d", c.total, kept, n))
		}
	}
	return wrong, nil
}

// links are properties of the tables, each with a query for the first row that breaks it.
// That every record is reached from its session's head follows from the third and fourth,
// as every link leads to an older record of the same session.
func links() []struct{ wrong, query string } {
	return []struct{ wrong, query string }{
		{"session %d: its newest record is not there", `SELECT s.id FROM sessions s
			LEFT JOIN records r ON r.id = s.head WHERE r.session IS NOT s.id LIMIT 1`},
		{"record %d: the one before it is not there", `SELECT r.id FROM records r
			LEFT JOIN records p ON p.id = r.prev WHERE r.prev IS NOT NULL AND (p.session IS NOT r.session OR p.id >= r.id) LIMIT 1`},
		{"%d records too many are first ones of a session, or too few", `SELECT d FROM (
			SELECT (SELECT count(*) FROM records WHERE prev IS NULL) - (SELECT count(*) FROM sessions) AS d) WHERE d <> 0`},
		{"records are linked wrongly, by a difference of %d", `SELECT d FROM (SELECT coalesce(sum(id), 0) - coalesce(sum(prev), 0) -
			(SELECT coalesce(sum(head), 0) FROM sessions) AS d FROM records) WHERE d <> 0`},
		{"%d events are not there between the oldest and the newest", `SELECT d FROM (
			SELECT max(seq) - min(seq) + 1 - count(*) AS d FROM events) WHERE d <> 0`},
	}
}

func verifyLinks(ctx context.Context, tx *sql.Tx) ([]string, error) {
	var wrong []string
	for _, l := range links() {
		var found sql.NullInt64
		err := tx.QueryRowContext(ctx, "SELECT ("+l.query+")").Scan(&found)
		if err != nil {
			return nil, err
		}
		if found.Valid {
			wrong = append(wrong, fmt.Sprintf(l.wrong, found.Int64))
		}
	}
	rows, err := tx.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() && len(wrong) < 100 {
		var table, parent string
		var row, key any
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			return nil, err
		}
		wrong = append(wrong, fmt.Sprintf("%s row %v refers to %s that are not there", table, row, parent))
	}
	return wrong, rows.Err()
}
