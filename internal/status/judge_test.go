package status

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// wrong is the figure of deliveries without a valid signature.
const wrong = verdict.Figure(200)

// well are the facts of a daemon to which nothing is the matter, at a busy time.
func well() Facts {
	return Facts{Now: noon(), StartedAt: noon().Add(-time.Hour), Version: "1.2.3", Via: "socket",
		Totals: store.Totals{States: map[verdict.State]int64{verdict.Overdue: 2, verdict.Settled: 100}},
		Recent: store.Figures{store.FigureAccepted: 40, verdict.DueAnswered: 40},
		Day:    store.Figures{store.FigureAccepted: 4000},
		Disk:   store.Disk{Bytes: 1 << 20, FreeBytes: 1 << 40, LastCommitAt: noon()},
		Accounts: []Account{{Name: "production", Breaker: "closed", BudgetPerMinute: 120, RatePerMinute: 120,
			Secrets: []Secret{{Label: "one", LastUsedAt: Stamp(noon().Add(-time.Minute))}},
			Routes:  []Route{{Route: "/a/{session_id}", Last200At: Stamp(noon()), Answers: map[string]int64{"200": 9, "404": 99}}}}},
		Forward: []Forward{{Name: "backend", Pending: 3, OldestSeconds: 20}},
	}
}

// sickness is one thing that can be the matter: what brings the reason about, and what is so
// much like it that it must not.
type sickness struct {
	code   string
	level  Level
	fall   func(*Facts)
	almost func(*Facts)
	says   string // in the text
}

func account(change func(*Account)) func(*Facts) {
	return func(f *Facts) { change(&f.Accounts[0]) }
}

func route(change func(*Route)) func(*Facts) {
	return func(f *Facts) { change(&f.Accounts[0].Routes[0]) }
}

var errBroke = errors.New("it broke")

func sicknesses() []sickness {
	return []sickness{
		{"silence", Failing,
			func(f *Facts) { f.Recent = store.Figures{verdict.DueMissed: 3, verdict.DueAnswered: 3} },
			func(f *Facts) { f.Recent = store.Figures{verdict.DueMissed: 2, verdict.DueAnswered: 2} }, "3 sessions got their outcome"},
		{"silence", Degraded,
			func(f *Facts) { f.Recent = store.Figures{verdict.DueSilent: 3} },
			func(f *Facts) { f.Recent = store.Figures{verdict.DueSilent: 2, verdict.DueMissed: 1} }, "nothing is known"},
		{"silence", Failing,
			func(f *Facts) { f.Recent = store.Figures{verdict.DueMissed: 9, wrong: 2} },
			func(f *Facts) { f.Recent = store.Figures{verdict.DueMissed: 9, store.FigureDeadLetter: 1} }, ""},
		{"signature_failures", Degraded,
			func(f *Facts) { f.Recent = store.Figures{wrong: 3, verdict.DueSilent: 1} },
			func(f *Facts) { f.Recent[wrong] = 500 }, "a webhook secret was probably replaced"},
		{"signature_failures", Degraded,
			func(f *Facts) {
				f.Recent[wrong], f.Recent[verdict.DueMissed] = 3, 1
				f.Accounts[0].Secrets = append(f.Accounts[0].Secrets, Secret{Label: "two"})
			},
			func(f *Facts) { f.Recent[wrong], f.Recent[verdict.DueMissed] = 3, 1 }, "the secret two was probably replaced"},
		{"signature_failures", Degraded,
			func(f *Facts) { f.Recent[wrong], f.Recent[verdict.DueMissed] = 4, 1 },
			func(f *Facts) { f.Recent[wrong] = 4 }, "something changes bodies"},
		{"signature_failures", Degraded,
			func(f *Facts) { f.Recent = store.Figures{wrong: 3} },
			func(f *Facts) { f.Recent = store.Figures{wrong: 2} }, "no valid signature"},
		{"account_denied", Failing, account(func(a *Account) { a.Stopped, a.LastStatus = "account_denied", 401 }),
			account(func(a *Account) { a.LastStatus = 401 }), "status 401"},
		{"account_denied", Failing, account(func(a *Account) { a.Stopped = "no_credits" }), nil, "402"},
		{"account_unknown", Degraded, func(f *Facts) { f.Unconfigured = []string{"old"} }, nil, "old"},
		{"rate_limited", Degraded, account(func(a *Account) { a.Limited, a.RatePerMinute = true, 60 }), nil, "60 of 120"},
		{"api_unreachable", Degraded, account(func(a *Account) { a.Failing, a.FailedAt = true, noon().Add(-time.Minute) }),
			account(func(a *Account) { a.FailedAt = noon().Add(-time.Minute) }), "does not answer"},
		{"api_unreachable", Failing, account(func(a *Account) { a.Failing, a.FailedAt = true, noon().Add(-time.Hour) }), nil, ""},
		{"api_unreachable", Failing, account(func(a *Account) { a.UselessAt = noon().Add(-11 * time.Minute) }),
			account(func(a *Account) { a.UselessAt = noon().Add(-5 * time.Minute) }), "nothing of use"},
		{"route_never_answered", Degraded, route(func(r *Route) { r.Last200At, r.Answers = nil, map[string]int64{"404": 10} }),
			route(func(r *Route) { r.Last200At, r.Answers = nil, map[string]int64{"404": 9} }), "/a/{session_id}"},
		{"unknown_word", Degraded, func(f *Facts) { f.Totals.UnknownWord = 1 }, nil, "1 open session has"},
		{"header_mismatch", Degraded, func(f *Facts) { f.Recent[store.FigureHeaderMismatch] = 1 },
			func(f *Facts) { f.Day[store.FigureHeaderMismatch] = 7 }, "1 delivery"},
		{"sweep_late", Failing, func(f *Facts) { f.Poll.Late = true }, nil, "none since the start"},
		{"missing_sessions", Degraded, func(f *Facts) { f.Totals.NewMissing = 2 },
			func(f *Facts) { f.Totals.States[verdict.Missing] = 2 }, "2 sessions were given up"},
		{"conflicts", Degraded, func(f *Facts) { f.Totals.NewConflicts = 1 },
			func(f *Facts) { f.Totals.Conflicts = 1 }, "1 session contradict"},
		{"dead_letters", Degraded, func(f *Facts) { f.Totals.NewDead = 1 },
			func(f *Facts) { f.Totals.DeadLetters = 1 }, "1 signed delivery"},
		{"forward_stuck", Degraded, func(f *Facts) { f.Forward[0].OldestSeconds = 900 },
			func(f *Facts) { f.Forward[0].OldestSeconds = 899 }, "backend: 3 results wait"},
		{"forward_stuck", Failing, func(f *Facts) { f.Forward[0].OldestSeconds = 90000 }, nil, ""},
		{"forward_stuck", Degraded, func(f *Facts) { f.Forward[0].DeadLetters = 1 }, nil, "1 result could not"},
		{"disk_low", Degraded, func(f *Facts) { f.Disk.FreeBytes = 255 << 20 },
			func(f *Facts) { f.Disk.FreeBytes = 256 << 20 }, "255 MB"},
		{"disk_low", Failing, func(f *Facts) { f.Disk.FreeBytes = 0 }, nil, "0 MB"},
		{"store_failed", Failing, func(f *Facts) { f.StoreErr = errBroke }, nil, "it broke"},
		{"figures_unread", Degraded, func(f *Facts) { f.ReadErr = errBroke }, nil, "it broke"},
		{"listener_failed", Failing, func(f *Facts) { f.ListenerErr = errBroke }, nil, "it broke"},
		{"backup_failed", Degraded, func(f *Facts) { f.BackupErr = errBroke }, nil, "it broke"},
		{"clock_jump", Degraded, func(f *Facts) { f.ClockDoubted = true }, nil, ""},
		{"config_rejected", Degraded, func(f *Facts) { f.ConfigRejected = "line 3" }, nil, "line 3"},
		{"alert_failed", Degraded, func(f *Facts) { f.AlertErrs = []AlertErr{{"page-me", errBroke}} }, nil, "page-me"},
		{"stopped", Failing, func(f *Facts) { f.Stopped = true }, nil, "does not run"},
	}
}

