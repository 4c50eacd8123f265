package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/verdict"
)

// elsewhere is where redirects lead; it must hear nothing, least of all the key.
const elsewhere = "127.0.0.9:80"

// class is what faults of one kind must lead to within twelve minutes, of which the first is
// the grace period: the poller sweeps every 15 s and has one session to ask about.
type class struct {
	state    verdict.State
	outcome  verdict.Outcome
	first    int           // requests in the first 14 s of asking: one attempt, or as much of it as fits
	least    int           // requests in all
	most     int           //
	wait     time.Duration // the longest until it is asked again, and that a 429 holds the account
	attempts int           // at least; -1: none may be counted
	reason   string        // that status must have given, "" for none
	fresh    string        // a further reason where no route has ever answered
}

// The classes. Waits without a Retry-After are those of the schedule: backoff_min and a
// fifth of it for jitter.
var (
	answers  = class{state: verdict.Settled, outcome: verdict.Live, first: 1, least: 1, most: 1}
	nulls    = class{state: verdict.Settled, outcome: verdict.Inconclusive, first: 1, least: 2, most: 2, wait: 18 * time.Second}
	words    = class{state: verdict.Overdue, first: 1, least: 5, most: 7, wait: 10 * time.Minute, attempts: 5, reason: "unknown_word"}
	absent   = class{state: verdict.Overdue, first: 2, least: 10, most: 14, wait: 10 * time.Minute, attempts: 5, fresh: "route_never_answered"}
	useless  = class{state: verdict.Overdue, first: 2, least: 40, most: 90, wait: 18 * time.Second, attempts: -1, fresh: "route_never_answered"}
	broken   = class{state: verdict.Overdue, first: 4, least: 25, most: 80, wait: 18 * time.Second, attempts: -1, reason: "api_unreachable"}
	cutOff   = class{state: verdict.Overdue, first: 3, least: 25, most: 60, wait: 18 * time.Second, attempts: -1, reason: "api_unreachable"}
	silent   = class{state: verdict.Overdue, first: 2, least: 15, most: 40, wait: 18 * time.Second, attempts: -1, reason: "api_unreachable"}
	denied   = class{state: verdict.Overdue, first: 2, least: 3, most: 4, wait: 5 * time.Minute, attempts: -1, reason: "account_denied"}
	noCredit = class{state: verdict.Overdue, first: 1, least: 3, most: 3, wait: 5 * time.Minute, attempts: -1, reason: "account_denied"}
	limited  = class{state: verdict.Overdue, first: 1, least: 10, most: 44, wait: 30 * time.Second, attempts: -1, reason: "rate_limited", fresh: "route_never_answered"}
	longHeld = class{state: verdict.Overdue, first: 1, least: 1, most: 1, wait: nightHold, attempts: -1, reason: "rate_limited"}
)

// worstDay maps every fault of the simulator to its class.
var worstDay = map[string]class{
	"": answers, "bare": answers, "flap": answers, "clock-skew=2h": answers, "clock-skew=-2h": answers, "webhooks-off": answers,
	"null-verdict": nulls, "unknown-status": words,
	"status-404": absent, "error-code": absent, "error-detail": absent, "error-html=404": absent, "error-empty=404": absent,
	"error-envelope=404": absent, "error-wrapped=404": absent, "error-retry-after=404": absent, "error-code=422": absent,
	"error-envelope": useless, "error-detail=400": useless, "content-type": useless, "redirect=http://" + elsewhere + "/x": useless,
	"wrong-session": useless, "success-false": useless, "data-null": useless, "data-error": useless, "wrong-types": useless,
	"truncated-json": useless, "huge": useless,
	"error-wrapped": broken, "error-html": broken, "error-empty": broken, "error-envelope=500": broken, "error-code=503": broken,
	"error-detail=502": broken, "status-408": broken, "status-500": broken, "status-502": broken, "status-503": broken,
	"half-body": cutOff, "reset": cutOff, "api-off": cutOff, "hang": silent, "drip": silent,
	"status-401": denied, "status-403": denied, "key-revoked": denied, "error-html=403": denied, "error-empty=401": denied,
	"status-402": noCredit, "error-code=402": noCredit,
	"error-retry-after": limited, "error-html=429": limited, "retry-after=0": limited, "retry-after=negative": limited,
	"retry-after=garbage": limited, "retry-after=imf": limited, "retry-after=rfc850": limited, "retry-after=asctime": limited,
	"retry-after=3600": longHeld, "retry-after=year9999": longHeld,
}

// Each fault has its expected conclusion, request count, wait and reason, on a client whose
// routes have never answered and on one whose route has (issue 4, promise 1).
func TestEveryFault(t *testing.T) {
	for fault, want := range worstDay {
		if raceEnabled && !slices.Contains([]string{"", "hang", "status-503", "retry-after=imf", "key-revoked"}, fault) {
			continue
		}
		for _, proven := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,proven=%t", strings.ReplaceAll(fault, "/", "_"), proven), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { faultyDay(t, fault, want, proven) })
			})
		}
	}
}

// The table is the whole catalogue of the simulator, each form of Retry-After with it.
func TestEveryFaultIsInTheTable(t *testing.T) {
	for _, name := range sim.FaultNames() {
		name, form, _ := strings.Cut(name, "=")
		name = strings.TrimSuffix(name, "[")
		forms := []string{""}
		if name == "retry-after" {
			forms = strings.Split(form, "|")
		}
		for _, form := range forms {
			found := false
			for fault := range worstDay {
				n, v, _ := strings.Cut(fault, "=")
				found = found || n == name && (form == "" || v == form)
			}
			if !found {
				t.Errorf("%s %s is not in the table", name, form)
			}
		}
	}
}

