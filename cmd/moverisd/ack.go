package main

import (
	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) ackCommand() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "ack missing|conflicts|dead-letters [ID…]",
		Short: "Say that a person has seen what waits for one",
		Long: `Say that a person has seen missing sessions, conflicts or dead letters: the reason in
the status goes away, the sessions stay as they are. Who said so, and when, is kept.
Without ids: all of them.

Exit code 2 if some were not there to be acknowledged.`,
		Example: `  moverisd ack missing
  moverisd ack conflicts 550e8400-e29b-41d4-a716-446655440000
  moverisd ack dead-letters L17`,
		Args:      cobra.MinimumNArgs(1),
		ValidArgs: []string{"missing", "conflicts", "dead-letters"},
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch args[0] {
		case "missing", "conflicts", "dead-letters":
		default:
			return usageError("%q cannot be acknowledged; missing, conflicts and dead-letters can", args[0])
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		out, err := c.Ack(cmd.Context(), api.AckRequest{What: args[0], Account: account, IDs: args[1:]})
		if err != nil {
			return err
		}
		if a.json() {
			err = writeJSON(a, out)
		} else {
			err = a.print("%d acknowledged", out.Acknowledged)
		}
		if err != nil || len(out.NotFound) == 0 {
			return err
		}
		for _, id := range out.NotFound {
			a.say("%s: there is nothing to acknowledge", clean(id))
		}
		return &exit{code: exitPartly}
	}
	return cmd
}
