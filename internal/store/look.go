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
	// lookShare is the part of the time that looking takes: one in ten; and one in two for what
	// every delivery needs, the ids and the rows. After a start they may not be in memory, and
	// each page that has to come from the disk costs a delivery as much as all else.
	lookShare     = 10
	lookShareSoon = 2
	// lookBusy is how many operations wait for a commit where the store has enough to do, and
	// lookYield how much smaller the part is then.
	lookBusy  = 8
	lookYield = 20
)

// walk is a table or an index that is looked over.
type walk struct {
	query string // reads what lies behind a key, and returns the last key
	first any    // a key before all others
	share time.Duration
}

// walks are in the order in which they are taken. All of a row is read, not its key alone.
func walks() []walk {
	table := func(name, key, last string, share time.Duration) walk {
		return walk{fmt.Sprintf(`SELECT max(%[2]s), max(%[3]s) FROM (SELECT %[2]s, %[3]s FROM %[1]s WHERE %[2]s > ? ORDER BY %[2]s LIMIT %[4]d)`,
			name, key, last, lookRows), int64(-1 << 62), share}
	}
	return []walk{
		{fmt.Sprintf(`SELECT max(session_id), 0 FROM (SELECT session_id FROM sessions INDEXED BY sessions_by_id
			WHERE session_id > ? ORDER BY session_id LIMIT %d)`, lookRows), "", lookShareSoon},
		table("sessions", "id", "metadata", lookShareSoon),
		table("events", "seq", "conflict", lookShare),
		table("records", "id", "body", lookShare),
		table("loose_deliveries", "id", "body", lookShare),
		table("outbox_packs", "seq", "data", lookShare),
		table("payloads", "seq", "body", lookShare),
	}
}

// look reads a store that was too large to be checked before it is served, slowly and beside
// the work. A page that cannot be read breaks the store as it would when a delivery met it. It
// ends when all is read, or with ctx.
func (s *Store) look(ctx context.Context) error {
	for _, w := range walks() {
		for last := w.first; last != nil; {
			start := time.Now()
			var found, content any
			if err := s.reader.QueryRowContext(ctx, w.query, last).Scan(&found, &content); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s.queue.judge(err)
				return fmt.Errorf("look the store over: %w", translate(err))
			}
			last = found
			select {
			case <-time.After(lookPause(time.Since(start), w.share, s.queue.depth())):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// lookPause is how long to rest after a page of a walk, by how long that took and how many
// operations wait for a commit.
func lookPause(took, share time.Duration, waiting int) time.Duration {
	if waiting >= lookBusy {
		share *= lookYield
	}
	return took * (share - 1)
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
