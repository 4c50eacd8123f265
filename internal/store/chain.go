package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/moverisd/moverisd/internal/verdict"
)

// chain reads all records of a session, the oldest first, following prev from the
// newest. A link that does not lead to an older record of the same session is corruption.
func (s *Store) chain(get func(id int64) scanner, r *row) ([]record, error) {
	return s.chainAfter(get, r, nil)
}

// chainAfter is chain where the oldest records have been read before.
func (s *Store) chainAfter(get func(id int64) scanner, r *row, known []record) ([]record, error) {
	last := int64(0)
	if len(known) > 0 {
		last = known[len(known)-1].id
	}
	var recs []record
	for id := r.head; id != last; {
		if id < last {
			return nil, fmt.Errorf("%w: record %d of session %d is not linked to", ErrCorrupt, last, r.id)
		}
		rec, err := s.scanRecord(get(id))
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("%w: record %d of session %d is not there", ErrCorrupt, id, r.id)
		}
		if err != nil {
			return nil, fmt.Errorf("read record %d of session %d: %w", id, r.id, err)
		}
		if rec.session != r.id || rec.prev >= id {
			return nil, fmt.Errorf("%w: record %d does not belong to session %d", ErrCorrupt, id, r.id)
		}
		recs = append(recs, rec)
		id = rec.prev
	}
	slices.Reverse(recs)
	return append(slices.Clip(known), recs...), nil
}

// evidence is what the fold needs of a chain.
func evidence(recs []record) verdict.Evidence {
	ev := verdict.Evidence{Observations: make([]verdict.Observation, 0, len(recs))}
	for _, rec := range recs {
		switch {
		case rec.obs != nil:
			ev.Observations = append(ev.Observations, *rec.obs)
		case rec.mark != nil:
			ev.Marks = append(ev.Marks, *rec.mark)
		}
	}
	return ev
}