// Each reason has what brings it about, alone and at its level, and what does not quite.
func TestEachReason(t *testing.T) {
	if r := Judge(well()); r.Level != OK || len(r.Reasons) > 0 {
		t.Fatalf("well: %s %v", r.Level, r.Reasons)
	}
	seen := map[string]bool{}
	for _, s := range sicknesses() {
		seen[s.code] = true
		f := well()
		s.fall(&f)
		r := Judge(f)
		if len(r.Reasons) != 1 || r.Reasons[0].Code != s.code || r.Level != s.level || r.Reasons[0].Do == "" {
			t.Errorf("%s: %s, %+v", s.code, r.Level, r.Reasons)
		} else if !strings.Contains(r.Reasons[0].Text, s.says) {
			t.Errorf("%s does not say %q: %s", s.code, s.says, r.Reasons[0].Text)
		}
		if s.almost == nil {
			continue
		}
		f = well()
		s.almost(&f)
		if r := Judge(f); slices.ContainsFunc(r.Reasons, func(r Reason) bool { return r.Code == s.code }) {
			t.Errorf("%s without a cause: %+v", s.code, r.Reasons)
		}
	}
	for _, code := range Codes() {
		if !seen[code] {
			t.Errorf("nothing brings %s about", code)
		}
	}
	for code := range seen {
		if !slices.Contains(Codes(), code) {
			t.Errorf("%s is not among the codes", code)
		}
	}
	if !slices.IsSorted(Codes()) {
		t.Error("the codes are not in order")
	}
}

// Silence is never concluded from nothing being expected, nor by a daemon that does not listen.
func TestNoSilenceWithoutExpectation(t *testing.T) {
	f := well()
	f.Recent = store.Figures{}
	if r := Judge(f); r.Level != OK {
		t.Errorf("nothing was expected: %+v", r.Reasons)
	}
	f.Recent = store.Figures{verdict.DueMissed: 50, wrong: 50}
	f.Stopped = true
	if r := Judge(f); len(r.Reasons) != 1 || r.Reasons[0].Code != "stopped" {
		t.Errorf("stopped: %+v", r.Reasons)
	}
}

// Only these two keep deliveries from being taken.
func TestUnready(t *testing.T) {
	for _, s := range sicknesses() {
		f := well()
		s.fall(&f)
		want := s.code == "store_failed" || s.code == "listener_failed"
		if got := Judge(f).Unready() != nil; got != want {
			t.Errorf("%s: unready %t", s.code, got)
		}
	}
}

// Several accounts have the same trouble each for itself; the worst comes first.
func TestOrderOfReasons(t *testing.T) {
	f := well()
	f.Accounts = []Account{{Name: "b", Limited: true}, {Name: "a", Limited: true}, {Name: "c", Stopped: "account_denied"}}
	f.Totals.NewDead = 1
	var got []string
	for _, r := range Judge(f).Reasons {
		got = append(got, r.Code+" "+r.Subject)
	}
	want := []string{"account_denied c", "dead_letters ", "rate_limited a", "rate_limited b"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
