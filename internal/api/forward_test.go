package api

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// What is forwarded is the event and the session, in the words of the API, with the newest
// observations and without their bodies.
func TestForwardedJSON(t *testing.T) {
	at := time.Date(2026, 11, 24, 6, 0, 0, 1e6, time.UTC)
	score, real := 94.0, 0.94
	o := verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", Model: "mixed-10-v2", Type: "VERY HIGH",
		CreatedAt: at.Add(-time.Second), AsOf: at.Add(-time.Second), ObservedAt: at, Label: "mixed-10-v2", Score: &score, RealScore: &real}
	mark := store.Entry{Kind: "expected", Mark: &verdict.Mark{Kind: verdict.Expected}}
	v := store.View{ID: "<one>", Account: "production", JobID: "j-1", State: verdict.Settled, Attempts: 2,
		Session: verdict.Fold(verdict.Evidence{Observations: []verdict.Observation{o}}),
		Entries: []store.Entry{mark, {Observation: &o, Digest: []byte{0xab}, Redelivered: 3, Body: nil}}}
	e := store.Event{Seq: 17, At: at, SessionID: v.ID, Account: v.Account, Change: verdict.ChangeSettled,
		State: v.State, Outcome: v.Session.Outcome, FirstBy: verdict.Webhook}
	const want = `{"type":"session.settled","timestamp":"2026-11-24T06:00:00.001Z","data":{` +
		`"event":{"seq":17,"store":"6f44f5bfb0b7","at":"2026-11-24T06:00:00.001Z","session_id":"\u003cone\u003e","account":"production",` +
		`"change":"settled","state":"settled","outcome":"live","first_by":"webhook","conflict":false,"metadata":null},` +
		`"session":{"session_id":"\u003cone\u003e","account":"production","job_id":"j-1","metadata":null,"state":"settled","outcome":"live",` +
		`"verdict":"live","score":94,"real_score":0.94,"confidence":null,"type":"VERY HIGH","model":"mixed-10-v2",` +
		`"as_of":"2026-11-24T05:59:59.001Z","expected_at":null,"settled_at":"2026-11-24T06:00:00.001Z","first_by":"webhook",` +
		`"told_at":{"poll":null,"submitted":null,"webhook":"2026-11-24T06:00:00.001Z"},"conflict":false,"verifications":1,"attempts":2,` +
		`"next_poll_at":null,"awaiting_again":false,"unknown_word":null,"observations":[{"source":"webhook","outcome":"live",` +
		`"as_of":"2026-11-24T05:59:59.001Z","observed_at":"2026-11-24T06:00:00.001Z","model":"mixed-10-v2","label":"mixed-10-v2",` +
		`"route":null,"header_mismatch":false,"digest":"sha256:ab","redelivered":3}]}}}`
	if diff := cmp.Diff(want, string(Forwarding("6f44f5bfb0b7", e, v))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	for n := range int64(evidenceMax + 7) {
		v.Entries = append(v.Entries, mark, store.Entry{Observation: &o, Redelivered: n})
	}
	var out Forwarded
	if err := json.Unmarshal(Forwarding("s", e, v), &out); err != nil {
		t.Fatal(err)
	}
	list := out.Data.Session.Observations
	if len(list) != evidenceMax || list[0].Redelivered != 7 || list[evidenceMax-1].Redelivered != evidenceMax+6 {
		t.Errorf("%d observations from %d to %d", len(list), list[0].Redelivered, list[len(list)-1].Redelivered)
	}
}

// A number that is no JSON does not keep a delivery from being stored.
func TestForwardedWithoutJSON(t *testing.T) {
	inf := math.Inf(1)
	o := verdict.Observation{Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live", Score: &inf, CreatedAt: time.Unix(1, 0)}
	v := store.View{ID: "one", State: verdict.Settled, Session: verdict.Fold(verdict.Evidence{Observations: []verdict.Observation{o}})}
	got := Forwarding("s", store.Event{Seq: 1, SessionID: "one"}, v)
	var out Forwarded
	if err := json.Unmarshal(got, &out); err != nil || out.Data.Session.SessionID != "one" {
		t.Errorf("%v: %s", err, got)
	}
}

// A session that was pruned can still be erased where something of it is still to be
// forwarded, without naming its account if only one has something.
func TestErasePruned(t *testing.T) {
	r := newRig(t, "one", "two")
	r.st.SetForwarding(store.Forwarding{Render: Forwarding,
		Forwards: []store.Forward{{Name: "backend", Changes: []verdict.Change{verdict.ChangeSettled}}}})
	r.clock.Store(time.Now().Add(-time.Hour).UnixMilli())
	for _, account := range []string{"one", "two"} {
		for _, id := range []string{"a", "only-" + account} {
			r.call(201, "PUT", "/v1/sessions/"+id+"?account="+account, `{"metadata":{"customer":"very-personal"}}`, nil)
			r.deliver(account, id, "live")
		}
	}
	r.clock.Store(0)
	if out, err := r.st.Prune(t.Context(), store.Retention{Settled: time.Minute}, r.now()); err != nil || out.Sessions != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	personal := func() (n int) {
		for seq := range int64(20) {
			if out, err := r.st.Outgoing(t.Context(), "backend", seq); err == nil && strings.Contains(string(out.Body), "very-personal") {
				n++
			}
		}
		return n
	}
	if n := personal(); n != 4 {
		t.Fatalf("%d of 4 events are to be sent with their metadata", n)
	}
	var s Session
	if r.call(200, "POST", "/v1/admin/sessions/only-two/erase", "", &s); s.SessionID != "only-two" || s.Account != "two" || s.State != "" {
		t.Errorf("%+v", s)
	}
	r.refused(409, "POST", "/v1/admin/sessions/a/erase", "")
	r.refused(404, "POST", "/v1/admin/sessions/b/erase", "")
	r.refused(404, "POST", "/v1/admin/sessions/only-two/erase?account=one", "")
	r.call(200, "POST", "/v1/admin/sessions/a/erase?account=one", "", nil)
	if n := personal(); n != 2 {
		t.Errorf("after two were erased %d are sent with their metadata", n)
	}
}
