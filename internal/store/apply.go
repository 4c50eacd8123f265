package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Observed is one observation to be applied, with the bytes it was read from.
type Observed struct {
	Account     string
	SessionID   string
	Observation verdict.Observation
	Body        []byte
	Attempt     *Attempt // the attempt that brought it, polls only
}

// Receipt says what an operation came to.
type Receipt struct {
	New       bool // the session was not known before
	Duplicate bool // nothing was added
	Session   verdict.Session
	Changes   []verdict.Change
}

// Apply appends an observation and folds its session again. It returns after the commit:
// a nil error means that the observation, or for a duplicate the original, is on disk.
func (s *Store) Apply(ctx context.Context, in Observed) (Receipt, error) {
	var out Receipt
	var err error
	if in.Observation, err = storable(in.Observation); err == nil {
		err = s.queue.do(ctx, func(t *txn) error {
			var err error
			out, err = t.apply(in)
			return err
		})
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("apply %s observation of %s: %w", in.Observation.Source, in.SessionID, err)
	}
	return out, nil
}

func (t *txn) apply(in Observed) (Receipt, error) {
	k, err := t.load(in.Account, in.SessionID)
	if err != nil {
		return Receipt{}, err
	}
	if err := t.own(k.row); err != nil {
		return Receipt{}, err
	}
	o := &in.Observation
	if o.Source == verdict.Webhook {
		t.used(k.row.account, o.Label, o.ObservedAt)
	}
	duplicate := !evidence(k.recs).Adds(o)
	if duplicate && in.Attempt == nil {
		return t.redelivered(k, o)
	}
	var add []record
	if in.Attempt != nil {
		add = in.Attempt.records(k)
		if err := t.answeredBy(k.row, in.Attempt.Route); err != nil {
			return Receipt{}, err
		}
	}
	if !duplicate {
		add = append(add, observed(*o, in.Body))
	}
	t.countDelivery(o, FigureAccepted)
	now := o.ObservedAt
	out, err := t.grow(k, add, now, func(after *verdict.Session) (verdict.Schedule, bool) {
		return in.Attempt.schedule(k, after)
	})
	out.Duplicate = duplicate
	return out, err
}

// countDelivery counts what came by webhook; other sources are counted where they settle.
func (t *txn) countDelivery(o *verdict.Observation, f verdict.Figure) {
	if o.Source != verdict.Webhook {
		return
	}
	t.count(f, o.ObservedAt, 1)
	if o.HeaderMismatch {
		t.count(FigureHeaderMismatch, o.ObservedAt, 1)
	}
}

// redelivered counts a delivery that is there already. Its waiter is released with the
// commit of this batch, which comes after the one that holds the original.
func (t *txn) redelivered(k *known, o *verdict.Observation) (Receipt, error) {
	t.countDelivery(o, FigureDuplicate)
	for _, rec := range k.recs {
		if rec.obs != nil && rec.obs.Source == o.Source && rec.obs.Digest == o.Digest {
			err := t.exec("UPDATE records SET n = n + 1 WHERE id = ?", rec.id)
			return Receipt{Duplicate: true, Session: *k.before}, err
		}
	}
	return Receipt{Duplicate: true, Session: *k.before}, nil
}

// known is a session as it was before an operation.
type known struct {
	row    *row
	recs   []record
	before *verdict.Session // nil if the session is new
	policy verdict.Policy
}

// load reads a session with its records and folds it.
func (t *txn) load(account, id string) (*known, error) {
	r, err := t.find(account, id)
	if err != nil {
		return nil, err
	}
	k := &known{row: r, policy: t.q.s.policyOf(account)}
	if r.id == 0 {
		return k, nil
	}
	if k.recs, err = t.q.s.chain(t.readRecord, r); err != nil {
		return nil, err
	}
	before := verdict.Fold(evidence(k.recs))
	k.before = &before
	return k, nil
}

func (t *txn) readRecord(id int64) scanner {
	return t.lookup("SELECT "+recordColumns+" FROM records WHERE id = ?", id)
}

// grow appends records to a session, folds it again, and writes what follows: its row,
// its events, its shares of figures and totals. schedule says when it is asked about
// next, and whether it is given up.
func (t *txn) grow(k *known, add []record, now time.Time,
	schedule func(after *verdict.Session) (verdict.Schedule, bool)) (Receipt, error) {
	r := k.row
	if err := t.own(r); err != nil {
		return Receipt{}, err
	}
	totals := r.totals()
	all := append(slices.Clip(k.recs), add...)
	out := Receipt{New: k.before == nil, Session: verdict.Fold(evidence(all))}
	after := &out.Session
	sch, giveUp := schedule(after)
	if giveUp {
		all = append(all, marked(verdict.Mark{Kind: verdict.GaveUpMark, At: now}))
		*after = verdict.Fold(evidence(all))
	}
	out.Changes = verdict.Diff(k.before, *after)
	for _, rec := range all[len(k.recs):] {
		if err := t.append(r, rec); err != nil {
			return out, err
		}
	}
	r.take(after, sch, now)
	if hasNew(out.Changes, verdict.ChangeConflicted) {
		r.flag(flagConflictAcked, false)
	}
	if err := t.announce(r, all, out.Changes, now); err != nil {
		return out, err
	}
	t.recount(totals, r.totals())
	t.retally(k.before, after)
	t.woken = append(t.woken, sessionKey{r.name, r.sessionID})
	return out, nil
}

func hasNew(changes []verdict.Change, c verdict.Change) bool {
	for _, have := range changes {
		if have == c {
			return true
		}
	}
	return false
}

// announce writes the row of a session, and an event for each change, which it puts into the
// outbox of the forwards that want it. recs are all records of the session.
func (t *txn) announce(r *row, recs []record, changes []verdict.Change, now time.Time) error {
	forwarding := t.q.s.forwarding.Load()
	for i, c := range changes {
		if len(forwarding.wanted(c)) > 0 {
			r.outboxSeq = t.q.nextEvent + int64(i)
		}
	}
	if err := t.save(r); err != nil {
		return err
	}
	for _, c := range changes {
		seq, change := t.q.nextEvent, code(verdict.Changes(), c)
		t.q.nextEvent++
		t.events = true
		if err := t.insert("events", "seq, at_ms, account, session_id, change, state, outcome, first_by, conflict", seq, millis(now), r.account, r.key,
			change, r.state, null(r.outcome), null(r.firstBy), r.flags&flagConflict != 0); err != nil {
			return err
		}
		if err := t.forwardEvent(forwarding, seq, c, r, recs, now); err != nil {
			return err
		}
	}
	return nil
}

// used remembers when a secret was last used.
func (t *txn) used(account int64, label string, at time.Time) {
	if t.labels == nil {
		t.labels = map[labelKey]int64{}
	}
	k := labelKey{account, label}
	t.labels[k] = max(t.labels[k], millis(at))
}

type labelKey struct {
	account int64
	label   string
}
