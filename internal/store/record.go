package store

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// record is one entry of a session's chain.
type record struct {
	id      int64
	kind    int64
	at      time.Time
	n       int64
	word    string
	obs     *verdict.Observation // observations only
	mark    *verdict.Mark        // marks only
	label   string
	route   string
	jobID   string
	digest  []byte
	body    []byte
	noBody  bool // body not read
	flags   int64
	dueAt   time.Time
	prev    int64
	session int64
}

const recordColumns = `id, session, coalesce(prev, 0), kind, at_ms, n, flags, coalesce(word, ''),
	coalesce(verdict, ''), created_at_ns, completed_at_ns, as_of_ns, coalesce(due_ms, 0), coalesce(wait_ms, 0),
	coalesce(model, ''), coalesce(type, ''), coalesce(job_id, ''), score, real_score, confidence,
	coalesce(label, 0), coalesce(route, 0), digest`

// observed makes the record of an observation.
func observed(o verdict.Observation, body []byte) record {
	return record{kind: code(forms(), o.Form), at: o.ObservedAt, obs: &o, label: o.Label, route: o.Route,
		jobID: o.JobID, word: o.Status, digest: o.Digest[:], body: body, dueAt: o.WebhookDueAt}
}

// marked makes the record of a mark.
func marked(m verdict.Mark) record {
	kinds := map[verdict.MarkKind]int64{verdict.Expected: kindExpected,
		verdict.CalledOff: kindWithdrawn, verdict.GaveUpMark: kindGaveUp}
	return record{kind: kinds[m.Kind], at: m.At, mark: &m, n: int64(m.Verifications),
		flags: int64(m.Round), dueAt: m.GraceUntil}
}

// recordInsert are the columns of a record in the order in which append writes them. n and flags
// are left out where they are 0, which is their default.
const recordInsert = `id, session, prev, kind, at_ms, n, flags, word, due_ms, job_id, label, route, digest, body,
	verdict, created_at_ns, completed_at_ns, as_of_ns, wait_ms, model, type, score, real_score, confidence`

// append writes a record to the end of a session's chain.
func (t *txn) append(r *row, rec record) error {
	label, err := t.name(rec.label)
	if err != nil {
		return err
	}
	route, err := t.name(rec.route)
	if err != nil {
		return err
	}
	if rec.session = r.id; r.id == 0 {
		rec.session = t.q.nextSess // save gives the new row this number
	}
	rec.id = t.q.nextRecord
	t.q.nextRecord++
	prev := null(r.head)
	r.head = rec.id
	o := rec.obs
	if o == nil {
		return t.insert("records", recordInsert, rec.id, rec.session, prev, rec.kind, millis(rec.at), null(rec.n), null(rec.flags),
			nullText(rec.word), null(millis(rec.dueAt)), nullText(rec.jobID), label, route, blob(rec.digest), blob(rec.body))
	}
	flags := rec.flags
	if o.HeaderMismatch {
		flags = recordMismatch
	}
	if o.Unavailable {
		flags |= recordUnavailable
	}
	asOf := nanos(o.AsOf)
	if o.AsOf.Equal(o.CreatedAt) {
		asOf = nil
	}
	return t.insert("records", recordInsert, rec.id, rec.session, prev, rec.kind, millis(rec.at), null(rec.n), null(flags),
		nullText(rec.word), null(millis(rec.dueAt)), nullText(rec.jobID), label, route, blob(rec.digest), blob(rec.body),
		nullText(o.Verdict), nanos(o.CreatedAt), nanos(o.CompletedAt), asOf, null(o.RepeatAfter.Milliseconds()),
		nullText(o.Model), nullText(o.Type), number(o.Score), number(o.RealScore), number(o.Confidence))
}

func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func number(f *float64) any {
	if f == nil {
		return nil
	}
	return *f
}

// scanRecord reads a record without its body.
func (s *Store) scanRecord(row scanner) (record, error) {
	rec := record{noBody: true}
	var o verdict.Observation
	var ms, due, wait, label, route int64
	var created, completed, asOf sql.NullInt64
	var score, real, confidence sql.NullFloat64
	err := row.Scan(&rec.id, &rec.session, &rec.prev, &rec.kind, &ms, &rec.n, &rec.flags, &rec.word,
		&o.Verdict, &created, &completed, &asOf, &due, &wait,
		&o.Model, &o.Type, &rec.jobID, &score, &real, &confidence, &label, &route, &rec.digest)
	if err != nil {
		return rec, err
	}
	rec.at, rec.dueAt = at(ms), at(due)
	rec.label, rec.route = s.names.text(label), s.names.text(route)
	switch {
	case rec.kind >= kindCompleted && rec.kind <= kindSubmitted:
		o.CreatedAt, o.CompletedAt, o.AsOf = fromNanos(created), fromNanos(completed), fromNanos(asOf)
		if o.AsOf.IsZero() {
			o.AsOf = o.CreatedAt
		}
		o.Score, o.RealScore, o.Confidence = pointer(score), pointer(real), pointer(confidence)
		o.RepeatAfter = time.Duration(wait) * time.Millisecond
		rec.obs = &o
		return rec, rec.fillObservation()
	case rec.kind >= kindExpected && rec.kind <= kindGaveUp:
		kinds := [...]verdict.MarkKind{verdict.Expected, verdict.CalledOff, verdict.GaveUpMark}
		rec.mark = &verdict.Mark{Kind: kinds[rec.kind-kindExpected], At: rec.at}
		if rec.kind == kindExpected { // of a withdrawal, n is the user id
			rec.mark.GraceUntil, rec.mark.Verifications, rec.mark.Round = rec.dueAt, int(rec.n), int(rec.flags)
		}
	}
	return rec, nil
}

// fillObservation fills what the record and its observation share.
func (rec *record) fillObservation() error {
	o := rec.obs
	form, err := word(forms(), rec.kind)
	if err != nil {
		return fmt.Errorf("%w: record %d: kind: %w", ErrCorrupt, rec.id, err)
	}
	o.Source, o.Form, o.Status = sourceOf(rec.kind), form, rec.word
	o.ObservedAt, o.WebhookDueAt = rec.at, rec.dueAt
	o.JobID, o.Label, o.Route = rec.jobID, rec.label, rec.route
	o.HeaderMismatch = rec.flags&recordMismatch != 0
	o.Unavailable = rec.flags&recordUnavailable != 0
	if len(rec.digest) != len(o.Digest) {
		return fmt.Errorf("%w: record %d has a digest of %d bytes", ErrCorrupt, rec.id, len(rec.digest))
	}
	copy(o.Digest[:], rec.digest)
	return nil
}

// nanos is one of Moveris' times as the store keeps it; the zero time is null. It must
// have passed [representable].
func nanos(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

func fromNanos(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(0, n.Int64).UTC()
}

func pointer(f sql.NullFloat64) *float64 {
	if !f.Valid {
		return nil
	}
	return &f.Float64
}
