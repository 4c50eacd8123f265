package store

import (
	"context"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// DueSession is a session that is to be asked about.
type DueSession struct {
	SessionID string
	JobID     string
	Route     string // what answered for it last
}

// The pattern by which a sweep shares its places: half to sessions never asked about, the
// newest first, a quarter to those never asked about, the oldest first, a quarter to
// retries (product section 4). A sweep of fewer than four places begins where turn says,
// so that over four sweeps every share gets its part.
const (
	newestFirst = iota
	oldestFirst
	retries
)

// dueSQL are the queries of the three shares.
func dueSQL() [3]string {
	const from = "SELECT " + rowColumns +
		" FROM sessions INDEXED BY sessions_due WHERE account = ? AND next_poll_at_ms IS NOT NULL AND next_poll_at_ms <= ?"
	return [3]string{
		newestFirst: from + " AND asked = 0 ORDER BY next_poll_at_ms DESC LIMIT ?",
		oldestFirst: from + " AND asked = 0 ORDER BY next_poll_at_ms LIMIT ?",
		retries:     from + " AND asked = 1 ORDER BY next_poll_at_ms LIMIT ?",
	}
}

// Due picks up to n due sessions of an account in the order they are to be asked about.
// Places that one share leaves free go to the others.
func (s *Store) Due(ctx context.Context, account string, now time.Time, n, turn int) ([]DueSession, error) {
	number, ok := s.accounts.id(account)
	if !ok || n <= 0 {
		return nil, nil
	}
	var lists [3][]*row
	for share, query := range dueSQL() {
		rows, err := s.reader.QueryContext(ctx, query, number, now.UnixMilli(), n)
		if err != nil {
			return nil, translate(err)
		}
		for rows.Next() {
			r, err := s.scanRow(rows)
			if err != nil {
				rows.Close()
				return nil, translate(err)
			}
			lists[share] = append(lists[share], r)
		}
		if err := rows.Err(); err != nil { // all rows read, they are closed
			return nil, translate(err)
		}
	}
	var picked []DueSession
	for _, r := range share(lists, n, turn) {
		picked = append(picked, DueSession{r.sessionID, r.jobID, s.names.text(r.route)})
	}
	return picked, nil
}

// share deals n places to the three lists by the pattern.
func share(lists [3][]*row, n, turn int) []*row {
	pattern := [4]int{newestFirst, retries, newestFirst, oldestFirst}
	seen := map[int64]bool{}
	next := func(list int) *row {
		for len(lists[list]) > 0 {
			r := lists[list][0]
			lists[list] = lists[list][1:]
			if !seen[r.id] {
				seen[r.id] = true
				return r
			}
		}
		return nil
	}
	var out []*row
	for len(out) < n {
		first := pattern[(len(out)+turn)%len(pattern)]
		r := next(first)
		for _, other := range []int{oldestFirst, newestFirst, retries} {
			if r == nil {
				r = next(other)
			}
		}
		if r == nil {
			break
		}
		out = append(out, r)
	}
	return out
}

// CountDue counts the due sessions of an account, at most max.
func (s *Store) CountDue(ctx context.Context, account string, now time.Time, max int) (int, error) {
	number, ok := s.accounts.id(account)
	if !ok {
		return 0, nil
	}
	var n int
	err := s.reader.QueryRowContext(ctx, countDueSQL, number, now.UnixMilli(), max).Scan(&n)
	return n, translate(err)
}

const countDueSQL = `SELECT count(*) FROM (SELECT 1 FROM sessions INDEXED BY sessions_due
	WHERE account = ? AND asked IN (0, 1) AND next_poll_at_ms IS NOT NULL AND next_poll_at_ms <= ? LIMIT ?)`

// promoteMax is how many sessions one transaction moves from awaiting to overdue.
const promoteMax = 500

const promoteSQL = `UPDATE sessions SET state = 2 WHERE id IN (SELECT id FROM sessions INDEXED BY sessions_unsettled
	WHERE state = 1 AND state <> 3 AND grace_until_ms <= ? ORDER BY grace_until_ms LIMIT ?)`

// Promote moves the sessions whose grace period is over to overdue, and says how many.
// Readers see them as overdue from that moment on anyway; this keeps the totals true.
func (s *Store) Promote(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := s.queue.do(ctx, func(t *txn) error {
			var err error
			n, err = t.execCount(promoteSQL, now.UnixMilli(), promoteMax)
			t.totals[totalState+code(verdict.States(), verdict.Awaiting)] -= n
			t.totals[totalState+code(verdict.States(), verdict.Overdue)] += n
			return err
		})
		if err != nil {
			return total, err // n may still be written to, should ctx have ended
		}
		if total += n; n < promoteMax {
			return total, nil
		}
	}
}
