package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) submitCommand() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "submit -",
		Short: "Hand over results that Moveris gave the application directly",
		Long: `Hand over synchronous results. Each line on standard input is one, in the form of
the webhook's data with its session_id; the bytes are kept as they are. To submit a
result again does no harm.

Prints a line for each result: id, "new" or "known", state, outcome, account. A bad
line does not stop the others. Exit code 2 if some could not be handed over, 1 if
none could.`,
		Example: `  moverisd submit - < results.ndjson
  echo '{"session_id":"my-session","verdict":"live","score":94}' | moverisd submit -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != stdin {
				return usageError(`submit reads standard input: the one argument is "-"`)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return a.submit(cmd.Context(), c, account)
	}
	return cmd
}

// errStop ends the reading of results: the daemon cannot be reached.
var errStop = errors.New("stop")

func (a *app) submit(ctx context.Context, c *api.Client, account string) error {
	var t tally
	err := c.SubmitAll(ctx, account, a.in, func(r api.SubmitResult) error {
		if !t.add(a, fmt.Sprintf("line %d", r.Line), r.Err) {
			return errStop
		}
		if r.Err != nil {
			return nil
		}
		return a.showSubmitted(r)
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	if t.failed > 0 {
		t.code = exitFailed
	}
	return t.err()
}

// showSubmitted prints what one result came to.
func (a *app) showSubmitted(r api.SubmitResult) error {
	if a.json() {
		return writeJSON(a, r.Session)
	}
	outcome := or(r.Session.Outcome)
	if outcome == "" {
		outcome = "-"
	}
	return a.print("%s  %s  %s  %s  %s", clean(r.Session.SessionID), newOrKnown(r.Created), r.Session.State, outcome, r.Session.Account)
}
