package store

import (
	"context"
	"fmt"
	"time"
)

// Limits of looking a large store over.
const (
	// checkedFirst is the size in bytes up to which a store is checked before it is served. That
	// takes about a tenth of a second; with gigabytes it would keep deliveries waiting for
	// minutes after each restart.
	checkedFirst = 32 << 20
	// lookRows are read at a time, a few milliseconds: no reader may keep the log from being
	// written back for long.
	lookRows = 2000
	// lookShare is the part of the time that looking takes: one in ten.
	lookShare = 10
)

// lookSQL reads what lies behind a key, a page of it in one query, and returns the last key. All
// of a row is read, not its key alone. The ids come first: deliveries need them at once, and
// after a start none of them is in memory.
func lookSQL() []string {
	table := func(name, key, last string) string {
		return fmt.Sprintf(`SELECT max(%[2]s), max(%[3]s) FROM (SELECT %[2]s, %[3]s FROM %[1]s WHERE %[2]s > ? ORDER BY %[2]s LIMIT %[4]d)`,
			name, key, last, lookRows)
	}
	return []string{
		fmt.Sprintf(`SELECT max(session_id), 0 FROM (SELECT session_id FROM sessions INDEXED BY sessions_by_id
			WHERE session_id > ? ORDER BY session_id LIMIT %d)`, lookRows),
		table("sessions", "id", "metadata"),
		table("events", "seq", "conflict"),
		table("records", "id", "body"),
		table("loose_deliveries", "id", "body"),
	}
}

// look reads a store that was too large to be checked before it is served, slowly and beside
// the work. A page that cannot be read breaks the store as it would when a delivery met it. It
// ends when all is read, or with ctx.
func (s *Store) look(ctx context.Context) error {
	for i, query := range lookSQL() {
		var last any = int64(-1 << 62)
		if i == 0 {
			last = "" // ids are text or blobs; blobs come last
		}
		for last != nil {
			start := time.Now()
			var found, content any
			if err := s.reader.QueryRowContext(ctx, query, last).Scan(&found, &content); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s.queue.judge(err)
				return fmt.Errorf("look the store over: %w", translate(err))
			}
			last = found
			select {
			case <-time.After(time.Since(start) * (lookShare - 1)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// lookBeside runs look until it is through or the store is closed.
func (s *Store) lookBeside() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopLooking = cancel
	s.looked.Go(func() {
		start := time.Now()
		switch err := s.look(ctx); {
		case err == nil:
			s.log.Info("the store was looked over", "took", time.Since(start).Round(time.Millisecond))
		case ctx.Err() == nil && s.Err() == nil: // a broken store is told by whoever watches it
			s.log.Warn("the store could not be looked over", "err", err)
		}
	})
}
