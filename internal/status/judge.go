package status

import (
	"fmt"
	"strings"
	"time"

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
	forwardStuck     = 15 * time.Minute
	forwardFailing   = 24 * time.Hour
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
		judgeDisk, judgePeople, judgeHeaders, judgeForwards, judgeConfig, judgeDaemon,
	} {
		r.Reasons = append(r.Reasons, judge(f)...)
	}
	r.conclude()
	return r
}

func reason(code string, level Level, do, format string, args ...any) Reason {
	return Reason{Code: code, Level: level, Text: fmt.Sprintf(format, args...), Do: do}
}

func judgeStore(f Facts) []Reason {
	var out []Reason
	if f.StoreErr != nil {
		out = append(out, reason("store_failed", Failing, "see the journal and the disk; moverisd verifies the file at its next start",
			"the store cannot commit, deliveries are answered 503: %v", f.StoreErr))
	}
	if f.ReadErr != nil {
		out = append(out, reason("figures_unread", Degraded, "see the journal; while this lasts nothing here says that all is well",
			"the figures cannot be read: %v", f.ReadErr))
	}
	return out
}

func judgeListener(f Facts) []Reason {
	if f.ListenerErr == nil {
		return nil
	}
	return []Reason{reason("listener_failed", Failing, "see the journal, then restart moverisd",
		"the webhook listener does not answer itself: %v", f.ListenerErr)}
}

// judgeSilence notices that webhooks stay away although they were due. It never concludes
// anything from nothing being expected. Any signed delivery breaks the silence, whatever else
// is wrong with it. A stopped daemon hears nothing: that is its own reason.
func judgeSilence(f Facts) []Reason {
	if f.Stopped || f.heard() > 0 {
		return nil
	}
	const do = "check the webhook in the developer portal (URL, both events subscribed, delivery log), then the proxy in front of moverisd: moverisd doctor --public-url URL"
	if n := f.Recent[verdict.DueMissed]; n >= silenceMin {
		return []Reason{reason("silence", Failing, do,
			"%d sessions got their outcome from elsewhere in 10 min and no delivery arrived", n)}
	}
	if n := f.Recent[verdict.DueSilent]; n >= silenceMin {
		return []Reason{reason("silence", Degraded, do,
			"%d sessions came due in 10 min, nothing is known of them, and no delivery arrived", n)}
	}
	return nil
}

// heard counts the signed deliveries of late.
func (f Facts) heard() int64 {
	return f.Recent[store.FigureAccepted] + f.Recent[store.FigureDuplicate] + f.Recent[store.FigureDeadLetter]
}

// judgeSignatures tells a replaced secret from strangers and from a proxy that changes some
// bodies. Strangers do not make our own deliveries stay away, and leave no secret unused.
func judgeSignatures(f Facts) []Reason {
	n, heard := f.Recent.Rejected()["signature"], f.heard()
	waiting := f.Recent[verdict.DueSilent]+f.Recent[verdict.DueMissed] > 0
	unused := f.unusedSecrets()
	if f.Stopped || n < signatureMin || heard > 0 && (!waiting || len(unused) == 0 && n < heard/10) {
		return nil
	}
	text := fmt.Sprintf("%d deliveries in 10 min had no valid signature", n)
	do := "compare the webhooks in the portal with webhook_secrets; a secret is shown once, so a lost one needs a new webhook there, then its secret here, and a reload"
	switch {
	case heard > 0 && len(unused) == 0:
		text += " while sessions were due, though every secret is in use: something changes bodies on the way, or strangers knock"
		do = "moverisd doctor --public-url URL; the proxy must pass bodies on unchanged"
	case waiting && heard > 0:
		text += " while sessions were due: the secret " + strings.Join(unused, ", ") + " was probably replaced, it has signed nothing in that time"
	case waiting:
		text += " while sessions were due: a webhook secret was probably replaced"
	}
	return []Reason{{Code: "signature_failures", Level: Degraded, Text: text, Do: do}}
}

// unusedSecrets lists the labels that have signed nothing of late.
func (f Facts) unusedSecrets() []string {
	var out []string
	for _, a := range f.Accounts {
		for _, s := range a.Secrets {
			if f.Now.Sub(parse(s.LastUsedAt)) > RecentLength {
				out = append(out, s.Label)
			}
		}
	}
	return out
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
	add := func(code string, level Level, do, format string, args ...any) {
		r := reason(code, level, do, "account "+a.Name+": "+format, args...)
		r.Subject = a.Name
		out = append(out, r)
	}
	since, failing := a.silentSince(f.Now)
	switch {
	case a.Stopped == "no_credits":
		add("account_denied", Failing, "buy credits for the account", "the API says 402, insufficient credits")
	case a.Stopped != "":
		add("account_denied", Failing, "check api_key and its scopes (detection:read, session:read)",
			"the API refuses the key (status %d)", a.LastStatus)
	case failing:
		level := Degraded
		if f.Now.Sub(since) > unreachableAfter && f.Totals.States[verdict.Overdue] > 0 {
			level = Failing
		}
		text := "the API does not answer"
		if !a.Failing {
			text = "the API answers, but nothing of use"
		}
		add("api_unreachable", level, "check the network, the proxy and Moveris' status; nothing is lost meanwhile", "%s", text)
	}
	if a.Limited {
		add("rate_limited", Degraded, "lower requests_per_minute if it stays",
			"the API answered 429; asking at %.0f of %d requests a minute", a.RatePerMinute, a.BudgetPerMinute)
	}
	if routes := judgeRoutes(a); len(routes) > 0 {
		add("route_never_answered", Degraded, "run moverisd probe with an id that is known to be finished, and set routes",
			"no route has ever answered 200: %s", strings.Join(routes, ", "))
	}
	return out
}

