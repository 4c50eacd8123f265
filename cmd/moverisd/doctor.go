package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) doctorCommand() *cobra.Command {
	var publicURL string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine everything that is usually wrong, and say what to do about it",
		Long: `Examine the configuration, the secrets, the clock against the API's, the key and its
scopes by what the routes answer, the disk and how long an fsync takes, the
permissions, systemd, and, with --public-url, the proxy in front: a signed test
delivery is sent to that URL, which the daemon recognises and does not keep.

It costs each account one request for each of its routes and one more.

Exit code 1 if something is wrong; a warning is none.`,
		Example: `  moverisd doctor
  moverisd doctor --public-url https://moveris.example.com/api/moveris/webhook
  moverisd doctor -o json | jq '.checks[] | select(.result != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), publicURL) },
	}
	cmd.Flags().StringVar(&publicURL, "public-url", "", "the `URL` of the webhook as it is registered in the portal")
	return cmd
}

func (a *app) doctor(ctx context.Context, publicURL string) error {
	list := a.examine(ctx, publicURL)
	worst := api.CheckOK
	for _, c := range list {
		if c.Result == api.CheckFail || worst == api.CheckOK {
			worst = c.Result
		}
	}
	if a.json() {
		if err := writeJSON(a, struct {
			Result string      `json:"result"`
			Checks []api.Check `json:"checks"`
		}{worst, list}); err != nil {
			return err
		}
	} else if err := a.showChecks(list, publicURL == ""); err != nil {
		return err
	}
	if worst == api.CheckFail {
		return &exit{code: exitFailed}
	}
	return nil
}

// examine makes the checks. What only the daemon can see, it is asked for.
func (a *app) examine(ctx context.Context, publicURL string) []api.Check {
	p, err := a.place()
	if err != nil {
		return []api.Check{{Name: "configuration", Result: api.CheckFail, Saw: oneLine(err.Error()), Do: "moverisd config check shows all problems"}}
	}
	found, err := api.NewClient(p.socket).Doctor(ctx, publicURL)
	if err != nil {
		list := []api.Check{{Name: "daemon", Result: api.CheckFail, Saw: oneLine(err.Error()), Do: doStart}}
		if p.cfg != nil {
			list = append(list, api.Check{Name: "configuration", Result: api.CheckOK, Saw: "the file is right; its secrets were not looked at"})
			if info, err := os.Stat(p.cfg.Store.Path); err == nil {
				list = append(list, api.Check{Name: "store", Result: api.CheckOK,
					Saw: fmt.Sprintf("%s has %.1f MB; `moverisd db verify` examines it", p.cfg.Store.Path, float64(info.Size())/1e6)})
			}
		}
		return list
	}
	return append([]api.Check{{Name: "daemon", Result: api.CheckOK, Saw: "it answers at " + p.socket}}, found.Checks...)
}

func (a *app) showChecks(list []api.Check, hint bool) error {
	width := 0
	for _, c := range list {
		width = max(width, len(c.Name))
	}
	for _, c := range list {
		if err := a.print("%s  %-*s  %s", a.paintResult(c.Result), width, clean(c.Name), clean(c.Saw)); err != nil {
			return err
		}
		if c.Do != "" {
			if err := a.print("      %-*s  → %s", width, "", clean(c.Do)); err != nil {
				return err
			}
		}
	}
	if hint {
		return a.print("\nNot examined: the proxy in front. Give --public-url with the URL that is registered in the portal.")
	}
	return nil
}

func (a *app) paintResult(result string) string {
	text := fmt.Sprintf("%-4s", result)
	if !a.color() {
		return text
	}
	codes := map[string]string{api.CheckOK: "32", api.CheckWarn: "33", api.CheckFail: "31"}
	return "\x1b[1;" + codes[result] + "m" + text + "\x1b[0m"
}
