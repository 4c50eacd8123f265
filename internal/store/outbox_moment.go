package store

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/moverisd/moverisd/internal/verdict"
)

// moment is what the records of a session do not tell about it at the time of an event.
type moment struct {
	state, outcome, firstBy, flags int64 // of its row, and of the event
	attempts, nextPoll, route      int64
	jobID                          bool  // it had one, which never changes
	head                           int64 // its newest record
	again                          []redeliveries
}

// redeliveries of an observation until then: of what is sent the one thing that changes in a record.
type redeliveries struct{ record, n int64 }

// momentOf is the moment of a session that has just been saved, with all its records.
func momentOf(r *row, recs []record) *moment {
	m := &moment{state: r.state, outcome: r.outcome, firstBy: r.firstBy, flags: r.flags, attempts: r.attempts,
		nextPoll: r.nextPoll, route: r.route, jobID: r.jobID != "", head: r.head}
	for i := range recs {
		if recs[i].obs != nil && recs[i].n != 0 {
			m.again = append(m.again, redeliveries{recs[i].id, recs[i].n})
		}
	}
	return m
}

func (m *moment) append(b []byte) []byte {
	for _, n := range []int64{m.state, m.outcome, m.firstBy, m.flags, m.attempts, m.nextPoll, m.route, m.head} {
		b = binary.AppendVarint(b, n)
	}
	jobID := byte(0)
	if m.jobID {
		jobID = 1
	}
	b = binary.AppendVarint(append(b, jobID), int64(len(m.again)))
	for _, a := range m.again {
		b = binary.AppendVarint(binary.AppendVarint(b, a.record), a.n)
	}
	return b
}

func (r *packReader) moment() *moment {
	m := &moment{state: r.number(), outcome: r.number(), firstBy: r.number(), flags: r.number(),
		attempts: r.number(), nextPoll: r.number(), route: r.number(), head: r.number()}
	m.jobID = r.byte() != 0
	for n := r.number(); n > 0 && !r.bad; n-- {
		m.again = append(m.again, redeliveries{r.number(), r.number()})
	}
	return m
}

// of is a row as it was at the moment.
func (m *moment) of(r row) *row {
	r.state, r.outcome, r.firstBy, r.flags = m.state, m.outcome, m.firstBy, m.flags
	r.attempts, r.nextPoll, r.route, r.head = m.attempts, m.nextPoll, m.route, m.head
	if !m.jobID {
		r.jobID = ""
	}
	r.metadata = "" // it is put in when what is sent is written, unless it was erased by then
	return &r
}

// render makes what is sent about a packed event.
func (u *unpacking) render(store string, p *packed) ([]byte, error) {
	s := u.q.s
	f := s.forwarding.Load()
	if f == nil || f.Render == nil {
		return nil, refuse(fmt.Errorf("event %d cannot be made ready to be forwarded: the store was not told how", p.seq))
	}
	e, err := s.packedEvent(p)
	var v View
	if err == nil {
		v, err = u.viewThen(&e, p)
	}
	if errors.Is(err, ErrCorrupt) {
		// The event itself is known, and must not keep all others back.
		s.log.Error("the session of an event cannot be read, what is forwarded has its outcome only", "session", p.sessionID, "err", err)
		v = View{ID: e.SessionID, Account: e.Account, State: e.State,
			Session: verdict.Session{Outcome: e.Outcome, FirstBy: e.FirstBy, Conflict: e.Conflict}}
	} else if err != nil {
		return nil, err
	}
	return f.Render(store, e, v), nil
}

// packedEvent is the event as its transaction wrote it. A word that is not known is left out,
// and is ErrCorrupt.
func (s *Store) packedEvent(p *packed) (Event, error) {
	e := Event{Seq: p.seq, At: at(p.at), Account: s.accounts.text(p.account), SessionID: p.sessionID,
		Conflict: p.then.flags&flagConflict != 0}
	var errs [4]error
	e.Change, errs[0] = word(verdict.Changes(), p.change)
	e.State, errs[1] = word(verdict.States(), p.then.state)
	e.Outcome, errs[2] = word(verdict.Outcomes(), p.then.outcome)
	e.FirstBy, errs[3] = word(verdict.Sources(), p.then.firstBy)
	if err := errors.Join(errs[:]...); err != nil {
		return e, fmt.Errorf("%w: event %d in a pack of the outbox: %w", ErrCorrupt, p.seq, err)
	}
	return e, nil
}

// viewThen is the session of a packed event as it was then.
func (u *unpacking) viewThen(e *Event, p *packed) (View, error) {
	s := u.q.s
	r, err := s.scanRow(u.lookup("SELECT "+rowColumns+" FROM sessions WHERE id = ?", p.session))
	if errors.Is(err, sql.ErrNoRows) {
		return View{}, fmt.Errorf("%w: session %d is not there", ErrCorrupt, p.session)
	}
	if err != nil {
		return View{}, err
	}
	r = p.then.of(*r)
	recs, ok := thenOf(u.chains[r.id], r.head)
	if !ok {
		known := u.chains[r.id]
		if recs, err = s.chainAfter(u.readRecord, r, known); err != nil {
			return View{}, err
		}
		u.chains[r.id] = recs
		u.records += len(recs) - len(known)
	}
	recs = slices.Clone(recs)
	p.then.redelivered(recs)
	return s.viewOf(r, verdict.Fold(evidence(recs)), recs, e.At), nil
}

// redelivered gives records their redeliveries until then. Both are in the order of numbers.
func (m *moment) redelivered(recs []record) {
	again := m.again
	for i := range recs {
		if recs[i].obs == nil {
			continue
		}
		for len(again) > 0 && again[0].record < recs[i].id {
			again = again[1:]
		}
		recs[i].n = 0
		if len(again) > 0 && again[0].record == recs[i].id {
			recs[i].n = again[0].n
		}
	}
}
