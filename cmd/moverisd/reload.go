package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration again, and wait for the result",
		Long: `Have the daemon read its configuration, the secrets in files and its certificates
again. If anything about them is wrong it keeps the old ones and says why; the exit
code is then 78.`,
		Example: "  moverisd config check && moverisd reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			err = c.Reload(cmd.Context())
			p, refused := errors.AsType[*api.Problem](err)
			switch {
			case refused && p.Status == http.StatusUnprocessableEntity:
				a.say("the new configuration is refused, the old one stays:")
				return &exit{exitConfig, err}
			case err != nil:
				return err
			case a.json():
				return writeJSON(a, map[string]bool{"done": true})
			}
			return a.print("the configuration was read again")
		},
	}
}
