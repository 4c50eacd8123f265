package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/daemon"
)

// previewRuns is how many runs of each schedule are shown.
const previewRuns = 3

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check or show the configuration",
		Example: "  moverisd config check\n  moverisd config show",
		Args:    needsCommand,
		Run:     func(*cobra.Command, []string) {},
	}
	cmd.AddCommand(a.checkCommand(), a.showConfigCommand())
	return cmd
}

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong with the configuration",
		Long: `Report everything that is wrong with the configuration, as file:line:column: key:
what is expected, and the next runs of each schedule in UTC. Secrets are looked at
too; credentials only inside the service, elsewhere they are listed as unchecked.

Exit code 78 if anything is wrong, 0 if there are warnings only.`,
		Example: `  moverisd config check
  moverisd config check --config ./moverisd.toml -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, report := config.Load(config.DefaultPath(a.env, a.configPath),
				config.Options{Env: a.env, CheckSchedule: daemon.CheckSchedule, AllowUnresolved: true})
			return a.showCheck(cfg, report)
		},
	}
}

func (a *app) showCheck(cfg *config.Config, report *config.Report) error {
	a.sayProblems(report)
	var plans []plan
	if cfg != nil {
		plans = plansOf(cfg, time.Now())
	}
	var err error
	switch {
	case a.json():
		err = writeJSON(a, checkJSONOf(report, plans))
	case cfg != nil:
		err = planTable(plans).writeTo(a)
	}
	if err == nil && len(report.Errors) > 0 {
		return &exit{code: exitConfig}
	}
	return err
}

func (a *app) sayProblems(report *config.Report) {
	for _, p := range report.Errors {
		a.complain("%s", p)
	}
	for _, p := range report.Warnings {
		a.complain("%s (warning)", p)
	}
	for _, r := range report.Unchecked {
		a.complain("unchecked: %s = %q is known inside the service only", r.Key, r.Ref)
	}
}

// plan is a schedule with its next runs.
type plan struct {
	Key  string      `json:"key"`
	Spec string      `json:"schedule"`
	Next []time.Time `json:"next"`
}

func plansOf(cfg *config.Config, now time.Time) []plan {
	plans := []plan{{Key: "poll", Spec: cfg.Poll.Schedule}, {Key: "retention", Spec: cfg.Retention.Schedule}}
	if cfg.Backup.Dir != "" {
		plans = append(plans, plan{Key: "backup", Spec: cfg.Backup.Schedule})
	}
	for i := range plans {
		// The schedule was checked when it was loaded.
		plans[i].Next, _ = daemon.NextRuns(plans[i].Spec, now, previewRuns)
	}
	return plans
}

func planTable(plans []plan) *table {
	t := newTable("SCHEDULE", "SPEC", "NEXT_RUNS_UTC")
	for _, p := range plans {
		for _, at := range p.Next {
			t.row(p.Key, p.Spec, at.UTC().Format("2006-01-02 15:04:05"))
		}
	}
	return t
}

// checkJSON is the result of a check.
type checkJSON struct {
	OK        bool            `json:"ok"`
	Errors    []problemJSON   `json:"errors"`
	Warnings  []problemJSON   `json:"warnings"`
	Unchecked []referenceJSON `json:"unchecked"`
	Schedules []plan          `json:"schedules"`
}

type problemJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Key     string `json:"key"`
	Message string `json:"message"`
}

type referenceJSON struct {
	Key string `json:"key"`
	Ref string `json:"reference"`
}

func checkJSONOf(report *config.Report, plans []plan) checkJSON {
	out := checkJSON{OK: len(report.Errors) == 0, Errors: []problemJSON{}, Warnings: []problemJSON{},
		Unchecked: []referenceJSON{}, Schedules: append([]plan{}, plans...)}
	for _, p := range report.Errors {
		out.Errors = append(out.Errors, problemJSON(p))
	}
	for _, p := range report.Warnings {
		out.Warnings = append(out.Warnings, problemJSON(p))
	}
	for _, r := range report.Unchecked {
		out.Unchecked = append(out.Unchecked, referenceJSON(r))
	}
	return out
}
