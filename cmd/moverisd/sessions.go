package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) sessionsCommand() *cobra.Command {
	var q api.ListQuery
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List sessions, or show one",
		Long: `List sessions, a page at a time; the cursor of the next page is told on stderr.
If the daemon does not run, its file is read. With -o json each line is a session.`,
		Example: `  moverisd sessions --state missing
  moverisd sessions --conflict --since 7d
  moverisd sessions --outcome live --source poll --limit 1000 -o json
  moverisd sessions show 550e8400-e29b-41d4-a716-446655440000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.read(cmd.Context(), func(c *api.Client) error { return a.list(cmd.Context(), c, q) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.State, "state", "", "only this `state`: awaiting, overdue, settled, missing or withdrawn")
	flags.StringVar(&q.Outcome, "outcome", "", "only this `outcome`: live, fake, inconclusive, failed, expired or cancelled")
	flags.StringVar(&q.Source, "source", "", "only where this `source` told first: webhook, poll or submitted")
	flags.StringVar(&q.Account, "account", "", "only this `account`")
	flags.BoolVar(&q.Conflict, "conflict", false, "only where sources contradict each other")
	flags.StringVar(&q.Since, "since", "", "only what was observed since this `time` (2026-11-23T10:00:00Z) or duration (24h, 7d)")
	flags.IntVar(&q.Limit, "limit", 100, "sessions in a page, a `number` from 1 to 1000")
	flags.StringVar(&q.After, "after", "", "the `cursor` of the page before")
	cmd.AddCommand(a.showCommand())
	return cmd
}

func (a *app) list(ctx context.Context, c *api.Client, q api.ListQuery) error {
	if q.Limit < 1 {
		return usageError("--limit is a number from 1 to 1000")
	}
	page, err := c.Sessions(ctx, q)
	if err != nil {
		return err
	}
	if a.json() {
		err = writeJSON(a, page.Sessions...)
	} else {
		err = sessionTable(page.Sessions).writeTo(a)
	}
	if err == nil && page.Next != nil {
		a.say("next page: --after %s", *page.Next)
	}
	return err
}

// sessionTable lists sessions. Scripts rely on the columns: new ones go to the end.
func sessionTable(sessions []api.Session) *table {
	t := newTable("SESSION", "ACCOUNT", "STATE", "OUTCOME", "FIRST_BY", "EXPECTED", "SETTLED", "CONFLICT", "NEXT_POLL")
	for _, s := range sessions {
		t.row(s.SessionID, s.Account, string(s.State), or(s.Outcome), or(s.FirstBy), or(s.ExpectedAt), or(s.SettledAt),
			yes(s.Conflict), or(s.NextPollAt))
	}
	return t
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
