package status

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
)

// Text writes the report for a person: first the judgement, then what to do, then figures.
func (r Report) Text(w io.Writer, color bool) error {
	b := &strings.Builder{}
	r.Head(b, color)
	b.WriteString("\n")
	r.Figures(b)
	_, err := io.WriteString(w, b.String())
	return err
}

// Head writes the judgement, and for each reason what to do.
func (r Report) Head(b *strings.Builder, color bool) {
	now := parse(r.AsOf)
	fmt.Fprintf(b, "moverisd: %s", paint(r.Level, color))
	if r.UptimeSeconds > 0 {
		fmt.Fprintf(b, "   (up %s, version %s)", span(time.Duration(r.UptimeSeconds)*time.Second), r.Version)
	}
	if r.Via != "socket" {
		fmt.Fprintf(b, "   (read from the %s, the daemon does not run; as of %s)", r.Via, deref(r.AsOf))
	}
	b.WriteString("\n")
	if len(r.Reasons) == 0 && r.Level == OK {
		b.WriteString("\n  nothing needs you\n")
	}
	for _, reason := range r.Reasons {
		reason.write(b, now, color)
	}
}

// Figures writes the figures as a table.
func (r Report) Figures(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	r.figures(t, parse(r.AsOf))
	t.Flush() // into memory: it cannot fail
}

// write writes what is the matter and what to do about it.
func (r Reason) write(w io.Writer, now time.Time, color bool) {
	fmt.Fprintf(w, "\n  %s %s (%s", paint(r.Level, color), clean(r.Text), r.Code)
	if since := parse(r.Since); !since.IsZero() && !now.IsZero() {
		fmt.Fprintf(w, ", for %s", span(max(now.Sub(since), 0)))
	}
	if r.Over != nil {
		fmt.Fprintf(w, ", over %s", ago(now, r.Over))
	}
	fmt.Fprintf(w, ")\n     → %s\n", clean(r.Do))
}

