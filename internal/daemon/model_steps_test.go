package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// pick draws a session: mostly one of the younger ones, now and then a new one.
func (m *model) pick() string {
	if m.ids == 0 || m.rnd.IntN(10) == 0 {
		m.ids++
	}
	return fmt.Sprint("s", m.ids-m.rnd.IntN(min(m.ids, 25)))
}

// truth draws what has become of a session at Moveris, or what had.
func (m *model) truth(id string) *modelTruth {
	words := []string{"live", "live", "live", "fake", "fake", "inconclusive", "", "odd"}
	states := []string{"complete", "complete", "complete", "complete", "processing", "failed", "", "strange"}
	t := m.moveris.sessions[id]
	if t == nil || m.rnd.IntN(4) == 0 {
		t = &modelTruth{created: time.Now().Add(-time.Duration(m.rnd.IntN(5000)) * time.Millisecond)}
	}
	next := &modelTruth{created: t.created, verdict: words[m.rnd.IntN(len(words))], status: states[m.rnd.IntN(len(states))]}
	m.moveris.set(id, next)
	return next
}

// step does one random thing.
func (m *model) step() {
	id := m.pick()
	switch n := m.rnd.IntN(100); {
	case n < 20:
		m.expect(id)
	case n < 40:
		m.webhook(id, nil)
	case n < 45:
		m.webhook(id, func(h http.Header) { h.Set("X-Webhook-Session", "another") })
	case n < 52 && len(m.sent) > 0:
		m.redeliver()
	case n < 55:
		m.rejected++
		if code := m.deliver(completed(id, "live", time.Now()), func(h http.Header) { h.Set("X-Webhook-Signature", "sha256=00") }); code != 401 {
			m.t.Errorf("step %d: a forged delivery was answered %d", m.done, code)
		}
	case n < 57:
		m.deadLetter(id)
	case n < 63:
		m.submit(id, m.truth(id))
	case n < 68:
		m.truth(id)
	case n < 82:
		m.sweep()
	case n < 86:
		m.moveris.mode = modelModes()[m.rnd.IntN(len(modelModes()))]
	case n < 89:
		_, err := m.st.Withdraw(context.Background(), "production", id, -1, time.Now())
		if m.known[id] == nil != errors.Is(err, store.ErrNotFound) {
			m.t.Errorf("step %d: withdraw %s: %v", m.done, id, err)
		}
	case n < 92:
		m.pass(time.Duration(m.rnd.IntN(int(time.Hour))))
	case n < 94:
		m.byHand(id)
	case n < 96:
		m.crash()
	case n < 98:
		m.policy.ConfirmSubmitted = m.rnd.IntN(2) == 0
		m.reload()
	default:
		m.prune()
	}
	m.pass(time.Duration(1+m.rnd.IntN(2000)) * time.Millisecond)
}

// pass lets time go by. Everything is at rest meanwhile.
func (m *model) pass(d time.Duration) { time.Sleep(d) }

func (m *model) expect(id string) {
	in := store.Expectation{Account: "production", SessionID: id, At: time.Now(), Again: m.rnd.IntN(8) == 0}
	if m.rnd.IntN(3) == 0 {
		in.JobID = "j-" + id
	}
	if m.rnd.IntN(3) == 0 {
		in.Grace = time.Duration(1+m.rnd.IntN(300)) * time.Second
	}
	_, err := m.st.Expect(context.Background(), in)
	m.must(err)
	m.session(id).expected = true
}

func (m *model) webhook(id string, change func(http.Header)) {
	truth := m.truth(id)
	event := "verification.completed"
	if truth.status == "failed" {
		event = "verification.failed"
	}
	at := truth.created
	if m.rnd.IntN(4) == 0 {
		at = time.Now()
	}
	m.acknowledged(id, modelWebhook(event, id, truth.verdict, at), at, change)
}

// redeliver sends again what was sent before, at once or much later.
func (m *model) redeliver() {
	body := m.sent[m.rnd.IntN(len(m.sent))]
	var id string
	var at time.Time
	for known := range m.known { // whose it was
		if _, ok := m.known[known].ledger[sha256.Sum256([]byte(body))]; ok {
			id = known
		}
	}
	d, err := parsed(body)
	m.must(err)
	if at = d.Timestamp; id == "" {
		id = d.SessionID
	}
	m.acknowledged(id, body, at, nil)
}

func (m *model) deadLetter(id string) {
	for _, body := range []string{fmt.Sprint("no JSON ", m.rnd.IntN(50)), fmt.Sprintf(`{"event":"webhook.test","session_id":%q,"data":{}}`, id)} {
		if code := m.deliver(body, nil); code != http.StatusNoContent {
			m.t.Errorf("step %d: a dead letter was answered %d", m.done, code)
		}
		m.loose[sha256.Sum256([]byte(body))] = true
	}
}

func (m *model) sweep() {
	m.pass(15 * time.Second)
	m.must(m.poller.Sweep(context.Background(), time.Now().Add(15*time.Second)))
	m.poller.Wait() // a sweep ends in time, its last attempts may not
}

func (m *model) byHand(id string) {
	_, err := m.poller.Ask(context.Background(), "production", id)
	if m.known[id] == nil != errors.Is(err, store.ErrNotFound) {
		m.t.Errorf("step %d: poll %s: %v", m.done, id, err)
	}
}

// prune forgets what was pruned, which must have been old and waiting for nothing.
func (m *model) prune() {
	m.pass(time.Duration(m.rnd.IntN(int(4 * time.Hour))))
	old := map[string]store.View{}
	for id := range m.known {
		v, err := m.st.Get(context.Background(), "production", id, false)
		m.must(err)
		old[id] = v
	}
	_, err := m.st.Prune(context.Background(), store.Retention{Settled: modelKeep, DeadLetters: 1000 * time.Hour, Events: modelKeep, All: true}, time.Now())
	m.must(err)
	for id, v := range old {
		_, err := m.st.Get(context.Background(), "production", id, false)
		if !errors.Is(err, store.ErrNotFound) {
			m.must(err)
			continue
		}
		if v.Session.Open() || time.Since(v.Session.LastObservedAt) <= modelKeep {
			m.t.Errorf("step %d: %s was pruned while %s, last heard of %s ago", m.done, id, v.State, time.Since(v.Session.LastObservedAt))
		}
		delete(m.known, id)
		delete(m.lastEvent, id)
	}
}

// follow reads the events since the last look, as a consumer does.
func (m *model) follow() {
	list, err := m.st.Events(context.Background(), m.cursor, 0)
	m.must(err)
	for _, e := range list {
		if m.cursor++; e.Seq != m.cursor {
			m.t.Fatalf("step %d: event %d after %d", m.done, e.Seq, m.cursor-1)
		}
		if m.known[e.SessionID] == nil {
			m.t.Errorf("step %d: event %d of %s, which nobody knows", m.done, e.Seq, e.SessionID)
		}
		if last, ok := m.lastEvent[e.SessionID]; ok && last.Conflict && !e.Conflict {
			m.t.Errorf("step %d: the conflict of %s is gone", m.done, e.SessionID)
		}
		m.lastEvent[e.SessionID] = e
	}
}

func modelOpen(s verdict.State) bool { return s == verdict.Awaiting || s == verdict.Overdue }
