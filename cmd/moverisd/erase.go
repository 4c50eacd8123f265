package main

import (
	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) eraseCommand() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "erase ID…",
		Short: "Remove the bodies and the metadata of sessions, for data-protection requests",
		Long: `Remove what was received about sessions, and the metadata they were announced with.
The outcome, its times and the digests of the bodies stay, so that the session can
still be accounted for. What is still to be forwarded loses the metadata as well, even if
the session itself was pruned. It cannot be undone; backups are not touched. Old frames of the
write-ahead log may hold the bytes until they are overwritten or the daemon is stopped.`,
		Example: "  moverisd erase 550e8400-e29b-41d4-a716-446655440000",
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		return a.each(ids, func(c *api.Client, id string) (api.Session, error) {
			return c.Erase(cmd.Context(), account, id)
		}, func(api.Session) string { return "erased" })
	}
	return cmd
}
