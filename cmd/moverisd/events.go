package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

const (
	eventsPage = 1000
	followWait = 30 * time.Second // how long one call waits for events
	retryPause = time.Second      // between two calls while the daemon is away
)

var cursorSyntax = regexp.MustCompile(`^([^_]+_)?[0-9]+$`)

func (a *app) eventsCommand() *cobra.Command {
	var after string
	var follow bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print the changes of sessions in order, as JSON lines",
		Long: `Print the changes of sessions in order and without gaps, one JSON object on each line.
Without --after they begin with the oldest that is kept. If the daemon does not run,
its file is read. --follow goes on as changes happen, through restarts of the daemon,
until it is interrupted.

Exit code 2 if the cursor cannot be continued: its events are no longer kept, or it
is of another store, as after a restore. Then read the sessions anew.`,
		Example: `  moverisd events --after 1700
  moverisd events --follow | jq -r 'select(.change == "settled") | .session_id'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if after != "" && !cursorSyntax.MatchString(after) {
				return usageError("--after is the seq of the last event that was read, or its store_seq")
			}
			return a.events(cmd.Context(), after, follow)
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "continue after this `seq`, or after store_seq to be sure of the store")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on as changes happen")
	return cmd
}

// events prints what there is, and then, if it is to follow, what comes.
func (a *app) events(ctx context.Context, cursor string, follow bool) error {
	err := a.read(ctx, func(c *api.Client) error {
		for {
			more, err := a.page(ctx, c, &cursor, 0)
			if err != nil || !more {
				return err
			}
		}
	})
	if follow && (err == nil || errors.Is(err, api.ErrNotRunning)) {
		err = a.follow(ctx, cursor)
	}
	if follow && ctx.Err() != nil {
		return nil // that is how following ends
	}
	return err
}

// page prints the events after the cursor and moves it; more is false if there were none.
func (a *app) page(ctx context.Context, c *api.Client, cursor *string, wait time.Duration) (more bool, err error) {
	list, err := c.Events(ctx, *cursor, eventsPage, wait)
	if err != nil {
		return false, err
	}
	if err := writeJSON(a, list.Events...); err != nil {
		return false, &exit{exitFailed, err}
	}
	*cursor = list.Cursor()
	return len(list.Events) > 0, nil
}

// follow prints events as they come until ctx ends or they cannot be continued.
func (a *app) follow(ctx context.Context, cursor string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	for away := false; ctx.Err() == nil; {
		_, err := a.page(ctx, c, &cursor, followWait)
		switch {
		case err == nil && away:
			a.say("the daemon is back")
			away = false
		case err == nil, ctx.Err() != nil:
		case final(err):
			return fmt.Errorf("%w (the last event was %s)", err, cursor)
		default:
			if !away {
				a.say("%v; waiting for it", err)
			}
			away = true
			pause(ctx, retryPause)
		}
	}
	return nil
}

// final is true for errors that waiting does not mend.
func final(err error) bool {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Status < 500
	}
	_, output := errors.AsType[*exit](err)
	return output || errors.Is(err, fs.ErrPermission)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
