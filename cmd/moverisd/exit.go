package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

// Exit codes. run and status have their own: daemon.ExitCode and status.Level.
const (
	exitDone    = 0
	exitFailed  = 1
	exitPartly  = 2 // also: not found
	exitUsage   = 64
	exitConfig  = 78
	exitUnknown = 3 // of status: cannot tell
)

// exit is an error with its exit code. Without an error all is said already.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exit{exitUsage, fmt.Errorf(format, args...)}
}

// finish says what went wrong and returns the exit code.
func (a *app) finish(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	if !a.parsed {
		err = &exit{exitUsage, err} // cobra's own errors are all about the command line
	}
	code := codeOf(err)
	if e, ok := errors.AsType[*exit](err); ok && e.err == nil {
		return code
	}
	a.say("%s", explain(err))
	if code == exitUsage && !a.parsed {
		fmt.Fprintf(a.err, "\n%s", cmd.UsageString())
	}
	return code
}

// codeOf is the exit code of an error.
func codeOf(err error) int {
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		switch p.Status {
		case http.StatusBadRequest:
			return exitUsage
		case http.StatusNotFound, http.StatusGone:
			return exitPartly
		}
	}
	return exitFailed
}

// explain is an error with what to do about it.
func explain(err error) string {
	text := err.Error()
	p, refused := errors.AsType[*api.Problem](err)
	_, told := errors.AsType[advised](err)
	switch {
	case refused && len(p.Names) > 0:
		return text + ": choose one with --account: " + strings.Join(p.Names, ", ")
	case told:
		return text
	case errors.Is(err, api.ErrNotRunning):
		return text + ": start it with `systemctl start moverisd`, or in the foreground with `moverisd run`"
	case errors.Is(err, fs.ErrPermission):
		return text + ": run this as root, or as a member of the group of the socket (moverisd)"
	case errors.Is(err, context.Canceled):
		return "interrupted: " + text
	case errors.Is(err, context.DeadlineExceeded):
		return text + ": the daemon does not answer in time; see its journal, `journalctl -u moverisd`"
	}
	return text
}

// advised is an error that says itself what to do.
type advised struct{ error }

func (e advised) Unwrap() error { return e.error }

// tally counts what came of several things that were to be done, one by one.
type tally struct {
	done   int
	failed int
	code   int // of the failures, if they all have the same
}

// add counts one; it returns false where going on makes no sense.
func (t *tally) add(a *app, id string, err error) bool {
	if err == nil {
		t.done++
		return true
	}
	code := codeOf(err)
	if t.failed > 0 && t.code != code {
		code = exitFailed
	}
	t.failed, t.code = t.failed+1, code
	a.say("%s: %s", clean(id), explain(err))
	_, refused := errors.AsType[*api.Problem](err)
	return refused || errors.Is(err, errNoAnswer)
}

// err is nil if everything was done.
func (t *tally) err() error {
	switch {
	case t.failed == 0:
		return nil
	case t.done > 0:
		return &exit{code: exitPartly}
	}
	return &exit{code: t.code}
}
