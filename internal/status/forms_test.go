package status

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// full are facts in which no field of the report is empty.
func full() Facts {
	f := well()
	f.Totals = store.Totals{Conflicts: 1, NewConflicts: 1, OldestDue: 95 * time.Second, States: map[verdict.State]int64{
		verdict.Awaiting: 3, verdict.Overdue: 12, verdict.Settled: 81234, verdict.Missing: 2, verdict.Withdrawn: 4}}
	f.Recent = store.Figures{verdict.DueMissed: 12}
	f.Day = store.Figures{verdict.SettledFirstByWebhook: 3900, verdict.SettledFirstByPoll: 121, verdict.SettledFirstBySubmitted: 7,
		verdict.DueAnswered: 4021, verdict.DueMissed: 121, store.FigureAccepted: 3950, store.FigureDuplicate: 50,
		store.FigureDeadLetter: 1, store.FigureUnknownEvent: 2, store.FigureHeaderMismatch: 3, wrong: 8, wrong + 1: 1,
		verdict.WebhookLagFigures + verdict.LagCell(900*time.Millisecond): 99, verdict.WebhookLagFigures + verdict.LagCell(14*time.Second): 1,
		verdict.RescueLagFigures + verdict.LagCell(71*time.Second): 121}
	f.StoreID, f.Path, f.LastAt, f.Due = "5d1f", "/var/lib/moverisd/moverisd.db", noon().Add(-11*time.Minute), 12
	f.Disk = store.Disk{Bytes: 52428800, WALBytes: 1048576, FreeBytes: 80e9, LastCommitAt: noon().Add(-time.Second)}
	skew, failed := -1.0, "status 500"
	a := &f.Accounts[0]
	a.Secrets = []Secret{{Label: "mixed-30-v2", LastUsedAt: Stamp(noon().Add(-11 * time.Minute))}}
	a.UsedLastMinute, a.LastStatus, a.DrainSeconds, a.ClockSkew = 8, 200, 6, &skew
	a.Routes = append(a.Routes, Route{Route: "/b/{job_id}", Disabled: "denied", Answers: map[string]int64{"403": 2}})
	f.Poll = Poll{LastSweepAt: Stamp(noon().Add(-9 * time.Second)), LastSweepOK: true, NextSweepAt: Stamp(noon().Add(6 * time.Second)), Due: 12}
	f.Forward[0].LastError = &failed
	return f
}

// The JSON form is a contract: a change of this file must only ever add lines. To write it
// anew: UPDATE_GOLDEN=1 go test ./internal/status
func TestJSON(t *testing.T) {
	c := newCourse(t)
	c.after(-3 * time.Minute)
	c.Judge(full())
	f := full()
	f.Now = noon().Add(12 * time.Second)
	f.Totals.NewConflicts = 0
	f.Recent = store.Figures{store.FigureAccepted: 1} // silence is just over
	f.ConfigRejected = "moverisd.toml:3: unknown key"
	r := c.Judge(f)
	r.Store.Schema = 1 // whatever it is by now
	got, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/status.golden.json"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Error(diff)
	}
}

func text(t *testing.T, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The text says first how it is, then what to do, then the figures.
func TestText(t *testing.T) {
	f := full()
	f.ConfigRejected = "a\x1b[2Jb\nc"
	got := text(t, NewTracker().Judge(f))
	at := -1
	for _, part := range []string{"moverisd: failing", "failing 12 sessions got their outcome", "(silence, for 0 s)", "→ check the webhook",
		"degraded the sources of 1 session", "\nsessions ", "last 24 h ", "3.0 % of the webhooks", "deliveries ", "secret mixed-30-v2", "store "} {
		i := strings.Index(got, part)
		if i <= at {
			t.Errorf("%q is missing or comes too early", part)
		}
		at = i
	}
	if strings.ContainsAny(got, "\x1b\r") {
		t.Error("an error moves the cursor")
	}
	if t.Failed() {
		t.Log(got)
	}
	if got := text(t, Judge(well())); !strings.Contains(got, "moverisd: ok") || !strings.Contains(got, "nothing needs you") {
		t.Error(got)
	}
}

// A plugin's line is one line, with one bar before the performance data.
func TestNagios(t *testing.T) {
	for level, want := range map[Level]string{OK: "MOVERISD OK - 2 overdue, 0 missing, 0 conflicts | ",
		Degraded: "MOVERISD WARNING - config_rejected: the last reload", Failing: "MOVERISD CRITICAL - silence: 12"} {
		f := well()
		switch level {
		case Degraded:
			f.ConfigRejected = "line 3 | a\nb"
		case Failing:
			f = full()
		}
		var b strings.Builder
		if err := Judge(f).Nagios(&b); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		if !strings.HasPrefix(got, want) || strings.Count(got, "|") != 1 || strings.Count(got, "\n") != 1 || !strings.Contains(got, " overdue=") {
			t.Errorf("%s: %q", level, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min",
		119 * time.Minute: "119 min", 2 * time.Hour: "2 h", 47 * time.Hour: "47 h", 48 * time.Hour: "2 d"} {
		if got := span(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
