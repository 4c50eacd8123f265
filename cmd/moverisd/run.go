package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/daemon"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground until SIGTERM or SIGINT; a second one ends it at
once. SIGHUP reads the configuration again.

Exit codes: 78 configuration, 65 the store is corrupt or of a newer version,
74 input/output error, 1 anything else.`,
		Example: `  moverisd run
  moverisd run --config ./moverisd.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limitMemory(a.env.Lookup, os.DirFS("/"))
			reload := make(chan os.Signal, 1)
			signal.Notify(reload, syscall.SIGHUP)
			defer signal.Stop(reload)
			err := daemon.Run(cmd.Context(), daemon.Options{ConfigPath: config.DefaultPath(a.env, a.configPath),
				Version: programVersion(), Env: a.env, Stderr: a.err, Reload: reload})
			if err != nil {
				return &exit{daemon.ExitCode(err), err}
			}
			return nil
		},
	}
}
