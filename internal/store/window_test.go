package store

import (
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// summed is what Figures says it is, by one plain query.
func (f *fixture) summed(t *testing.T, since, until time.Time) Figures {
	t.Helper()
	rows, err := f.reader.QueryContext(ctx(), `SELECT figure, sum(n) FROM figures WHERE slot BETWEEN ?1 AND ?2
		AND (slot < ?2 OR figure NOT BETWEEN ?3 AND ?4) GROUP BY figure`,
		slotOf(since), slotOf(until), int64(verdict.DueAnswered), int64(verdict.DueSilent))
	must(t, err)
	defer rows.Close()
	out := Figures{}
	for rows.Next() {
		var figure verdict.Figure
		var n int64
		must(t, rows.Scan(&figure, &n))
		out[figure] = n
	}
	must(t, rows.Err())
	return out
}

func (f *fixture) addFigure(figure verdict.Figure, at time.Time, n int64) error {
	return f.queue.do(ctx(), func(t *txn) error {
		t.count(figure, at, n)
		return nil
	})
}

func sameFigures(t *testing.T, have, want Figures) {
	t.Helper()
	for _, f := range []Figures{have, want} {
		maps.DeleteFunc(f, func(_ verdict.Figure, n int64) bool { return n == 0 })
	}
	if !maps.Equal(have, want) {
		t.Fatalf("figures %v, want %v", have, want)
	}
}

// Figures are what is in the table, however often they were read before, and whatever was added
// or taken back since, in any hour.
func TestFiguresOfAnyWindow(t *testing.T) {
	f := newFixture(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		switch r.IntN(4) {
		case 0:
			f.pass(time.Duration(r.IntN(1800)) * time.Second)
		case 1, 2:
			at := f.now().Add(-time.Duration(r.IntN(30*3600)) * time.Second)
			must(t, f.addFigure([]verdict.Figure{FigureAccepted, verdict.DueSilent, FigureDuplicate}[r.IntN(3)], at, int64(r.IntN(5)-1)))
		}
		window := []time.Duration{24 * time.Hour, 10 * time.Minute, time.Hour, 3 * time.Hour, 0}[r.IntN(5)]
		have, err := f.Figures(ctx(), f.now().Add(-window), f.now())
		must(t, err)
		sameFigures(t, have, f.summed(t, f.now().Add(-window), f.now()))
	}
	f.hours.mu.Lock()
	defer f.hours.mu.Unlock()
	if n := len(f.hours.sums); n == 0 || n > 25 {
		t.Errorf("%d hours are remembered", n)
	}
}

// An hour that changes while it is read is not remembered as it was.
func TestFiguresReadWhileTheyChange(t *testing.T) {
	f := newFixture(t)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 150 {
				if err := f.addFigure(FigureAccepted, f.now().Add(-time.Duration((i*7+w)%20)*time.Hour), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		_, err := f.Figures(ctx(), f.now().Add(-24*time.Hour), f.now())
		must(t, err)
	}
	have, err := f.Figures(ctx(), f.now().Add(-24*time.Hour), f.now())
	must(t, err)
	same(t, "accepted", have[FigureAccepted], 600)
}
