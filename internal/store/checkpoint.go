package store

import (
	"context"
	"database/sql"
	"time"
)

// checkpointEvery is the shortest time between two checkpoints.
const checkpointEvery = 200 * time.Millisecond

// runCheckpoints writes the log back beside the commits, on a connection of its own and
// never waiting for anyone (PASSIVE): a checkpoint inside a commit would delay the
// deliveries of that commit. It holds its connection from the start, so that it opens no
// file later, and ends when its channel is closed; the last connection to close writes
// back what is left.
func (q *queue) runCheckpoints(conn *sql.Conn) {
	defer close(q.checkpointed)
	defer conn.Close()
	for range q.checkpoint {
		if q.failure() != nil {
			continue // what is in memory is not to be trusted
		}
		var busy, log, done int
		row := conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
		if err := row.Scan(&busy, &log, &done); err != nil {
			q.s.log.Debug("checkpoint failed", "err", err)
			q.judge(err)
		}
		select {
		case <-q.ended:
		case <-time.After(checkpointEvery):
		}
	}
}
