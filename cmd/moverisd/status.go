package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/status"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether all is well, and if not, why and what to do",
		Long: `Say whether all is well, with the reasons and the figures. If the daemon does not
run, its file is read; all is then not well.

With --watch the screen is drawn anew every two seconds, with plots of the last hour,
until q or Ctrl-C.

Exit codes are those of monitoring plugins: 0 ok, 1 degraded, 2 failing (also: the
daemon certainly does not run), 3 unknown (also: wrong usage). The answer comes
within 2 seconds.`,
		Example: `  moverisd status
  moverisd status --watch
  moverisd status -o nagios
  moverisd status -o json | jq -r '.reasons[].code'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var f findings
			var err error
			if watch {
				f, err = a.watch(cmd.Context())
			} else {
				f = a.inspect(cmd.Context())
				err = a.showStatus(f)
			}
			if err != nil {
				return &exit{exitUnknown, err}
			}
			if code := f.report.Level.ExitCode(); code != exitDone {
				return &exit{code: code}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "draw it anew every two seconds, with plots")
	return cmd
}

// meantStatus is true if a wrong command line was one of status, which must not exit with
// anything but 0 to 3. A wrong flag before the command hides it from cobra.
func meantStatus(cmd *cobra.Command, args []string) bool {
	i := slices.Index(args, "status")
	return cmd.Name() == "status" || !cmd.HasParent() && i > 0 && strings.HasPrefix(args[i-1], "-")
}

// findings is a report, or, if blind, nothing but a level and its reasons.
type findings struct {
	report status.Report
	blind  bool
	said   string // for the person: where the report is from
}

func (a *app) showStatus(f findings) error {
	if f.said != "" {
		a.say("%s", f.said)
	}
	switch {
	case f.blind && a.output == formNagios:
		return a.print("MOVERISD %s - %s: %s", nagiosWord(f.report.Level), f.report.Reasons[0].Code, oneLine(f.report.Reasons[0].Text))
	case f.blind && a.json():
		return writeJSON(a, blindJSON{f.report.Level, f.report.AsOf, f.report.Via, f.report.Version, f.report.Reasons})
	case f.blind:
		r := f.report.Reasons[0]
		return a.print("moverisd: %s\n\n  %s %s (%s)\n     → %s", f.report.Level, r.Level, oneLine(r.Text), r.Code, r.Do)
	case a.output == formNagios:
		return f.report.Nagios(a.out)
	case a.json():
		return writeJSON(a, f.report)
	}
	return f.report.Text(a.out, a.color())
}

// blindJSON is the report without figures: zeros would be lies.
type blindJSON struct {
	Level   status.Level    `json:"level"`
	AsOf    *string         `json:"as_of"`
	Via     string          `json:"via"`
	Version string          `json:"version"`
	Reasons []status.Reason `json:"reasons"`
}

func nagiosWord(l status.Level) string {
	if l == status.Failing {
		return "CRITICAL"
	}
	return "UNKNOWN"
}

// oneLine fits a text of several lines into one, as plugins must.
func oneLine(s string) string {
	return clean(strings.ReplaceAll(strings.ReplaceAll(s, "\n", "; "), "|", "/"))
}

// blind are the findings where nothing can be read.
func blind(level status.Level, code, do, format string, args ...any) findings {
	r := status.Report{Via: "none", Version: programVersion(), AsOf: status.Stamp(time.Now())}
	f := findings{report: r, blind: true}
	f.judge(level, code, nil, do, format, args...)
	return f
}

// judge sets the level, with its reason before all others.
func (f *findings) judge(level status.Level, code string, since *string, do, format string, args ...any) {
	f.report.Level = level
	f.report.Reasons = append([]status.Reason{{Code: code, Level: level, Since: since, Text: fmt.Sprintf(format, args...), Do: do}},
		f.report.Reasons...)
}

// inspect finds out how the daemon is, within the time that a status has, whatever hangs.
func (a *app) inspect(ctx context.Context) findings {
	start := time.Now()
	ctx, cancel := context.WithDeadline(ctx, start.Add(statusTime))
	defer cancel()
	found := make(chan findings, 1)
	go func() { found <- a.look(ctx, start) }()
	select {
	case f := <-found:
		return f
	case <-ctx.Done():
		return blind(status.Unknown, codeUnreachable, "try again; then see the journal, `journalctl -u moverisd`",
			"the state cannot be found out in time")
	}
}
