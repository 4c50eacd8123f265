package store

import (
	"context"
	"database/sql"
	"maps"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// txn is one transaction of the writer. It gathers the changes of figures and totals and
// writes each once at its end.
type txn struct {
	q       *queue
	figures map[figureKey]int64
	totals  map[int64]int64
	woken   []sessionKey // sessions whose waiters are to be woken after the commit
	events  bool

	labels   map[labelKey]int64 // when secrets were last used, Unix milliseconds
	rejected []rejectedCount

	outbox map[int64]*forwardCounts // by forward
	packed packedCounts             // events more in packs than before
	turned bool                     // an event may have got its turn to be sent
	packs  []pack                   // events for the outbox

	newAccounts, newNames, newForwards map[string]int64 // written by this transaction

	firstRecord, firstSess, firstEvent int64 // to go back to after a rollback
}

// labelGrain is how exact the time is at which a secret was last used: no commit needs to write
// that page for a later millisecond.
const labelGrain = time.Second

type figureKey struct {
	slot   int64
	figure int64
}

func newTxn(q *queue) *txn {
	return &txn{q: q, figures: map[figureKey]int64{}, totals: map[int64]int64{},
		firstRecord: q.nextRecord, firstSess: q.nextSess, firstEvent: q.nextEvent}
}

// stmt prepares a statement once for the life of the connection.
func (t *txn) stmt(query string) (*sql.Stmt, error) {
	if st, ok := t.q.stmts[query]; ok {
		return st, nil
	}
	st, err := t.q.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	t.q.stmts[query] = st
	return st, nil
}

// query runs a prepared query; the transaction is its reader.
func (t *txn) query(query string, args ...any) (*sql.Rows, error) {
	st, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return st.Query(args...)
}

// flush writes the gathered deltas.
func (t *txn) flush() error {
	t.takeRejected()
	for k, ms := range t.labels {
		if ms-t.q.labels[k] < labelGrain.Milliseconds() {
			delete(t.labels, k)
			continue
		}
		if err := t.exec(`INSERT INTO label_stats VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET last_used_ms = max(last_used_ms, excluded.last_used_ms)`,
			k.account, k.label, ms); err != nil {
			return err
		}
	}
	for k, n := range t.figures {
		if n == 0 {
			continue
		}
		if err := t.exec(`INSERT INTO figures VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`, k.slot, k.figure, n); err != nil {
			return err
		}
	}
	for k, n := range t.totals {
		if n == 0 {
			continue
		}
		if err := t.exec(`INSERT INTO totals VALUES (?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`, k, n); err != nil {
			return err
		}
	}
	return t.flushForwards()
}

// committed tells the rest of the process what the transaction has changed.
func (t *txn) committed() {
	s := t.q.s
	maps.Copy(t.q.labels, t.labels)
	s.accounts.learn(t.newAccounts)
	s.names.learn(t.newNames)
	s.forwards.learn(t.newForwards)
	s.packed.take(&t.packed)
	s.counters.addUp(t.figures)
	s.hours.changed(t.figures)
	s.wake.sessions(t.woken)
	if t.events {
		s.wake.events()
	}
	if t.turned {
		s.outbox.fire()
	}
}

// count adds to a figure at a time.
func (t *txn) count(f verdict.Figure, at time.Time, n int64) {
	t.figures[figureKey{slotOf(at), int64(f)}] += n
}
