package store

import (
	"context"
	"fmt"
)

// Verify looks at the whole file: SQLite's own check of its pages and indexes, and our totals
// against the rows they count. It returns what is wrong, at most a hundred lines.
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
	more, err := s.verifyTotals(ctx)
	return append(wrong, more...), err
}

// verifyTotals counts what the maintained totals claim, in one snapshot.
func (s *Store) verifyTotals(ctx context.Context) ([]string, error) {
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer tx.Rollback()
	var wrong []string
	for total, query := range map[int64]string{
		totalState + 1:    "SELECT count(*) FROM sessions WHERE state = 1",
		totalState + 2:    "SELECT count(*) FROM sessions WHERE state = 2",
		totalState + 3:    "SELECT count(*) FROM sessions WHERE state = 3",
		totalState + 4:    "SELECT count(*) FROM sessions WHERE state = 4",
		totalState + 5:    "SELECT count(*) FROM sessions WHERE state = 5",
		totalConflicts:    "SELECT count(*) FROM sessions WHERE flags & 1",
		totalNewConflicts: "SELECT count(*) FROM sessions WHERE flags & 1 AND flags & 16 = 0",
		totalNewMissing:   "SELECT count(*) FROM sessions WHERE state = 4 AND flags & 8 = 0",
		totalUnknownWord:  "SELECT count(*) FROM sessions WHERE flags & 4",
		totalDeadLetters:  "SELECT count(*) FROM loose_deliveries WHERE reason IS NOT NULL",
		totalNewDead:      "SELECT count(*) FROM loose_deliveries WHERE reason IS NOT NULL AND acked_at_ms IS NULL",
		totalLoose:        "SELECT count(*) FROM loose_deliveries",
	} {
		var counted, kept int64
		if err := tx.QueryRowContext(ctx, query).Scan(&counted); err != nil {
			return nil, translate(err)
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce((SELECT n FROM totals WHERE total = ?), 0)", total).Scan(&kept); err != nil {
			return nil, translate(err)
		}
		if counted != kept {
			wrong = append(wrong, fmt.Sprintf("total %d is kept as %d, counted %d", total, kept, counted))
		}
	}
	return wrong, nil
}
