package daemon

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
)

const id1 = "550e8400-e29b-41d4-a716-446655440000"

func changes(events []api.Event, id string) []string {
	var out []string
	for _, e := range events {
		if e.SessionID == id {
			out = append(out, string(e.Change))
		}
	}
	return out
}

func wantChanges(t *testing.T, r *rig, id string, want ...string) {
	t.Helper()
	if got := changes(r.events(), id); !slices.Equal(got, want) {
		t.Errorf("changes of %s: %v, want %v", id, got, want)
	}
}

// A webhook for a session nobody expected is stored; an equal one changes nothing; one with
// another created_at is a second verification (issue 1, promise 3).
func TestUnexpectedWebhook(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now()
	body, header := signed(completed(id1, "live", now))
	for range 2 {
		if code := r.deliver(body, header); code != 204 {
			t.Fatalf("delivery: %d", code)
		}
	}
	s := r.session(id1)
	if s.State != "settled" || *s.Outcome != "live" || *s.FirstBy != "webhook" || s.Verifications != 1 || len(s.Observations) != 1 {
		t.Fatalf("after an equal delivery: %+v", s)
	}
	if code := r.deliver(signed(completed(id1, "fake", now.Add(time.Minute)))); code != 204 {
		t.Fatalf("second verification: %d", code)
	}
	s = r.session(id1)
	if s.Verifications != 2 || *s.Outcome != "fake" || s.Conflict {
		t.Fatalf("second verification: %+v", s)
	}
	wantChanges(t, r, id1, "settled", "reverified")
	if d := r.status().Deliveries; d.Accepted != 2 || d.Duplicate != 1 {
		t.Errorf("deliveries: %+v", d)
	}
}

// A session whose webhook never comes is settled by polling; the late webhook agrees, or is
// a conflict (issue 1, promise 4).
func TestRescuedByPolling(t *testing.T) {
	for _, late := range []string{"agrees", "contradicts"} {
		t.Run(late, func(t *testing.T) {
			r := newRig(t, nil)
			if _, err := r.sim.Create(sim.NewSession{ID: id1}); err != nil {
				t.Fatal(err)
			}
			r.call(201, "PUT", "/v1/sessions/"+id1, api.Expectation{})
			if _, err := r.sim.Finish(id1, sim.Live); err != nil {
				t.Fatal(err)
			}
			r.eventually("it is settled", func() bool { return r.session(id1).State == "settled" })
			s := r.session(id1)
			if *s.Outcome != "live" || *s.FirstBy != "poll" || s.Conflict {
				t.Fatalf("after the poll: %+v", s)
			}
			v, ok := r.sim.Session(id1)
			if !ok {
				t.Fatal("the simulated Moveris lost its session")
			}
			body, header := r.sim.BuildDelivery(v)
			if late == "contradicts" {
				body, header = signed(strings.ReplaceAll(string(body), `"live"`, `"fake"`))
			}
			if code := r.deliver(body, header); code != 204 {
				t.Fatalf("late delivery: %d", code)
			}
			s = r.session(id1)
			if s.Verifications != 1 || s.Conflict != (late == "contradicts") || s.ToldAt["webhook"] == nil || s.ToldAt["poll"] == nil {
				t.Fatalf("after the late webhook: %+v", s)
			}
			want := []string{"expected", "settled"}
			if late == "contradicts" {
				want = append(want, "conflicted")
			}
			wantChanges(t, r, id1, want...)
		})
	}
}

// 404 until the deadline leads to missing without a verdict, and a late webhook revives it;
// an outage of the same length does not (issue 1, promise 5).
func TestMissingAndRevived(t *testing.T) {
	short := func(r *rig) { r.poll = strings.Replace(fastPoll, `"1h"`, `"4s"`, 1) }
	r := newRig(t, short)
	r.call(201, "PUT", "/v1/sessions/"+id1, api.Expectation{})
	r.eventually("it is missing", func() bool { return r.session(id1).State == "missing" })
	s := r.session(id1)
	if s.Outcome != nil || s.Verdict != nil || s.Attempts < 3 {
		t.Fatalf("missing: %+v", s)
	}
	if code := r.deliver(signed(completed(id1, "live", time.Now()))); code != 204 {
		t.Fatal(code)
	}
	if s = r.session(id1); s.State != "settled" || *s.Outcome != "live" {
		t.Fatalf("revived: %+v", s)
	}
	wantChanges(t, r, id1, "expected", "missing", "revived")

	r = newRig(t, short)
	r.simSrv.CloseClientConnections()
	r.simSrv.Close()
	r.call(201, "PUT", "/v1/sessions/"+id1, api.Expectation{})
	time.Sleep(8 * time.Second)
	if s = r.session(id1); s.State != "overdue" || s.Attempts != 0 {
		t.Fatalf("after an outage: %+v", s)
	}
}

// Each answer of product section 3's table.
func TestAnswers(t *testing.T) {
	r := newRig(t, nil)
	body, good := signed(completed(id1, "live", time.Now()))
	with := func(key, value string) http.Header {
		h := good.Clone()
		h.Set(key, value)
		return h
	}
	for _, c := range []struct {
		name   string
		body   []byte
		header http.Header
		want   int
	}{
		{"good", body, good, 204},
		{"no signature", body, with("X-Webhook-Signature", ""), 401},
		{"wrong signature", body, with("X-Webhook-Signature", sim.Sign("another secret", body)), 401},
		{"other bytes", append(body[:len(body):len(body)], ' '), good, 401},
		{"media type", body, with("Content-Type", "text/plain"), 415},
		{"parameters", body, with("Content-Type", "application/json; charset=utf-8"), 204},
		{"encoding", body, with("Content-Encoding", "gzip"), 415},
		{"identity", body, with("Content-Encoding", "identity"), 204},
		{"too large", make([]byte, 300<<10), good, 413},
	} {
		if code := r.deliver(c.body, c.header); code != c.want {
			t.Errorf("%s: %d, want %d", c.name, code, c.want)
		}
	}
	for name, text := range map[string]string{
		"not JSON":      "this is no JSON",
		"no session":    `{"event":"verification.completed","data":{}}`,
		"unknown event": `{"event":"webhook.test","session_id":"x","data":{}}`,
	} {
		if code := r.deliver(signed(text)); code != 204 {
			t.Errorf("%s: %d", name, code)
		}
	}
	st := r.status()
	if st.Deliveries.DeadLetter != 2 || st.Deliveries.Rejected["signature"] != 3 || st.Deliveries.Rejected["too_large"] != 1 {
		t.Errorf("counted: %+v", st.Deliveries)
	}
	if st.Sessions.Settled != 1 {
		t.Errorf("sessions: %+v", st.Sessions)
	}
}

// SIGTERM ends within ten seconds, also while an API call hangs (issue 1, promise 7).
func TestStopWhileACallHangs(t *testing.T) {
	r := newRig(t, nil)
	faults, err := sim.ParseFaults("hang")
	if err != nil {
		t.Fatal(err)
	}
	r.sim.SetFaults(faults)
	r.call(201, "PUT", "/v1/sessions/"+id1, api.Expectation{})
	r.eventually("a call hangs", func() bool { return len(r.sim.Requests()) > 0 })
	start := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("stopping took %s", d)
	}
}
