package store

import (
	"context"
	"database/sql"
	"time"
)

const (
	// checkpointEvery is the shortest time between two checkpoints.
	checkpointEvery = 200 * time.Millisecond
	// restartPages is from which length of the log on, in pages, the writer is asked to begin it
	// anew: so far below checkpointPages that 20,000 deliveries a second do not reach that before
	// the next checkpoint, and so long that fewer than one delivery in a hundred waits for it.
	restartPages = checkpointPages * 3 / 4
)

// runCheckpoints writes the log back beside the commits, on a connection of its own and
// never waiting for anyone (PASSIVE): a checkpoint inside a commit would delay the
// deliveries of that commit. It holds its connection from the start, so that it opens no
// file later, and ends when its channel is closed; the last connection to close writes
// back what is left.
//
// The log is begun anew by the first commit that finds all of it written back, which under
// load never happens by itself. So once it is long, it is written back twice in a row, after
// which little is left, and the writer writes that little back between two batches.
func (q *queue) runCheckpoints(conn *sql.Conn) {
	defer close(q.checkpointed)
	defer conn.Close()
	for range q.checkpoint {
		if q.failure() != nil {
			continue // what is in memory is not to be trusted
		}
		if q.writeBack(conn) >= restartPages {
			q.writeBack(conn)
			q.restart.Store(true)
		}
		select {
		case <-q.ended:
		case <-time.After(checkpointEvery):
		}
	}
}

const checkpointSQL = "PRAGMA wal_checkpoint(PASSIVE)"

// writeBack returns the length of the log in pages, 0 after an error.
func (q *queue) writeBack(conn *sql.Conn) int64 {
	var busy, log, done int64
	if err := conn.QueryRowContext(context.Background(), checkpointSQL).Scan(&busy, &log, &done); err != nil {
		q.s.log.Debug("checkpoint failed", "err", err)
		q.judge(err)
		return 0
	}
	return log
}

// finishLog writes the rest of the log back, in the writer's own connection between two batches,
// so that the next commit begins the log anew.
func (q *queue) finishLog() {
	var busy, log, done int64
	if err := newTxn(q).lookup(checkpointSQL).Scan(&busy, &log, &done); err != nil {
		q.s.log.Debug("checkpoint failed", "err", err)
		q.judge(err)
	}
}
