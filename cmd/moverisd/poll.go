package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

// errNoAnswer says that Moveris said nothing about a session, not even that it is not
// there.
var errNoAnswer = errors.New("no route answered; see what each said")

// pollPage is how many sessions of a state are listed at a time.
const pollPage = 500

// target is a session to be asked about.
type target struct{ account, id string }

func (a *app) pollCommand() *cobra.Command {
	var account, state string
	cmd := &cobra.Command{
		Use:   "poll [ID…]",
		Short: "Ask Moveris now: about all that is due, or about some sessions",
		Long: `Without an id: ask Moveris about every session that is due, and wait for the end of
it. With ids, or with --state: ask about these now, whatever their state, within the
request budget, and show what each route answered.

Exit code 2 if a session is not known, or some got no answer; 1 if none got one.`,
		Example: `  moverisd poll
  moverisd poll 550e8400-e29b-41d4-a716-446655440000
  moverisd poll --state missing`,
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.Flags().StringVar(&state, "state", "", "ask about all sessions in this `state`, such as missing")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if state != "" && len(ids) > 0 {
			return usageError("name ids or --state, not both")
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		if state == "" && len(ids) == 0 {
			return a.sweep(cmd.Context(), c, account)
		}
		targets, err := inState(cmd.Context(), c, account, state)
		if err != nil {
			return err
		}
		for _, id := range ids {
			targets = append(targets, target{account, id})
		}
		return a.pollAll(cmd.Context(), c, targets)
	}
	return cmd
}

func (a *app) sweep(ctx context.Context, c *api.Client, account string) error {
	if account != "" {
		return usageError("a sweep is over all accounts; --account goes with ids or --state")
	}
	if err := c.Sweep(ctx); err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a, map[string]bool{"done": true})
	}
	return a.print("asked about what was due; `moverisd status` says how it stands")
}

// inState lists all sessions in a state before any is asked about, as asking moves them to
// another.
func inState(ctx context.Context, c *api.Client, account, state string) ([]target, error) {
	var targets []target
	q := api.ListQuery{Account: account, State: state, Limit: pollPage}
	for more := state != ""; more; {
		page, err := c.Sessions(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Sessions {
			targets = append(targets, target{s.Account, s.SessionID})
		}
		q.After, more = or(page.Next), page.Next != nil
	}
	return targets, nil
}

func (a *app) pollAll(ctx context.Context, c *api.Client, targets []target) error {
	var t tally
	for _, target := range targets {
		asked, err := c.Poll(ctx, target.account, target.id)
		if err == nil {
			if err := a.showPolled(asked); err != nil {
				return err
			}
			if !answered(asked.Routes) {
				err = errNoAnswer
			}
		}
		if !t.add(a, target.id, err) {
			break
		}
	}
	return t.err()
}

// answered is true if one of the routes said something about the session.
func answered(routes []api.RouteAnswer) bool {
	for _, r := range routes {
		switch r.Conclusion {
		case "settles", "null_verdict", "unknown_word", "unfinished", "not_found":
			return true
		}
	}
	return false
}

func (a *app) showPolled(asked api.PollResult) error {
	if a.json() {
		return writeJSON(a, asked)
	}
	s := asked.Session
	t := newTable()
	t.row(s.SessionID, s.Account, strings.TrimSpace(string(s.State)+" "+or(s.Outcome)))
	for _, r := range asked.Routes {
		t.row("  "+r.Route, statusText(r), conclusion(r))
	}
	return t.writeTo(a)
}
