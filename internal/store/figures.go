package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// slotLength is the grain of the figures. A window is exact to one slot.
const slotLength = 10 * time.Second

func slotOf(t time.Time) int64 { return t.Unix() / int64(slotLength/time.Second) }

// Figures of the edge, beside those that sessions add to (verdict.Tally).
const (
	FigureAccepted verdict.Figure = iota + 101
	FigureDuplicate
	FigureDeadLetter
	FigureUnknownEvent
	FigureHeaderMismatch
	FigureWrongSession // 200 answers that were for another session
)

// figureRejected is the base of the counts of rejected deliveries, by reason.
const figureRejected verdict.Figure = 200

// Rejections lists the reasons for which a delivery is refused, in the order of their
// codes; it only ever grows at its end.
func Rejections() []string {
	return []string{"signature", "too_large", "media_type", "encoding", "timeout",
		"incomplete", "overloaded", "draining", "store"}
}

// Totals over all sessions and dead letters.
const (
	totalState        int64 = 0 // plus the code of the state
	totalConflicts    int64 = 11
	totalNewConflicts int64 = 12 // not acknowledged
	totalNewMissing   int64 = 13 // not acknowledged
	totalUnknownWord  int64 = 14 // open sessions with a word we do not know
	totalDeadLetters  int64 = 15
	totalNewDead      int64 = 16 // not acknowledged
	totalLoose        int64 = 17
)

// totals lists what a row adds to the totals.
func (r *row) totals() []int64 {
	if r.id == 0 {
		return nil
	}
	list := []int64{totalState + r.state}
	if r.flags&flagConflict != 0 {
		list = append(list, totalConflicts)
		if r.flags&flagConflictAcked == 0 {
			list = append(list, totalNewConflicts)
		}
	}
	if r.state == code(verdict.States(), verdict.Missing) && r.flags&flagMissingAcked == 0 {
		list = append(list, totalNewMissing)
	}
	if r.flags&flagUnknownWord != 0 {
		list = append(list, totalUnknownWord)
	}
	return list
}

// recount moves the totals from what a row added before to what it adds now.
func (t *txn) recount(before, after []int64) {
	for _, k := range before {
		t.totals[k]--
	}
	for _, k := range after {
		t.totals[k]++
	}
}

// retally moves the figures from one fold of a session to the next.
func (t *txn) retally(before *verdict.Session, after *verdict.Session) {
	if before != nil {
		for _, sh := range verdict.Tally(before) {
			t.count(sh.Figure, sh.At, -1)
		}
	}
	for _, sh := range verdict.Tally(after) {
		t.count(sh.Figure, sh.At, 1)
	}
}

// CountRejected counts a delivery that was refused. It is kept in memory until the next
// commit: strangers can cause no write.
func (s *Store) CountRejected(reason string) {
	i := slices.Index(Rejections(), reason)
	if i < 0 {
		return
	}
	s.counters.add(figureRejected+verdict.Figure(i), 1)
	s.rejectedMu.Lock()
	defer s.rejectedMu.Unlock()
	s.rejected[figureKey{slotOf(s.now()), int64(figureRejected) + int64(i)}]++
}

// takeRejected moves the counted rejections into the transaction.
func (t *txn) takeRejected() {
	s := t.q.s
	s.rejectedMu.Lock()
	defer s.rejectedMu.Unlock()
	for k, n := range s.rejected {
		t.figures[k] += n
		t.rejected = append(t.rejected, rejectedCount{k, n})
	}
	clear(s.rejected)
}

type rejectedCount struct {
	key figureKey
	n   int64
}

// giveBackRejected undoes takeRejected after a rollback.
func (t *txn) giveBackRejected() {
	s := t.q.s
	s.rejectedMu.Lock()
	defer s.rejectedMu.Unlock()
	for _, r := range t.rejected {
		s.rejected[r.key] += r.n
	}
}

// Figures are sums of figures over a window.
type Figures map[verdict.Figure]int64

// Rejected splits the rejections off by reason; reasons that never occurred are left
// out, but for the two every reader looks for.
func (f Figures) Rejected() map[string]int64 {
	out := map[string]int64{"signature": 0, "too_large": 0}
	for i, reason := range Rejections() {
		if n := f[figureRejected+verdict.Figure(i)]; n > 0 {
			out[reason] = n
		}
	}
	return out
}

// counters are the additions to the figures since the process began, of all slots together: what
// metrics count. A correction of an earlier addition takes nothing away from them.
type counters struct {
	mu  sync.Mutex
	sum Figures
}

// addUp adds what a committed transaction has added.
func (c *counters) addUp(figures map[figureKey]int64) {
	net := Figures{}
	for k, n := range figures {
		if !rejection(k.figure) {
			net[verdict.Figure(k.figure)] += n
		}
	}
	for f, n := range net {
		c.add(f, n)
	}
}

func (c *counters) add(f verdict.Figure, n int64) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sum == nil {
		c.sum = Figures{}
	}
	c.sum[f] += n
}

// rejection reports whether a figure counts rejections, which are added up when they happen.
func rejection(figure int64) bool {
	return figure >= int64(figureRejected) && figure < int64(figureRejected)+int64(len(Rejections()))
}

// Counters are the additions to the figures since the process began; they never decrease.
func (s *Store) Counters() Figures {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	if s.counters.sum == nil {
		return Figures{}
	}
	return maps.Clone(s.counters.sum)
}

// Bin is the sum of figures over one step of a series.
type Bin struct {
	At      time.Time // its beginning
	Figures Figures
}

// Series sums the figures in n steps, the last of which holds now. A step is a multiple of ten
// seconds, the grain of the figures.
func (s *Store) Series(ctx context.Context, now time.Time, step time.Duration, n int) ([]Bin, error) {
	per := max(int64(step/slotLength), 1)
	last := slotOf(now) / per
	first := last - int64(n) + 1
	rows, err := s.reader.QueryContext(ctx,
		`SELECT slot / ?1, figure, sum(n) FROM figures WHERE slot BETWEEN ?2 AND ?3 GROUP BY 1, 2`,
		per, first*per, (last+1)*per-1)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	bins := make([]Bin, n)
	for i := range bins {
		bins[i] = Bin{time.Unix((first+int64(i))*per*int64(slotLength/time.Second), 0).UTC(), Figures{}}
	}
	for rows.Next() {
		var bin, f, count int64
		if err := rows.Scan(&bin, &f, &count); err != nil {
			return nil, translate(err)
		}
		bins[bin-first].Figures[verdict.Figure(f)] = count
	}
	return bins, translate(rows.Err())
}
