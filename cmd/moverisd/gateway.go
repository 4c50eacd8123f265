package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/daemon"
	"github.com/moverisd/moverisd/internal/gateway"
)

func (a *app) gatewayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "gateway",
		Short: "Pass requests on to Moveris and record their sessions and verdicts",
		Long: `Pass requests on to Moveris and record their sessions and verdicts, in the
foreground until SIGTERM or SIGINT. An application that sets the base URL of Moveris'
SDK to gateway.listen has its sessions expected and its synchronous verdicts submitted,
without a change of code. Requests and answers pass unchanged, whether the daemon runs
or not; their bodies are neither kept nor logged.

It is a process of its own, without the store, and reads the API keys of the accounts
and no other secret. A changed configuration takes a restart of it; SIGHUP ends it as
SIGTERM does, and systemd starts it again.

Exit codes: 78 configuration, 1 anything else.`,
		Example: `  moverisd gateway
  moverisd gateway --config ./moverisd.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, report := config.Load(config.DefaultPath(a.env, a.configPath), config.Options{Env: a.env, KeysOnly: true})
			if err := report.Err(); err != nil {
				return &exit{exitConfig, err}
			}
			log := daemon.Logger(a.err, a.env)
			s := gateway.Settings{Socket: cfg.API.Socket, Log: log}
			if a.socket != "" {
				s.Socket = a.socket
			}
			for _, acc := range cfg.Accounts {
				s.Accounts = append(s.Accounts, gateway.Account{Name: acc.Name, BaseURL: acc.BaseURL, APIKey: acc.APIKey.Bytes()})
			}
			g, err := gateway.New(s)
			if err != nil {
				return &exit{exitConfig, err}
			}
			ln, err := daemon.ListenGateway(cfg)
			if err != nil {
				return &exit{daemon.ExitCode(err), err}
			}
			log.Info("ready", "version", programVersion(), "listen", ln.Addr().String(), "socket", s.Socket, "accounts", len(s.Accounts))
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return g.Serve(ctx, ln)
		},
	}
}