func (r Report) figures(w io.Writer, now time.Time) {
	s, d := r.Sessions, r.Deliveries
	fmt.Fprintf(w, "sessions\t%d awaiting, %d overdue, %d settled, %d missing, %d withdrawn, %d in conflict\n",
		s.Awaiting, s.Overdue, s.Settled, s.Missing, s.Withdrawn, s.Conflicts)
	if s.OldestOverdueSeconds > 0 {
		fmt.Fprintf(w, "\tthe oldest is overdue for %s\n", span(time.Duration(s.OldestOverdueSeconds)*time.Second))
	}
	fmt.Fprintf(w, "last 24 h\t%d settled: %d told first by webhook, %d by poll, %d submitted\n", r.Window.Settled,
		r.Window.FirstBy["webhook"], r.Window.FirstBy["poll"], r.Window.FirstBy["submitted"])
	if m := r.Window.WebhookMissRatio; m != nil {
		fmt.Fprintf(w, "\t%.1f %% of the webhooks that were due never came\n", *m*100)
	}
	if l := r.Window.WebhookLagSeconds; l != nil {
		fmt.Fprintf(w, "\twebhooks arrive %.1f s after the verdict (median), 95 %% within %.1f s\n", l["p50"], l["p95"])
	}
	fmt.Fprintf(w, "deliveries\t%d accepted, %d duplicate, %d dead letters, last %s\n",
		d.Accepted, d.Duplicate, d.DeadLetter, ago(now, d.LastAt))
	if n := sum(d.Rejected); n > 0 {
		fmt.Fprintf(w, "\t%d refused: %s\n", n, counts(d.Rejected))
	}
	fmt.Fprintf(w, "polling\t%d due, last sweep %s, next %s\n", r.Poll.Due, ago(now, r.Poll.LastSweepAt), until(now, r.Poll.NextSweepAt))
	for _, a := range r.Accounts {
		r.account(w, a, now)
	}
	for _, f := range r.Forward {
		fmt.Fprintf(w, "forward %s\t%d pending, %d dead letters", f.Name, f.Pending, f.DeadLetters)
		if f.Pending > 0 {
			fmt.Fprintf(w, ", the oldest for %s", span(time.Duration(f.OldestSeconds)*time.Second))
		}
		if f.LastError != nil {
			fmt.Fprintf(w, ", last error: %s", clean(*f.LastError))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "store\t%s, %.1f MB, %.1f GB free, last commit %s\n", r.Store.Path,
		float64(r.Store.Bytes+r.Store.WALBytes)/1e6, float64(r.Store.FreeBytes)/1e9, ago(now, r.Store.LastCommitAt))
}

// skewShown is how many seconds the API's clock may be from ours before it is worth a line:
// its Date has whole seconds, and an answer takes a moment.
const skewShown = 3

func (r Report) account(w io.Writer, a Account, now time.Time) {
	fmt.Fprintf(w, "account %s\t%s, %d of %d requests used in the last minute", a.Name, standing(a.Breaker), a.UsedLastMinute, a.BudgetPerMinute)
	if a.DrainSeconds > 0 {
		fmt.Fprintf(w, ", backlog drained in about %s", span(time.Duration(a.DrainSeconds)*time.Second))
	}
	fmt.Fprintln(w)
	if a.ClockSkew != nil && math.Abs(*a.ClockSkew) >= skewShown {
		fmt.Fprintf(w, "\tits clock is %+.0f s from ours\n", *a.ClockSkew)
	}
	for _, rt := range a.Routes {
		if len(rt.Answers) == 0 {
			continue
		}
		disabled := ""
		if rt.Disabled != "" {
			disabled = ", left alone: " + rt.Disabled
		}
		fmt.Fprintf(w, "\t%s: last 200 %s (%s)%s\n", rt.Route, ago(now, rt.Last200At), counts(rt.Answers), disabled)
	}
	for _, sec := range a.Secrets {
		fmt.Fprintf(w, "\tsecret %s: last used %s\n", sec.Label, ago(now, sec.LastUsedAt))
	}
}

// standing says how the API behaves, in words other than those of circuit breakers.
func standing(breaker string) string {
	switch breaker {
	case "closed":
		return "the API may be asked"
	case "open", "half-open":
		return "the API does not answer (breaker " + breaker + ")"
	case "stopped":
		return "the API is not asked, but for a probe every 5 min"
	}
	return "the API's state is not known"
}

// Line is the report in one line, for systemctl status.
func (r Report) Line() string {
	return fmt.Sprintf("%s: awaiting %d, overdue %d, last sweep %s", r.Level, r.Sessions.Awaiting, r.Sessions.Overdue,
		ago(parse(r.AsOf), r.Poll.LastSweepAt))
}

// Nagios writes the one line of a monitoring plugin with performance data.
func (r Report) Nagios(w io.Writer) error {
	words := map[Level]string{OK: "OK", Degraded: "WARNING", Failing: "CRITICAL", Unknown: "UNKNOWN"}
	text := fmt.Sprintf("%d overdue, %d missing, %d conflicts", r.Sessions.Overdue, r.Sessions.Missing, r.Sessions.Conflicts)
	if len(r.Reasons) > 0 {
		var codes []string
		for _, reason := range r.Reasons {
			codes = append(codes, reason.Code+": "+reason.Text)
		}
		text = clean(strings.ReplaceAll(strings.Join(codes, "; "), "|", "/"))
	}
	ratio := "U"
	if m := r.Window.WebhookMissRatio; m != nil {
		ratio = fmt.Sprintf("%.4f", *m)
	}
	_, err := fmt.Fprintf(w, "MOVERISD %s - %s | awaiting=%d overdue=%d missing=%d conflicts=%d oldest_overdue=%ds miss_ratio=%s store=%dB free=%dB\n",
		words[r.Level], text, r.Sessions.Awaiting, r.Sessions.Overdue, r.Sessions.Missing, r.Sessions.Conflicts,
		r.Sessions.OldestOverdueSeconds, ratio, r.Store.Bytes+r.Store.WALBytes, r.Store.FreeBytes)
	return err
}
