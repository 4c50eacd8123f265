// Command moverisd is the daemon and its commands.
//
// The one idea: it only translates. Flags and signals go in, an exit code and text for a
// person or a script come out. All commands but run, config, version and completion are
// calls of the local API ([api.Client]), for the running daemon alone holds the secrets,
// the request budget and the right to write. Commands that only read have the same API
// over the file of a stopped daemon ([daemon.Offline]), so that nothing is read twice in
// two ways.
//
// Data goes to stdout, everything else to stderr. Each command is a file with its cobra
// command, which [app.root] collects; the exit codes are in exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/config"
)

func main() {
	ctx, stop := signalContext()
	code := newApp(os.Stdin, os.Stdout, os.Stderr, config.OS()).run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// signalContext ends with the first SIGTERM or SIGINT. The second one ends the process at
// once: whoever sends it does not want to wait.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, cancel
}

// app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      config.Environment

	// Flags that every command has.
	configPath, socket, output string

	// parsed is true once the command line was found to be right: errors after it are no
	// wrong usage.
	parsed bool
}

func newApp(in io.Reader, out, err io.Writer, env config.Environment) *app {
	return &app{in: in, out: out, err: err, env: env}
}

// run runs the command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	code := a.finish(cmd, err)
	if code != exitDone && !a.parsed && meantStatus(cmd, args) {
		return exitUnknown
	}
	return code
}

// root is the command line with all commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "moverisd",
		Short: "Receives Moveris' verdicts, asks for those that did not come, and keeps them all",
		Long: `moverisd receives the webhooks of Moveris, asks the API for sessions whose
webhook never came, and keeps one truth about every session in a local file.

Exit codes: 0 done, 1 failed, 2 not found or partly done, 64 wrong usage,
78 wrong configuration. status has its own: see moverisd status --help.`,
		SilenceErrors: true, SilenceUsage: true, SuggestionsMinimumDistance: 2,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.ready(cmd) },
		Args:              needsCommand,
		Run:               func(*cobra.Command, []string) {},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configPath, "config", "", "configuration `file` (default $MOVERISD_CONFIG, else /etc/moverisd/moverisd.toml)")
	flags.StringVar(&a.socket, "socket", "", "socket `path` of the daemon, in place of the one that the configuration names")
	flags.StringVarP(&a.output, "output", "o", formText, "`form` of the output: text or json; of status also nagios")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetIn(a.in)
	root.AddCommand(a.runCommand(), a.statusCommand(), a.expectCommand(), a.withdrawCommand(), a.submitCommand(),
		a.sessionsCommand(), a.pollCommand(), a.probeCommand(), a.eventsCommand(), a.configCommand(),
		a.reloadCommand(), a.versionCommand(), a.ackCommand(), a.eraseCommand(), a.deliveriesCommand(), a.forwardCommand(), a.dbCommand(), a.gatewayCommand(),
		a.doctorCommand(), a.manCommand())
	return root
}

// ready checks what all commands have in common before one of them runs.
func (a *app) ready(cmd *cobra.Command) error {
	forms := []string{formText, formJSON}
	if cmd.Name() == "status" {
		forms = append(forms, formNagios)
	}
	if !slices.Contains(forms, a.output) {
		return usageError("--output is one of %q", forms)
	}
	a.parsed = true
	return nil
}

// needsCommand is the check of a command that does nothing itself.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError("%s needs a command", cmd.CommandPath())
	}
	text := ""
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		text = "; did you mean " + strings.Join(meant, " or ") + "?"
	}
	return usageError("%q is no command of %s%s", args[0], cmd.CommandPath(), text)
}
