package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/daemon"
)

func (a *app) showConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration, with references in place of secrets",
		Long: `Print the effective configuration with all defaults, as TOML that moverisd can read
again. Secrets are shown as the references to them. Exit code 78 if it is wrong.`,
		Example: "  moverisd config show\n  moverisd config show -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, report := config.Load(config.DefaultPath(a.env, a.configPath),
				config.Options{Env: a.env, CheckSchedule: daemon.CheckSchedule, Locating: true})
			for _, p := range report.Warnings {
				a.complain("%s (warning)", p)
			}
			if len(report.Errors) > 0 {
				a.sayProblems(&config.Report{Errors: report.Errors})
				return &exit{code: exitConfig}
			}
			return a.showConfig(cfg)
		},
	}
}

func (a *app) showConfig(cfg *config.Config) error {
	if a.json() {
		return writeJSON(a, configJSON(cfg))
	}
	var text bytes.Buffer
	if err := cfg.Redacted(&text); err != nil {
		return err
	}
	return a.write(text.Bytes())
}
