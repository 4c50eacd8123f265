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
		return a.each(ids, func(c *api.Client, id string) (api.Session, error) {
			return c.Withdraw(cmd.Context(), account, id)
		}, func(s api.Session) string { return string(s.State) })
	}
	return cmd
}
