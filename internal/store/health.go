package store

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Totals are counts over all sessions, kept with each commit.
type Totals struct {
	States       map[verdict.State]int64
	Conflicts    int64
	NewConflicts int64 // not acknowledged
	NewMissing   int64 // not acknowledged
	UnknownWord  int64
	DeadLetters  int64
	NewDead      int64         // not acknowledged
	OldestDue    time.Duration // how long the oldest overdue session is overdue
}

// lateSQL reads how many sessions the totals still count as awaiting although their grace
// period is over, and the earliest end of a grace period of all that are waited for.
const lateSQL = `SELECT
	(SELECT count(*) FROM sessions INDEXED BY sessions_unsettled WHERE state = 1 AND state <> 3 AND grace_until_ms <= ?),
	coalesce((SELECT min(g) FROM (
		SELECT min(grace_until_ms) AS g FROM sessions INDEXED BY sessions_unsettled WHERE state = 1 AND state <> 3
		UNION ALL
		SELECT min(grace_until_ms) FROM sessions INDEXED BY sessions_unsettled WHERE state = 2 AND state <> 3)), 0)`

// Totals reads the totals as they are at a time.
func (s *Store) Totals(ctx context.Context, now time.Time) (Totals, error) {
	out := Totals{States: map[verdict.State]int64{}}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return out, translate(err)
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT total, n FROM totals")
	if err != nil {
		return out, translate(err)
	}
	defer rows.Close()
	raw := map[int64]int64{}
	for rows.Next() {
		var k, n int64
		if err := rows.Scan(&k, &n); err != nil {
			return out, translate(err)
		}
		raw[k] = n
	}
	if err := rows.Err(); err != nil {
		return out, translate(err)
	}
	for _, st := range verdict.States() {
		out.States[st] = raw[totalState+code(verdict.States(), st)]
	}
	out.Conflicts, out.NewConflicts = raw[totalConflicts], raw[totalNewConflicts]
	out.NewMissing, out.UnknownWord = raw[totalNewMissing], raw[totalUnknownWord]
	out.DeadLetters, out.NewDead = raw[totalDeadLetters], raw[totalNewDead]

	// Sessions whose grace period has ended since the last sweep, and the oldest overdue.
	var late, oldest int64
	err = tx.QueryRowContext(ctx, lateSQL, now.UnixMilli()).Scan(&late, &oldest)
	if err != nil {
		return out, translate(err)
	}
	out.States[verdict.Awaiting] -= late
	out.States[verdict.Overdue] += late
	if oldest > 0 && oldest < now.UnixMilli() {
		out.OldestDue = now.Sub(at(oldest))
	}
	return out, nil
}

// Disk says how much the store takes and how much is left.
type Disk struct {
	Bytes        int64
	WALBytes     int64
	FreeBytes    int64 // for an unprivileged user
	LastCommitAt time.Time
	QueueDepth   int
}

// Disk looks at the files beside the store's path. It needs no query.
func (s *Store) Disk() Disk {
	d := Disk{LastCommitAt: at(s.queue.lastCommit.Load()), QueueDepth: s.queue.depth()}
	var written time.Time
	if info, err := os.Stat(s.path); err == nil {
		d.Bytes, written = info.Size(), info.ModTime()
	}
	if info, err := os.Stat(s.path + "-wal"); err == nil {
		d.WALBytes = info.Size()
		if info.ModTime().After(written) {
			written = info.ModTime()
		}
	}
	if d.LastCommitAt.IsZero() {
		d.LastCommitAt = written // by an earlier process
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.path, &fs); err == nil {
		d.FreeBytes = int64(fs.Bavail) * fs.Bsize
	}
	return d
}

// Ping commits an empty transaction, so that a watchdog knows that commits go through.
func (s *Store) Ping(ctx context.Context) error {
	return s.queue.do(ctx, func(t *txn) error {
		return t.exec(`INSERT INTO meta VALUES ('beat', ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
			s.now().UTC().Format(time.RFC3339))
	})
}
