package main

import (
	"github.com/spf13/cobra"
)

func (a *app) eraseCommand() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "erase ID…",
		Short: "Remove the bodies and the metadata of sessions, for data-protection requests",
		Long: `Remove what was received about sessions, and the metadata they were announced with.
The outcome, its times and the digests of the bodies stay, so that the session can
still be accounted for. It cannot be undone; backups are not touched.`,
		Example: "  moverisd erase 550e8400-e29b-41d4-a716-446655440000",
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
			s, err := c.Erase(cmd.Context(), account, id)
			if !t.add(a, id, err) {
				break
			}
			if err != nil {
				continue
			}
			if a.json() {
				err = writeJSON(a, s)
			} else {
				err = a.print("%s  erased  %s", clean(s.SessionID), s.Account)
			}
			if err != nil {
				return err
			}
		}
		return t.err()
	}
	return cmd
}
