package daemon

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

func parsed(body string) (moveris.Delivery, error) { return moveris.ParseWebhook([]byte(body)) }

// check holds the whole store against the model.
func (m *model) check() {
	m.t.Helper()
	listed := m.listed()
	for id, s := range m.known {
		states := listed[id]
		if len(states) != 1 {
			m.t.Errorf("%s is in %d states: %v", id, len(states), states)
			continue
		}
		v, err := m.st.Get(context.Background(), "", id, true)
		m.must(err)
		m.checkSession(id, s, v)
		if v.State != states[0] {
			m.t.Errorf("%s is %s, listed as %s", id, v.State, states[0])
		}
	}
	for id := range listed {
		if m.known[id] == nil {
			m.t.Errorf("%s is there, and nobody knows it", id)
		}
	}
	m.checkTotals(listed)
	m.checkLoose()
	wrong, err := m.st.Verify(context.Background())
	m.must(err)
	for _, line := range wrong {
		m.t.Errorf("verify: %s", line)
	}
	m.must(m.st.Rebuild(context.Background(), false, func(d store.Difference) { m.t.Errorf("rebuild: %+v", d) }, func(int64) {}))
}

// listed are the states under which each session is listed.
func (m *model) listed() map[string][]verdict.State {
	out := map[string][]verdict.State{}
	for _, st := range verdict.States() {
		for after := ""; ; {
			page, next, err := m.st.List(context.Background(), store.Filter{State: st, After: after, Limit: 100})
			m.must(err)
			for _, v := range page {
				out[v.ID] = append(out[v.ID], st)
			}
			if after = next; after == "" {
				break
			}
		}
	}
	return out
}

func (m *model) checkSession(id string, s *modelSession, v store.View) {
	if s.expected == v.Session.ExpectedAt.IsZero() {
		m.t.Errorf("%s: expected at %s", id, v.Session.ExpectedAt)
	}
	m.checkLedger(id, s, v)
	if v.State == verdict.Settled {
		m.checkEvidence(id, v)
	} else if v.Session.Outcome != "" || v.Session.Verdict != "" {
		m.t.Errorf("%s is %s with outcome %q", id, v.State, v.Session.Outcome)
	}
	if v.Session.Open() == v.NextPollAt.IsZero() && !m.confirmable(v) {
		m.t.Errorf("%s is %s, to be asked about at %s", id, v.State, v.NextPollAt)
	}
	e, told := m.lastEvent[id]
	switch {
	case !told && modelOpen(v.State): // known first by what ended nothing
	case e.State != v.State && !(modelOpen(e.State) && modelOpen(v.State)), e.Outcome != v.Session.Outcome, e.Conflict != v.Session.Conflict:
		m.t.Errorf("%s is %s %s, conflict %v; its last event %d says %s %s, %v", id, v.State, v.Session.Outcome, v.Session.Conflict,
			e.Seq, e.State, e.Outcome, e.Conflict)
	}
}

// confirmable: settled by a submission alone, it may be asked about or not.
func (m *model) confirmable(v store.View) bool {
	_, submitted := v.Session.ToldAt[verdict.Submitted]
	return v.State == verdict.Settled && submitted && len(v.Session.ToldAt) == 1
}

// checkLedger holds what is kept of a session against what was acknowledged.
func (m *model) checkLedger(id string, s *modelSession, v store.View) {
	kept := map[[32]byte]bool{}
	for _, e := range v.Entries {
		if e.Observation == nil {
			continue
		}
		o := e.Observation
		if sha256.Sum256(e.Body) != o.Digest {
			m.t.Errorf("%s: the body of a %s observation is not the one received", id, o.Source)
		}
		switch {
		case o.Source == verdict.Poll:
			if !m.moveris.served[id][o.Digest] {
				m.t.Errorf("%s: a polled observation that Moveris never said", id)
			}
		case s.ledger[o.Digest] != o.Source:
			m.t.Errorf("%s: a %s observation that nobody sent", id, o.Source)
		case kept[o.Digest]:
			m.t.Errorf("%s: a %s observation is there twice", id, o.Source)
		}
		if o.Source != verdict.Poll {
			kept[o.Digest] = true
		}
	}
	if len(kept) != len(s.ledger) {
		m.t.Errorf("%s: %d observations are kept, %d were acknowledged", id, len(kept), len(s.ledger))
	}
}

// checkEvidence looks for the observation that says the outcome, or for the repeated check
// without a verdict.
func (m *model) checkEvidence(id string, v store.View) {
	nulls := 0
	for _, e := range v.Entries {
		if e.Observation == nil {
			continue
		}
		switch said := modelSaid(e.Observation); {
		case said == string(v.Session.Outcome):
			return
		case said == "null":
			nulls++
		}
	}
	if v.Session.Outcome != verdict.Inconclusive || nulls < 2 {
		m.t.Errorf("%s is settled as %s, and nobody said so", id, v.Session.Outcome)
	}
}

// modelSaid is what an observation says of the end of its session, read from the contract
// once more: nothing but this may settle it.
func modelSaid(o *verdict.Observation) string {
	said := map[string]string{"live": "live", "fake": "fake", "inconclusive": "inconclusive", "": "null"}[o.Verdict]
	switch {
	case o.Unavailable:
		return ""
	case o.Form == verdict.FormFailed, o.Form == verdict.FormJob && o.Status == "failed":
		return "failed"
	case o.Form == verdict.FormJob && o.Status != "complete":
		return ""
	}
	return said
}

func (m *model) checkTotals(listed map[string][]verdict.State) {
	totals, err := m.st.Totals(context.Background(), time.Now())
	m.must(err)
	counted := map[verdict.State]int64{}
	for _, states := range listed {
		counted[states[0]]++
	}
	for _, st := range verdict.States() {
		if counted[st] != totals.States[st] {
			m.t.Errorf("%d sessions are %s, the totals say %d", counted[st], st, totals.States[st])
		}
	}
}

func (m *model) checkLoose() {
	kept := map[[32]byte]bool{}
	for before := int64(0); ; {
		page, err := m.st.LooseDeliveries(context.Background(), before, 100)
		m.must(err)
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			before = l.ID
			kept[[32]byte(l.Digest)] = true
		}
	}
	for digest := range m.loose {
		if !kept[digest] {
			m.t.Errorf("a delivery that makes no session is lost")
		}
	}
	if len(kept) != len(m.loose) {
		m.t.Errorf("%d deliveries that make no session, %d were acknowledged", len(kept), len(m.loose))
	}
}