func faultyDay(t *testing.T, fault string, want class, proven bool) {
	n := newNight(t)
	if proven {
		n.check("production", "first", sim.Live)
		n.expect("production", "first")
		n.run(2 * time.Minute)
		n.sim.ForgetRequests()
		if strings.HasPrefix(want.reason, "account_denied") && want.first == 2 && !strings.Contains(fault, "403") {
			want.first, want.least, want.most = 1, 3, 3 // the first 401 means the key
		}
	}
	n.faults(fault)
	n.check("production", id1, sim.Live)
	n.expect("production", id1)
	var wait time.Duration
	heard := map[string]bool{}
	n.run(12*time.Minute, func() {
		wait = max(wait, n.longestWait())
		for _, code := range strings.Fields(n.reasons()) {
			heard[code] = true
		}
	})
	n.wantDay(want, wait)
	wantReasons := map[string]bool{want.reason: true}
	if !proven {
		wantReasons[want.fresh] = true
	}
	delete(wantReasons, "")
	for code := range wantReasons {
		if !heard[code] {
			t.Errorf("status never gave the reason %s, but %v", code, heard)
		}
	}
	for code := range heard {
		// While nothing else is said by the fault, the account may be told to be failing.
		if !wantReasons[code] && !(code == "api_unreachable" && want == useless) {
			t.Errorf("status gave the reason %s", code)
		}
	}
	n.wantRecovery(want)
}

// longestWait is how long the session is set aside, once it was asked about, or the account
// is held.
func (n *night) longestWait() time.Duration {
	if len(n.sim.Requests()) == 0 {
		return 0
	}
	v, wait := n.view("production", id1), time.Duration(0)
	if !v.NextPollAt.IsZero() {
		wait = time.Until(v.NextPollAt)
	}
	if held := n.accounts[0].client.Health().HeldUntil; !held.IsZero() {
		wait = max(wait, time.Until(held))
	}
	return wait
}

func (n *night) wantDay(want class, wait time.Duration) {
	n.t.Helper()
	v, reqs := n.view("production", id1), n.sim.Requests()
	if v.State != want.state || v.Session.Outcome != want.outcome {
		n.t.Errorf("%s %q, want %s %q", v.State, v.Session.Outcome, want.state, want.outcome)
	}
	first := 0
	for _, r := range reqs {
		if r.At.Sub(reqs[0].At) < 14*time.Second {
			first++
		}
	}
	if first != want.first || len(reqs) < want.least || len(reqs) > want.most {
		n.t.Errorf("%d requests at first and %d in all, want %d and %d to %d", first, len(reqs), want.first, want.least, want.most)
	}
	if wait > want.wait || wait < want.wait/2 {
		n.t.Errorf("waits up to %s, want up to %s", wait, want.wait)
	}
	if want.attempts == -1 && v.Attempts != 0 || v.Attempts < want.attempts {
		n.t.Errorf("%d attempts were counted", v.Attempts)
	}
	if most := n.sim.MaxRequestsIn(time.Minute); most > nightBudget {
		n.t.Errorf("%d requests in a minute", most)
	}
	if len(n.network.strange) > 0 {
		n.t.Errorf("dialled %v", n.network.strange)
	}
}

// wantRecovery ends the fault: the verdict arrives, and nobody is told of trouble any more.
func (n *night) wantRecovery(want class) {
	n.t.Helper()
	n.sim.SetFaults(nil)
	n.run(25 * time.Minute)
	outcome := verdict.Live
	if want.outcome != "" {
		outcome = want.outcome
	}
	if v := n.view("production", id1); v.State != verdict.Settled || v.Session.Outcome != outcome || v.Session.Conflict {
		n.t.Errorf("afterwards %s %q", v.State, v.Session.Outcome)
	}
	if r := n.reasons(); r != "" {
		n.t.Errorf("afterwards status still says %s", r)
	}
}

// With a backlog, too, no fault makes a request too many or a verdict that is not so.
func TestEveryFaultWithABacklog(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("long")
	}
	for fault := range worstDay {
		t.Run(strings.ReplaceAll(fault, "/", "_"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t)
				n.faults(fault)
				var ids []string
				for i := range 150 {
					id := fmt.Sprintf("backlog-%03d", i)
					n.check("production", id, []sim.Outcome{sim.Live, sim.Fake}[i%2])
					ids = append(ids, id)
				}
				n.expect("production", ids...)
				n.run(4 * time.Minute)
				if most := n.sim.MaxRequestsIn(time.Minute); most > nightBudget {
					t.Errorf("%d requests in a minute", most)
				}
				n.wantOutcomes(ids, fault == "null-verdict")
				n.sim.SetFaults(nil)
				n.run(25 * time.Minute)
				if most := n.sim.MaxRequestsIn(time.Minute); most > nightBudget {
					t.Errorf("%d requests in a minute after the fault", most)
				}
				n.wantOutcomes(ids, fault == "null-verdict")
				if left := n.judge().Sessions.Overdue; left > 0 {
					t.Errorf("%d sessions are overdue 25 minutes after the fault", left)
				}
			})
		})
	}
}

// wantOutcomes fails on any outcome but the true one or none.
func (n *night) wantOutcomes(ids []string, nulls bool) {
	n.t.Helper()
	for i, id := range ids {
		v := n.view("production", id)
		truth := []verdict.Outcome{"", verdict.Live}
		if i%2 == 1 {
			truth[1] = verdict.Fake
		}
		if nulls {
			truth = append(truth, verdict.Inconclusive)
		}
		if !slices.Contains(truth, v.Session.Outcome) || v.State == verdict.Missing || v.Session.Conflict {
			n.t.Fatalf("%s: %s %q", id, v.State, v.Session.Outcome)
		}
	}
}
