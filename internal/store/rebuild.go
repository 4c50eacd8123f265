package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// rebuildBatch is how many sessions are folded again at a time.
const rebuildBatch = 200

// Difference is a session whose row does not say what its records say.
type Difference struct {
	Account   string `json:"account"`
	SessionID string `json:"session_id"`
	What      string `json:"what"` // "state: settled, should be missing; outcome: …"
}

// Rebuild folds every session again from its records and reports each that differs from its
// row; progress is told how many were folded. With apply the rows are corrected, and where an
// outcome changes that way an event says so. Memory is bounded by one batch.
func (s *Store) Rebuild(ctx context.Context, apply bool, found func(Difference), progress func(done int64)) error {
	var done int64
	for last := int64(0); ; {
		var next int64
		var diffs []Difference
		n := 0
		step := func(t *txn, get func(id int64) scanner, rows []*row) error {
			diffs, n = nil, len(rows)
			for _, r := range rows {
				next = r.id
				d, err := s.refold(t, get, r)
				if err != nil {
					return err
				}
				if d != nil {
					diffs = append(diffs, *d)
				}
			}
			return nil
		}
		var err error
		if apply {
			err = s.queue.do(ctx, func(t *txn) error { return t.rebuildBatch(last, step) })
		} else {
			err = s.readBatch(ctx, last, step)
		}
		if err != nil {
			return fmt.Errorf("fold again after session number %d: %w", last, err)
		}
		for _, d := range diffs {
			found(d)
		}
		if done += int64(n); n < rebuildBatch {
			progress(done)
			return nil
		}
		last = next
		progress(done)
	}
}

type rebuildStep func(t *txn, get func(id int64) scanner, rows []*row) error

const rebuildQuery = "SELECT " + rowColumns + " FROM sessions WHERE id > ? ORDER BY id LIMIT ?"

func (t *txn) rebuildBatch(after int64, step rebuildStep) error {
	rows, err := t.rows(rebuildQuery, after, rebuildBatch)
	if err != nil {
		return err
	}
	return step(t, t.readRecord, rows)
}

func (s *Store) readBatch(ctx context.Context, after int64, step rebuildStep) error {
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer tx.Rollback()
	found, err := tx.QueryContext(ctx, rebuildQuery, after, rebuildBatch)
	if err != nil {
		return translate(err)
	}
	defer found.Close()
	var rows []*row
	for found.Next() {
		r, err := s.scanRow(found)
		if err != nil {
			return translate(err)
		}
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		return translate(err)
	}
	return translate(step(nil, func(id int64) scanner {
		return tx.QueryRowContext(ctx, "SELECT "+recordColumns+" FROM records WHERE id = ?", id)
	}, rows))
}

// refold compares a row with the fold of its records, and corrects it if t is given.
func (s *Store) refold(t *txn, get func(id int64) scanner, r *row) (*Difference, error) {
	recs, err := s.chain(get, r)
	if errors.Is(err, ErrCorrupt) {
		// There is nothing to fold it from; the others can still be.
		return &Difference{Account: r.name, SessionID: r.sessionID, What: err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	fresh := *r
	after := verdict.Fold(evidence(recs))
	policy := s.policyOf(r.name)
	sch := r.schedule()
	switch {
	case after.Open() && sch.NextPollAt.IsZero():
		sch = policy.Reschedule(nil, &after, sch)
	case !after.Open() && !confirmable(&after):
		sch.NextPollAt = time.Time{}
	}
	fresh.lastObserved = 0
	fresh.take(&after, sch, now)
	if isOpen(fresh.state) && isOpen(r.state) {
		fresh.state = r.state // awaiting and overdue differ by the clock alone
	}
	what := differences(r, &fresh)
	if what == "" {
		return nil, nil
	}
	d := &Difference{Account: r.name, SessionID: r.sessionID, What: what}
	if t == nil {
		return d, nil
	}
	if err := t.announce(&fresh, recs, corrections(r, &fresh), now); err != nil {
		return nil, err
	}
	t.recount(r.totals(), fresh.totals())
	t.woken = append(t.woken, sessionKey{r.name, r.sessionID})
	return d, nil
}

// corrections are the changes that tell consumers of a row that was mended.
func corrections(was, is *row) []verdict.Change {
	var changes []verdict.Change
	missing, withdrawn := code(verdict.States(), verdict.Missing), code(verdict.States(), verdict.Withdrawn)
	switch {
	case was.outcome == 0 && is.outcome != 0:
		changes = append(changes, verdict.ChangeSettled)
	case is.state == was.state && is.outcome != was.outcome:
		changes = append(changes, verdict.ChangeReverified)
	case is.state == was.state:
	case is.state == missing:
		changes = append(changes, verdict.ChangeMissing)
	case is.state == withdrawn:
		changes = append(changes, verdict.ChangeWithdrawn)
	default:
		changes = append(changes, verdict.ChangeRevived)
	}
	if was.flags&flagConflict == 0 && is.flags&flagConflict != 0 {
		changes = append(changes, verdict.ChangeConflicted)
	}
	return changes
}

// confirmable reports whether the configuration decides if a settled session is asked about,
// and how far that has got: its row may say either.
func confirmable(s *verdict.Session) bool {
	_, submitted := s.ToldAt[verdict.Submitted]
	return s.State == verdict.Settled && submitted && len(s.ToldAt) == 1
}

func isOpen(state int64) bool { return state == 1 || state == 2 }

// differences names what of a row is not what it should be.
func differences(have, want *row) string {
	var list []string
	add := func(what string, have, want any) {
		list = append(list, fmt.Sprintf("%s: %v, should be %v", what, have, want))
	}
	if have.state != want.state {
		add("state", text(verdict.States(), have.state), text(verdict.States(), want.state))
	}
	if have.outcome != want.outcome {
		add("outcome", text(verdict.Outcomes(), have.outcome), text(verdict.Outcomes(), want.outcome))
	}
	if have.firstBy != want.firstBy {
		add("first by", text(verdict.Sources(), have.firstBy), text(verdict.Sources(), want.firstBy))
	}
	for i, name := range []string{"conflict", "awaiting again", "unknown word"} {
		if bit := flagConflict << i; have.flags&bit != want.flags&bit {
			add(name, have.flags&bit != 0, want.flags&bit != 0)
		}
	}
	if have.lastObserved != want.lastObserved {
		add("last observed", at(have.lastObserved), at(want.lastObserved))
	}
	if have.graceUntil != want.graceUntil {
		add("grace until", at(have.graceUntil), at(want.graceUntil))
	}
	if (have.nextPoll == 0) != (want.nextPoll == 0) {
		add("next poll", at(have.nextPoll), at(want.nextPoll))
	}
	return strings.Join(list, "; ")
}

func text[T ~string](list []T, code int64) string {
	w, err := word(list, code)
	if err != nil {
		return fmt.Sprint(code)
	}
	if w == "" {
		return "none"
	}
	return string(w)
}