// silentSince is since when the API has been of no use, if it is not: it does not answer, or,
// for long, with nothing that tells of any session, as a maintenance page does.
func (a Account) silentSince(now time.Time) (since time.Time, failing bool) {
	if a.Failing {
		if a.FailedAt.IsZero() {
			return now, true
		}
		return a.FailedAt, true
	}
	return a.UselessAt, !a.Limited && !a.UselessAt.IsZero() && now.Sub(a.UselessAt) > unreachableAfter
}

// judgeRoutes lists the routes that were asked in vain, but only where none of the account's
// has ever answered 200: while one does, the others need not.
func judgeRoutes(a Account) []string {
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
	return asked
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
	if n := t.NewMissing; n > 0 {
		out = append(out, reason("missing_sessions", Degraded, "moverisd sessions --state missing, then poll, withdraw or ack them",
			"%s given up without an answer", plural(n, "session was", "sessions were")))
	}
	if n := t.NewConflicts; n > 0 {
		out = append(out, reason("conflicts", Degraded, "moverisd sessions --conflict, look at both sides, then ack them",
			"the sources of %s contradict each other", plural(n, "session", "sessions")))
	}
	if n := t.UnknownWord; n > 0 {
		out = append(out, reason("unknown_word", Degraded,
			"moverisd sessions --state overdue -o json, and see unknown_word; a newer moverisd may know the word",
			"%s a status or verdict that is not known", plural(n, "open session has", "open sessions have")))
	}
	if n := t.NewDead; n > 0 {
		out = append(out, reason("dead_letters", Degraded, "moverisd deliveries, then replay or ack them",
			"%s could not be used", plural(n, "signed delivery", "signed deliveries")))
	}
	return out
}

func judgeHeaders(f Facts) []Reason {
	n := f.Recent[store.FigureHeaderMismatch]
	if n == 0 {
		return nil
	}
	return []Reason{reason("header_mismatch", Degraded, "ask who changes headers on the way: a proxy, or somebody who replays deliveries",
		"the unsigned headers of %s in 10 min contradicted the signed body", plural(n, "delivery", "deliveries"))}
}

// judgeForwards names targets that results do not get to.
func judgeForwards(f Facts) []Reason {
	var out []Reason
	for _, fw := range f.Forward {
		late := time.Duration(fw.OldestSeconds) * time.Second
		level := Degraded
		var text string
		switch {
		case fw.Pending > 0 && late >= forwardStuck && !fw.Removed:
			text = fmt.Sprintf("forward %s: %s, the oldest for %s", fw.Name, plural(fw.Pending, "result waits", "results wait"), span(late))
			if fw.LastError != nil {
				text += ": " + *fw.LastError
			}
			if late >= forwardFailing {
				level = Failing
			}
		case fw.Pending > 0 && fw.Removed:
			text = fmt.Sprintf("forward %s is not configured any more: %s", fw.Name, plural(fw.Pending, "result waits", "results wait"))
		case fw.DeadLetters > fw.AckedDead:
			text = fmt.Sprintf("forward %s: %s could not be handed over", fw.Name, plural(fw.DeadLetters-fw.AckedDead, "result", "results"))
		default:
			continue
		}
		r := reason("forward_stuck", level, "moverisd forward list; mend the receiver, then forward retry, forward skip or ack dead-letters", "%s", text)
		r.Subject = fw.Name
		out = append(out, r)
	}
	return out
}

func judgeConfig(f Facts) []Reason {
	if f.ConfigRejected == "" {
		return nil
	}
	return []Reason{reason("config_rejected", Degraded, "moverisd config check, then moverisd reload",
		"the last reload was refused, the old configuration stays: %s", f.ConfigRejected)}
}

// judgeDaemon tells of the work beside receiving and asking.
func judgeDaemon(f Facts) []Reason {
	var out []Reason
	if f.ClockDoubted {
		out = append(out, reason("clock_jump", Degraded, "check the machine's time synchronisation; it clears when the API's Date agrees",
			"the clock has jumped, or the store is older than the clock says; nothing is given up or pruned meanwhile"))
	}
	if f.BackupErr != nil {
		out = append(out, reason("backup_failed", Degraded, "check [backup] dir: is it there, writable for the service, and is there space?",
			"the last backup failed: %v", f.BackupErr))
	}
	for _, a := range f.AlertErrs {
		r := reason("alert_failed", Degraded, "mend the command or the URL of [[alert]]; it is tried again every few minutes",
			"alert %s did not get through: %v", a.Name, a.Err)
		r.Subject = a.Name
		out = append(out, r)
	}
	return out
}
