package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Expectation announces a session. Zero fields are not known.
type Expectation struct {
	Account   string
	SessionID string
	JobID     string
	Grace     time.Duration // 0: the account's policy
	Metadata  string        // canonical JSON object
	Again     bool          // one more verification under the same id
	At        time.Time
}

// Expect makes a session known and waited for. Repeating it changes nothing. It fails
// with *Differs where the session is known with another job id or other metadata.
func (s *Store) Expect(ctx context.Context, in Expectation) (Receipt, error) {
	var out Receipt
	in.At = in.At.UTC().Truncate(time.Millisecond)
	err := s.queue.do(ctx, func(t *txn) error {
		var err error
		out, err = t.expect(in)
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("expect %s: %w", in.SessionID, err)
	}
	return out, nil
}

func (t *txn) expect(in Expectation) (Receipt, error) {
	k, err := t.load(in.Account, in.SessionID)
	if err != nil {
		return Receipt{}, err
	}
	r := k.row
	switch {
	case in.JobID != "" && r.jobID != "" && in.JobID != r.jobID:
		return Receipt{}, refuse(&Differs{"job_id"})
	case in.Metadata != "" && r.flags&flagErased != 0:
		in.Metadata = "" // what was erased does not come back by announcing it again
	case in.Metadata != "" && r.metadata != "" && in.Metadata != r.metadata:
		return Receipt{}, refuse(&Differs{"metadata"})
	}
	newJob := in.JobID != "" && r.jobID == ""
	add := in.records(k, newJob)
	if len(add) == 0 {
		return Receipt{Duplicate: true, Session: *k.before}, nil
	}
	if in.JobID != "" {
		r.jobID = in.JobID
	}
	if in.Metadata != "" {
		r.metadata = in.Metadata
	}
	return t.grow(k, add, in.At, func(after *verdict.Session) (verdict.Schedule, bool) {
		sch := k.policy.Reschedule(k.before, after, r.schedule())
		if newJob && k.before != nil && k.policy.Wants(after) && !in.At.Before(after.GraceUntil) {
			sch.NextPollAt = in.At // there is a new way to ask
		}
		return sch, false
	})
}

// records are what an expectation adds to a session's chain; nothing for a repetition.
func (in *Expectation) records(k *known, newJob bool) []record {
	grace := in.Grace
	if grace == 0 {
		grace = k.policy.GracePeriod
	}
	mark := verdict.Mark{Kind: verdict.Expected, At: in.At, GraceUntil: whole(in.At.Add(grace)), Verifications: 1, Round: 1}
	if k.before == nil {
		return []record{marked(mark)}
	}
	var add []record
	if newJob {
		add = append(add, record{kind: kindFilled, at: in.At, word: "job_id", jobID: in.JobID})
	}
	if in.Metadata != "" && k.row.metadata == "" {
		add = append(add, record{kind: kindFilled, at: in.At, word: "metadata"})
	}
	if hasMark(k.recs, mark, in.Again) {
		return add // the same once more
	}
	if newest := newestMark(k.recs); !newest.IsZero() && !mark.At.After(newest) {
		// The clock was set back, or both came in one millisecond: what is said last counts.
		mark.At = newest.Add(time.Millisecond)
	}
	first := lastExpected(k.recs)
	switch {
	case first == nil:
		if in.Again && !k.before.Open() {
			mark.Verifications = k.before.Verifications + 1
		}
		return append(add, marked(mark))
	case in.Again && !k.before.Open():
		mark.Verifications, mark.Round = k.before.Verifications+1, first.Round+1
		return append(add, marked(mark))
	case newJob && k.before.State == verdict.Missing:
		// There is a new way to ask: it is waited for again, without a new grace period.
		mark.GraceUntil, mark.Verifications, mark.Round = first.GraceUntil, first.Verifications, first.Round
		return append(add, marked(mark))
	}
	return add
}

// lastExpected is the Expected mark of the highest round.
func lastExpected(recs []record) *verdict.Mark {
	var last *verdict.Mark
	for _, rec := range recs {
		if rec.mark != nil && rec.mark.Kind == verdict.Expected && (last == nil || rec.mark.Round > last.Round) {
			last = rec.mark
		}
	}
	return last
}

// newestMark is the time of the latest mark, zero if there is none.
func newestMark(recs []record) time.Time {
	var newest time.Time
	for _, rec := range recs {
		if rec.mark != nil && rec.mark.At.After(newest) {
			newest = rec.mark.At
		}
	}
	return newest
}

// hasMark reports whether a mark of the same kind and time is there already; one that
// expects again is repeated only by another that does.
func hasMark(recs []record, m verdict.Mark, again bool) bool {
	return slices.ContainsFunc(recs, func(rec record) bool {
		return rec.mark != nil && rec.mark.Kind == m.Kind && rec.mark.At.Equal(m.At) &&
			(!again || rec.mark.Round > 1 || rec.mark.Verifications > 1)
	})
}

// Withdraw records that no result will come. A settled session that is not awaited again
// stays as it is, and so does one withdrawn before. by is the user id of who said so, or
// -1 where it is not known.
func (s *Store) Withdraw(ctx context.Context, account, id string, by int, now time.Time) (Receipt, error) {
	var out Receipt
	now = now.UTC().Truncate(time.Millisecond)
	err := s.queue.do(ctx, func(t *txn) error {
		k, err := t.load(account, id)
		if err != nil {
			return err
		}
		if k.before == nil {
			return refuse(ErrNotFound)
		}
		mark := verdict.Mark{Kind: verdict.CalledOff, At: now}
		if !k.before.Open() && k.before.State != verdict.Missing || hasMark(k.recs, mark, false) {
			out = Receipt{Duplicate: true, Session: *k.before}
			return nil
		}
		if newest := newestMark(k.recs); newest.After(now) {
			mark.At = newest // the clock was set back: what is said last counts
		}
		rec := marked(mark)
		rec.n = int64(by)
		out, err = t.grow(k, []record{rec}, now, func(after *verdict.Session) (verdict.Schedule, bool) {
			return k.policy.Reschedule(k.before, after, k.row.schedule()), false
		})
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("withdraw %s: %w", id, err)
	}
	return out, nil
}
