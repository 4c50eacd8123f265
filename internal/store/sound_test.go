package store

import (
	"github.com/moverisd/moverisd/internal/verdict"
)

// sound checks what holds at any time: the file, the links, the totals, the fold of every
// session and the figures that follow from them.
func (f *fixture) sound() {
	f.t.Helper()
	wrong, err := f.Verify(ctx())
	must(f.t, err)
	same(f.t, "verify", wrong, []string(nil))
	must(f.t, f.Rebuild(ctx(), false, func(d Difference) { f.t.Errorf("rebuild: %+v", d) }, func(int64) {}))
	same(f.t, "figures", f.figuresKept(), f.figuresCounted())
	same(f.t, "packed", f.packsKept(), f.packsCounted())
}

func isTallied(f int64) bool { return f < 100 || f >= int64(verdict.WebhookLagFigures) }

func (f *fixture) figuresKept() map[figureKey]int64 {
	f.t.Helper()
	rows, err := f.reader.Query("SELECT slot, figure, n FROM figures WHERE n <> 0")
	must(f.t, err)
	defer rows.Close()
	out := map[figureKey]int64{}
	for rows.Next() {
		var k figureKey
		var n int64
		must(f.t, rows.Scan(&k.slot, &k.figure, &n))
		if isTallied(k.figure) {
			out[k] = n
		}
	}
	must(f.t, rows.Err())
	return out
}

func (f *fixture) figuresCounted() map[figureKey]int64 {
	f.t.Helper()
	out := map[figureKey]int64{}
	for after := ""; ; {
		page, next, err := f.List(ctx(), Filter{After: after})
		must(f.t, err)
		for _, v := range page {
			for _, sh := range verdict.Tally(&v.Session) {
				out[figureKey{slotOf(sh.At), int64(sh.Figure)}]++
			}
		}
		if after = next; after == "" {
			return out
		}
	}
}

// packsCounted counts again how many events of each forward are in packs.
func (f *fixture) packsCounted() map[int64]int64 {
	f.t.Helper()
	tx, err := f.reader.BeginTx(ctx(), nil)
	must(f.t, err)
	defer tx.Rollback()
	packs, err := readPacks(ctx(), tx, 0)
	must(f.t, err)
	out := map[int64]int64{}
	for _, id := range f.forwards.ids {
		out[id] = 0
	}
	for p := range packs {
		must(f.t, p.err)
		for _, e := range p.events {
			for _, id := range e.forwards {
				out[id]++
			}
		}
	}
	return out
}

func (f *fixture) packsKept() map[int64]int64 {
	out, kept := map[int64]int64{}, f.packed.all()
	for _, id := range f.forwards.ids {
		out[id] = kept[id]
	}
	return out
}
