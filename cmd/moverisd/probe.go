package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) probeCommand() *cobra.Command {
	var account, job string
	cmd := &cobra.Command{
		Use:   "probe ID",
		Short: "Try every route for an id with the real key; changes nothing",
		Long: `Try every route of an account for one id, known to moverisd or not, with the real key
and within the request budget: what was asked, what came back, and what would be
concluded from it. Nothing is changed. It tells which routes to configure.`,
		Example: `  moverisd probe 550e8400-e29b-41d4-a716-446655440000
  moverisd probe my-session --job-id 4711 --account production`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.Flags().StringVar(&job, "job-id", "", "`id` of Moveris' job, for routes that need it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		probed, err := c.Probe(cmd.Context(), account, args[0], job)
		if err != nil {
			return err
		}
		if a.json() {
			return writeJSON(a, probed)
		}
		return a.showProbed(probed)
	}
	return cmd
}

func (a *app) showProbed(p api.ProbeResult) error {
	t := newTable()
	t.fact("account", p.Account)
	for _, r := range p.Routes {
		t.row("")
		t.fact("route", r.Route)
		if r.URL != "" {
			t.fact("request", "GET "+r.URL)
			t.row("", "X-API-Key: REDACTED")
			t.fact("answer", statusText(r))
		}
		t.fact("error", r.Code)
		t.fact("form", r.Shape)
		t.fact("fields", strings.Join(r.Fields, ", "))
		t.fact("conclusion", conclusion(r))
	}
	return t.writeTo(a)
}

// statusText is what came back, before anything is concluded from it.
func statusText(r api.RouteAnswer) string {
	switch {
	case r.Status != 0:
		return "status " + strconv.Itoa(r.Status)
	case r.URL == "":
		return "not asked"
	}
	return "no answer"
}

// conclusion says in words what follows from an answer, with the word that scripts get.
func conclusion(r api.RouteAnswer) string {
	text := r.Conclusion
	if meaning := meanings(r.Conclusion); meaning != "" {
		text += ": " + meaning
	}
	if r.Word != "" {
		text += ` ("` + r.Word + `")`
	}
	if r.Error != "" {
		text += " [" + r.Error + "]"
	}
	return text
}

func meanings(conclusion string) string {
	switch conclusion {
	case "settles":
		return "an outcome"
	case "null_verdict":
		return "finished without a verdict; counts once it is repeated"
	case "unknown_word":
		return "a word that moverisd does not know; kept, ends nothing"
	case "unfinished":
		return "not finished yet"
	case "not_found":
		return "the route does not know the id"
	case "wrong_session":
		return "an answer about another session; does not count"
	case "not_a_result":
		return "no result; does not count"
	case "denied":
		return "the key may not use this route"
	case "no_credits":
		return "the account has no credits"
	case "rate_limited":
		return "too many requests; asked again later"
	case "refused", "server_error", "transport", "given_up":
		return "no answer; asked again later"
	case "skipped_breaker", "skipped_retry_after", "skipped_stopped":
		return "not asked, after what it answered before"
	case "skipped_no_job_id":
		return "not asked; give the job with --job-id"
	}
	return ""
}
