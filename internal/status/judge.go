package status

import (
	"fmt"
	"strings"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Thresholds of the judgement.
const (
	silenceMin       = 3         // sessions before silence means anything
	signatureMin     = 3         // wrong signatures before they mean a wrong secret
	routeAnswersMin  = 10        // answers before a route that never said 200 is suspect
	diskLow          = 256 << 20 // bytes
	diskFailing      = 32 << 20
	unreachableAfter = RecentLength
)

// Judge is the one judgement: the report with its level and the reasons for it, the worst
// first. It depends on the facts alone.
func Judge(f Facts) Report {
	r := fill(f)
	if f.Stopped {
		down := reason("stopped", Failing, "systemctl start moverisd, and see its journal",
			"moverisd does not run, no delivery is accepted; the last commit was %s", ago(f.Now, r.Store.LastCommitAt))
		down.Since = r.Store.LastCommitAt
		r.Reasons = append(r.Reasons, down)
	}
	for _, judge := range []func(Facts) []Reason{
		judgeStore, judgeListener, judgeSilence, judgeSignatures, judgeAccounts, judgeSweep,
		judgeDisk, judgePeople, judgeConfig,
	} {
		r.Reasons = append(r.Reasons, judge(f)...)
	}
	r.Level = OK
	for _, reason := range r.Reasons {
		if reason.Level.worse(r.Level) {
			r.Level = reason.Level
		}
	}
	sortReasons(r.Reasons)
	return r
}

func reason(code string, level Level, do, format string, args ...any) Reason {
	return Reason{Code: code, Level: level, Text: fmt.Sprintf(format, args...), Do: do}
}

func judgeStore(f Facts) []Reason {
	if f.StoreErr == nil {
		return nil
	}
	return []Reason{reason("store_failed", Failing, "see the journal; moverisd verifies the file at its next start",
		"the store cannot commit: %v", f.StoreErr)}
}

func judgeListener(f Facts) []Reason {
	if f.ListenerErr == nil {
		return nil
	}
	return []Reason{reason("listener_failed", Failing, "see the journal, then restart moverisd",
		"the webhook listener does not answer itself: %v", f.ListenerErr)}
}

// judgeSilence notices that webhooks stay away although they were due. It never concludes
// anything from nothing being expected.
func judgeSilence(f Facts) []Reason {
	if f.Recent[store.FigureAccepted]+f.Recent[store.FigureDuplicate] > 0 {
		return nil
	}
	const do = "check the webhook in the developer portal (URL, event subscription, delivery log), then what lies in front of moverisd"
	if n := f.Recent[verdict.DueMissed]; n >= silenceMin {
		return []Reason{reason("silence", Failing, do,
			"%d sessions got their outcome from elsewhere in %s and no delivery arrived", n, span(RecentLength))}
	}
	if n := f.Recent[verdict.DueSilent] + f.Recent[verdict.DueMissed]; n >= silenceMin {
		return []Reason{reason("silence", Degraded, do,
			"%d sessions came due in %s and no delivery arrived", n, span(RecentLength))}
	}
	return nil
}

// judgeSignatures tells a replaced secret from strangers: strangers do not make our own
// deliveries stay away.
func judgeSignatures(f Facts) []Reason {
	n := f.Recent.Rejected()["signature"]
	waiting := f.Recent[verdict.DueSilent]+f.Recent[verdict.DueMissed] > 0
	if n < signatureMin || (f.Recent[store.FigureAccepted] > 0 && !waiting) {
		return nil
	}
	text := fmt.Sprintf("%d deliveries in %s had no valid signature", n, span(RecentLength))
	if waiting {
		text += " while sessions were due: a webhook secret was probably replaced"
	}
	return []Reason{{Code: "signature_failures", Level: Degraded, Text: text,
		Do: "compare the webhooks in the portal with webhook_secrets; a lost secret needs a new webhook there"}}
}

func judgeAccounts(f Facts) []Reason {
	var out []Reason
	for _, a := range f.Accounts {
		out = append(out, judgeAccount(f, a)...)
	}
	if len(f.Unconfigured) > 0 {
		out = append(out, reason("account_unknown", Degraded, "configure the accounts again, or withdraw their sessions",
			"the store has sessions of accounts that are not configured: %s", strings.Join(f.Unconfigured, ", ")))
	}
	return out
}

func judgeAccount(f Facts, a Account) []Reason {
	var out []Reason
	switch {
	case a.Stopped == "no_credits":
		out = append(out, reason("account_denied", Failing, "buy credits for the account",
			"account %s: the API says 402, insufficient credits", a.Name))
	case a.Stopped != "":
		out = append(out, reason("account_denied", Failing, "check api_key and its scopes (detection:read, session:read)",
			"account %s: the API refuses the key (status %d)", a.Name, a.LastStatus))
	case a.Failing:
		level := Degraded
		if !a.FailedAt.IsZero() && f.Now.Sub(a.FailedAt) > unreachableAfter && f.Totals.States[verdict.Overdue] > 0 {
			level = Failing
		}
		out = append(out, reason("api_unreachable", level, "check the network, the proxy and Moveris' status; nothing is lost meanwhile",
			"account %s: the API does not answer", a.Name))
	}
	if a.Limited {
		out = append(out, reason("rate_limited", Degraded, "lower requests_per_minute if it stays",
			"account %s: the API answered 429; asking at %.0f of %d requests a minute", a.Name, a.RatePerMinute, a.BudgetPerMinute))
	}
	return append(out, judgeRoutes(a)...)
}

// judgeRoutes names routes only where none of the account's has ever answered 200: while
// one does, the others need not.
func judgeRoutes(a Account) []Reason {
	var asked []string
	var answers int64
	for _, r := range a.Routes {
		if r.Last200At != nil {
			return nil
		}
		for _, n := range r.Answers {
			answers += n
		}
		if len(r.Answers) > 0 {
			asked = append(asked, r.Route)
		}
	}
	if answers < routeAnswersMin || a.Stopped != "" || a.Failing {
		return nil
	}
	return []Reason{reason("route_never_answered", Degraded, "run moverisd probe with an id that is known to be finished, and set routes",
		"account %s: no route has ever answered 200: %s", a.Name, strings.Join(asked, ", "))}
}

func judgeSweep(f Facts) []Reason {
	if !f.Poll.Late {
		return nil
	}
	last := "none since the start"
	if at := parse(f.Poll.LastSweepAt); !at.IsZero() {
		last = "the last " + span(f.Now.Sub(at)) + " ago"
	}
	return []Reason{reason("sweep_late", Failing, "see the journal, then restart moverisd", "sweeps are late: %s", last)}
}

func judgeDisk(f Facts) []Reason {
	free := f.Disk.FreeBytes
	level := Degraded
	switch {
	case free == 0 && f.Disk.Bytes == 0, free >= diskLow:
		return nil
	case free < diskFailing:
		level = Failing
	}
	return []Reason{reason("disk_low", level, "free some space; moverisd goes on by itself",
		"%d MB are left on the disk of the store", free>>20)}
}

// judgePeople lists what waits for a person; acknowledging or withdrawing clears it.
func judgePeople(f Facts) []Reason {
	var out []Reason
	t := f.Totals
	if t.NewMissing > 0 {
		out = append(out, reason("missing_sessions", Degraded, "moverisd sessions --state missing, then poll, withdraw or ack them",
			"%d sessions were given up without an answer", t.NewMissing))
	}
	if t.NewConflicts > 0 {
		out = append(out, reason("conflicts", Degraded, "moverisd sessions --conflict, then ack them",
			"the sources of %d sessions contradict each other", t.NewConflicts))
	}
	if t.UnknownWord > 0 {
		out = append(out, reason("unknown_word", Degraded, "moverisd sessions show; a newer moverisd may know the word",
			"%d open sessions have a status or verdict that is not known", t.UnknownWord))
	}
	if t.NewDead > 0 {
		out = append(out, reason("dead_letters", Degraded, "moverisd deliveries, then replay or ack them",
			"%d signed deliveries could not be used", t.NewDead))
	}
	if n := f.Recent[store.FigureHeaderMismatch]; n > 0 {
		out = append(out, reason("header_mismatch", Degraded, "ask who changes headers on the way: a proxy, or somebody who replays deliveries",
			"the unsigned headers of %d deliveries in %s contradicted their signed bodies", n, span(RecentLength)))
	}
	return out
}

func judgeConfig(f Facts) []Reason {
	var out []Reason
	if f.ClockDoubted {
		out = append(out, reason("clock_jump", Degraded, "check the machine's time synchronisation; it clears when the API's Date agrees",
			"the clock has jumped, or the store is older than the clock says; nothing is given up or pruned meanwhile"))
	}
	if f.BackupErr != nil {
		out = append(out, reason("backup_failed", Degraded, "check [backup] dir: is it there, writable for the service, and is there space?",
			"the last backup failed: %v", f.BackupErr))
	}
	if f.ConfigRejected == "" {
		return out
	}
	return append(out, reason("config_rejected", Degraded, "moverisd config check, then moverisd reload",
		"the last reload was refused, the old configuration stays: %s", f.ConfigRejected))
}
