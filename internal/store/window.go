package store

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// slotsPerHour is how many slots have their sums kept together.
const slotsPerHour = int64(time.Hour / slotLength)

// hours remembers the sums of whole hours, so that a day's figures cost what the last hour's
// do: a busy day has more than 100,000 of them. A commit that changes a figure makes its hour
// forgotten.
type hours struct {
	reading sync.Mutex // one reader at a time

	mu   sync.Mutex
	sums map[int64]Figures // by Unix hour
	read map[int64]bool    // being read now: whether a commit has changed it since
}

// changed forgets the hours that a committed transaction has changed.
func (h *hours) changed(figures map[figureKey]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range figures {
		hour := k.slot / slotsPerHour
		delete(h.sums, hour)
		if _, ok := h.read[hour]; ok {
			h.read[hour] = true
		}
	}
}

// Figures sums the figures of the slots from since up to and including until's. What was due by
// a time counts up to the slot before only: in until's own, some of it is not due yet.
func (s *Store) Figures(ctx context.Context, since, until time.Time) (Figures, error) {
	from, to := slotOf(since), slotOf(until)
	out := Figures{}
	// Whole hours first to last-1 lie within; what is before and behind them is read by slot.
	first, last := (from+slotsPerHour-1)/slotsPerHour, to/slotsPerHour
	if first >= last {
		if err := s.sumSlots(ctx, out, from, to, to); err != nil {
			return nil, err
		}
	} else {
		if err := s.sumHours(ctx, out, first, last); err != nil {
			return nil, err
		}
		if err := s.sumSlots(ctx, out, from, first*slotsPerHour-1, to); err != nil {
			return nil, err
		}
		if err := s.sumSlots(ctx, out, last*slotsPerHour, to, to); err != nil {
			return nil, err
		}
	}
	s.rejectedMu.Lock()
	defer s.rejectedMu.Unlock()
	for k, n := range s.rejected {
		if k.slot >= from && k.slot <= to {
			out[verdict.Figure(k.figure)] += n
		}
	}
	return out, nil
}

// sumSlots adds the figures of the slots [from, to] to out; those that something was due by are
// left out for the slot now.
func (s *Store) sumSlots(ctx context.Context, out Figures, from, to, now int64) error {
	if from > to {
		return nil
	}
	rows, err := s.reader.QueryContext(ctx,
		`SELECT figure, sum(n) FROM figures WHERE slot BETWEEN ?1 AND ?2 AND (slot <> ?3 OR figure NOT BETWEEN ?4 AND ?5)
		GROUP BY figure`, from, to, now, int64(verdict.DueAnswered), int64(verdict.DueSilent))
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var f, n int64
		if err := rows.Scan(&f, &n); err != nil {
			return translate(err)
		}
		out[verdict.Figure(f)] += n
	}
	return translate(rows.Err())
}

// sumHours adds the figures of the hours [first, last) to out. Those that are not remembered are
// read together.
func (s *Store) sumHours(ctx context.Context, out Figures, first, last int64) error {
	h := &s.hours
	h.reading.Lock()
	defer h.reading.Unlock()
	absent := h.begin(out, first, last)
	if len(absent) == 0 {
		return nil
	}
	sums, err := s.readHours(ctx, absent[0], absent[len(absent)-1])
	h.end(absent, sums)
	for _, hour := range absent {
		out.add(sums[hour])
	}
	return err
}

// begin adds what is remembered to out, and returns the hours that are to be read.
func (h *hours) begin(out Figures, first, last int64) (absent []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.sums, func(hour int64, _ Figures) bool { return hour < first })
	h.read = map[int64]bool{}
	for hour := first; hour < last; hour++ {
		if sum, ok := h.sums[hour]; ok {
			out.add(sum)
			continue
		}
		absent = append(absent, hour)
		h.read[hour] = false
	}
	return absent
}

// end remembers the hours that were read and that no commit has changed meanwhile; after an
// error sums is nil.
func (h *hours) end(absent []int64, sums map[int64]Figures) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hour := range absent {
		if sums == nil || h.read[hour] {
			continue
		}
		if h.sums == nil {
			h.sums = map[int64]Figures{}
		}
		h.sums[hour] = sums[hour]
	}
	h.read = nil
}

// readHours sums the figures of the hours [first, last].
func (s *Store) readHours(ctx context.Context, first, last int64) (map[int64]Figures, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT slot / ?1, figure, sum(n) FROM figures WHERE slot BETWEEN ?2 AND ?3 GROUP BY 1, 2`,
		slotsPerHour, first*slotsPerHour, (last+1)*slotsPerHour-1)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	sums := map[int64]Figures{}
	for rows.Next() {
		var hour, f, n int64
		if err := rows.Scan(&hour, &f, &n); err != nil {
			return nil, translate(err)
		}
		if sums[hour] == nil {
			sums[hour] = Figures{}
		}
		sums[hour][verdict.Figure(f)] = n
	}
	if err := rows.Err(); err != nil {
		return nil, translate(err)
	}
	return sums, nil
}

func (f Figures) add(g Figures) {
	for figure, n := range g {
		f[figure] += n
	}
}
