package main

import (
	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) withdrawCommand() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "withdraw ID…",
		Short: "Say that no result will come for sessions",
		Long: `Say that no result will come for sessions: they are no longer asked about. A result
that comes nevertheless still counts.

Prints a line for each session: id, state, account. Exit code 2 if a session is not
known or some could not be withdrawn.`,
		Example: "  moverisd withdraw 550e8400-e29b-41d4-a716-446655440000",
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		var t tally
		for _, id := range ids {
			s, err := c.Withdraw(cmd.Context(), account, id)
			if !t.add(a, id, err) {
				break
			}
			if err != nil {
				continue
			}
			if err := a.showWithdrawn(s); err != nil {
				return err
			}
		}
		return t.err()
	}
	return cmd
}

func (a *app) showWithdrawn(s api.Session) error {
	if a.json() {
		return writeJSON(a, s)
	}
	return a.print("%s  %s  %s", clean(s.SessionID), s.State, s.Account)
}
