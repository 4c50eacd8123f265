// Command moveris-sim plays Moveris on this machine, to try moverisd out and
// to test it.
//
// It is two programs that talk over loopback. "serve" is Moveris: the API, the
// webhooks, the faults, and a control API under /_sim/. "traffic" is the world
// around it: it has sessions checked at Moveris, announces them to moverisd,
// loses, delays, repeats and forges webhooks, and in the end compares every
// session with what moverisd says. "load" only sends, as fast as it can, for
// measuring. Keeping them apart means that Moveris can
// have a bad day, or be restarted, while the traffic goes on.
//
// Like internal/sim it shares no code with the daemon.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes. A signal adds its number to 128, as shells do.
const (
	exitFailed = 1
	exitUsage  = 64
)

// errReported ends the program with exit code 1 and no further word.
var errReported = errors.New("reported already")

// usageError is a wrong command line.
type usageError struct{ error }

// stopped is the cause of a context that a signal has ended.
type stopped struct{ signal syscall.Signal }

func (s stopped) Error() string { return "stopped by signal: " + s.signal.String() }

func main() {
	ctx, stop := signalContext()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return usageError{errors.New("no command given")}
	}
	switch args[0] {
	case "serve":
		return runServe(ctx, args[1:], stderr)
	case "traffic":
		return runTraffic(ctx, args[1:], stdout, stderr)
	case "load":
		return runLoad(ctx, args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	return usageError{fmt.Errorf("unknown command %q; the commands are serve, traffic and load", args[0])}
}

func exitCode(err error, stderr io.Writer) int {
	var wrong usageError
	var sig stopped
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &sig):
		fmt.Fprintln(stderr, "moveris-sim:", sig)
		return 128 + int(sig.signal)
	case errors.Is(err, errReported):
		return exitFailed
	}
	fmt.Fprintln(stderr, "moveris-sim:", err)
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// signalContext ends with the first SIGINT or SIGTERM and says which; a second
// one kills the process as usual.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(stopped{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// parse reads flags and nothing else; the flag package has printed what was
// wrong, with the help text, to the flag set's output.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if fs.NArg() > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	return nil
}

const usage = `moveris-sim plays Moveris on this machine, to try moverisd out and to test it.

  moveris-sim serve    the simulated Moveris: API, webhooks, faults
  moveris-sim traffic  sessions through a running serve and a running moverisd,
                       and the comparison of every one of them in the end
  moveris-sim load     signed deliveries as fast as they are answered, and how
                       fast that was

Each command explains itself with --help.
`
