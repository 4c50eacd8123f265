package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// row is a session's row: what queries select by, and how far asking has got. What the
// session is, is folded from its records.
type row struct {
	id        int64 // 0 while the session is new
	account   int64
	name      string // of the account
	sessionID string
	key       any // the session id as it is stored

	state        int64
	outcome      int64
	firstBy      int64
	flags        int64
	head         int64
	lastObserved int64
	graceUntil   int64
	nextPoll     int64
	asked        bool
	attempts     int64
	answered     int64
	route        int64
	jobID        string
	metadata     string

	outboxSeq int64 // newest event that goes into the outbox with this save, 0: none; never read
}

const rowColumns = `id, account, session_id, state, coalesce(outcome, 0), coalesce(first_by, 0), flags, head,
	last_observed_at_ms, coalesce(grace_until_ms, 0), coalesce(next_poll_at_ms, 0), asked, attempts, answered,
	coalesce(route, 0), coalesce(job_id, ''), coalesce(metadata, '')`

func (s *Store) scanRow(from scanner) (*row, error) {
	var r row
	err := from.Scan(&r.id, &r.account, &r.key, &r.state, &r.outcome, &r.firstBy, &r.flags, &r.head,
		&r.lastObserved, &r.graceUntil, &r.nextPoll, &r.asked, &r.attempts, &r.answered,
		&r.route, &r.jobID, &r.metadata)
	if err != nil {
		return nil, err
	}
	r.name = s.accounts.text(r.account)
	r.sessionID, err = unpackID(r.key)
	return &r, err
}

// find reads the row of a session, or returns a new one. It writes nothing: an operation
// may still be refused.
func (t *txn) find(account, id string) (*row, error) {
	fresh := &row{account: t.knownAccount(account), name: account, sessionID: id, key: packID(id)}
	if fresh.account == 0 {
		return fresh, nil
	}
	// The index alone answers the first question, and for a new session there is no second.
	var number int64
	err := t.lookup("SELECT id FROM sessions WHERE session_id = ? AND account = ?", fresh.key, fresh.account).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := t.q.s.scanRow(t.lookup("SELECT "+rowColumns+" FROM sessions WHERE id = ?", number))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: the index leads to session %d, which is not there", ErrCorrupt, number)
	}
	return r, err
}

// own gives a new row the number of its account.
func (t *txn) own(r *row) error {
	var err error
	if r.account == 0 {
		r.account, err = t.account(r.name)
	}
	return err
}

// save writes the row.
func (t *txn) save(r *row) error {
	if r.id != 0 {
		return t.exec(`UPDATE sessions SET state = ?, outcome = ?, first_by = ?, flags = ?, head = ?,
			last_observed_at_ms = ?, grace_until_ms = ?, next_poll_at_ms = ?, asked = ?, attempts = ?,
			answered = ?, route = ?, job_id = ?, metadata = ?, outbox_seq = coalesce(?, outbox_seq) WHERE id = ?`,
			r.state, null(r.outcome), null(r.firstBy), r.flags, r.head, r.lastObserved,
			null(r.graceUntil), null(r.nextPoll), r.asked, r.attempts, r.answered,
			null(r.route), nullText(r.jobID), nullText(r.metadata), null(r.outboxSeq), r.id)
	}
	r.id = t.q.nextSess
	t.q.nextSess++
	return t.insert("sessions", rowInsert, r.id, r.account, r.key, r.state, null(r.outcome), null(r.firstBy), r.flags,
		r.head, r.lastObserved, null(r.graceUntil), null(r.nextPoll), r.asked, null(r.attempts), null(r.answered),
		null(r.route), nullText(r.jobID), nullText(r.metadata), null(r.outboxSeq))
}

// rowInsert are the columns of a row in the order in which save writes them.
const rowInsert = `id, account, session_id, state, outcome, first_by, flags, head, last_observed_at_ms,
	grace_until_ms, next_poll_at_ms, asked, attempts, answered, route, job_id, metadata, outbox_seq`

// take brings the fold and the schedule into the row.
func (r *row) take(s *verdict.Session, sch verdict.Schedule, now time.Time) {
	r.state = code(verdict.States(), s.StateAt(now))
	r.outcome = code(verdict.Outcomes(), s.Outcome)
	r.firstBy = code(verdict.Sources(), s.FirstBy)
	r.flag(flagConflict, s.Conflict)
	r.flag(flagAgain, s.AwaitingAgain)
	r.flag(flagUnknownWord, s.UnknownWord != "" && s.Open())
	if s.State != verdict.Missing {
		r.flag(flagMissingAcked, false)
	}
	r.lastObserved = max(r.lastObserved, millis(s.LastObservedAt))
	r.graceUntil = 0
	if s.Open() {
		r.graceUntil = millis(s.GraceUntil)
	}
	r.nextPoll = millis(sch.NextPollAt)
	r.attempts, r.answered = int64(sch.Attempts), int64(sch.Answered)
}

func (r *row) flag(bit int64, on bool) {
	if on {
		r.flags |= bit
	} else {
		r.flags &^= bit
	}
}

func (r *row) schedule() verdict.Schedule {
	return verdict.Schedule{Attempts: int(r.attempts), Answered: int(r.answered), NextPollAt: at(r.nextPoll)}
}

// millis is a time as the store keeps it; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the inverse of millis.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func null(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func nullText(s string) any {
	if s == "" {
		return nil
	}
	return s
}
