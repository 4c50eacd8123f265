package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) showCommand() *cobra.Command {
	var account string
	var raw bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show what is known about a session, and everything that happened to it",
		Long: `Show what is known about a session, and as one table everything that happened to it,
the oldest first. If the daemon does not run, its file is read.

Exit code 2 if the session is not known.`,
		Example: `  moverisd sessions show 550e8400-e29b-41d4-a716-446655440000
  moverisd sessions show my-session --raw -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.read(cmd.Context(), func(c *api.Client) error { return a.show(cmd.Context(), c, account, args[0], raw) })
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.Flags().BoolVar(&raw, "raw", false, "add what was received, byte for byte")
	return cmd
}

func (a *app) show(ctx context.Context, c *api.Client, account, id string, raw bool) error {
	if a.json() {
		s, err := c.Session(ctx, account, id, raw)
		if err != nil {
			return err
		}
		return writeJSON(a, s)
	}
	line, err := c.Timeline(ctx, account, id, raw)
	if err != nil {
		return err
	}
	head := sessionHead(line.Session)
	if err := head.writeTo(a); err != nil {
		return err
	}
	if err := a.print(""); err != nil {
		return err
	}
	if err := timeline(line.Entries).writeTo(a); err != nil {
		return err
	}
	return a.showBodies(line.Session.Observations)
}

// sessionHead is what is known about a session.
func sessionHead(s api.Session) *table {
	t := newTable()
	t.fact("session", s.SessionID)
	t.fact("account", s.Account)
	t.fact("state", string(s.State))
	t.fact("outcome", or(s.Outcome))
	t.fact("verdict", or(s.Verdict))
	t.fact("score", scores(s))
	t.fact("type", or(s.Type))
	t.fact("model", or(s.Model))
	t.fact("as of", or(s.AsOf))
	t.fact("told first by", or(s.FirstBy))
	for _, source := range []string{"webhook", "poll", "submitted"} {
		if at := s.ToldAt[source]; at != nil {
			t.fact("told by "+source, *at)
		}
	}
	t.fact("expected", or(s.ExpectedAt))
	t.fact("settled", or(s.SettledAt))
	if s.Conflict {
		for i, side := range sides(or(s.Outcome), s.Observations) {
			t.fact([]string{"conflict", "against"}[min(i, 1)], side)
		}
	}
	t.fact("unknown word", or(s.UnknownWord))
	t.fact("job", or(s.JobID))
	if m := string(s.Metadata); m != "null" {
		t.fact("metadata", m)
	}
	if s.Verifications > 1 {
		t.fact("verifications", strconv.Itoa(s.Verifications))
	}
	t.fact("awaiting again", yes(s.AwaitingAgain))
	t.fact("next poll", or(s.NextPollAt))
	return t
}

func scores(s api.Session) string {
	var parts []string
	for _, p := range []struct {
		name  string
		value *float64
	}{{"", s.Score}, {"real_score ", s.RealScore}, {"confidence ", s.Confidence}} {
		if p.value != nil {
			parts = append(parts, p.name+strconv.FormatFloat(*p.value, 'f', -1, 64))
		}
	}
	return strings.Join(parts, ", ")
}

// sides says who said what, an outcome each: first the one that counts, then the others in
// the order in which they were heard.
func sides(counts string, observations []api.Observation) []string {
	var outcomes []string
	if counts != "" {
		outcomes = append(outcomes, counts)
	}
	who := map[string][]string{}
	for _, o := range observations {
		outcome := or(o.Outcome)
		if outcome == "" {
			continue
		}
		if !slices.Contains(outcomes, outcome) {
			outcomes = append(outcomes, outcome)
		}
		who[outcome] = append(who[outcome], sayer(o))
	}
	for i, outcome := range outcomes {
		outcomes[i] = outcome + ", said by " + strings.Join(who[outcome], "; ")
	}
	return outcomes
}

func sayer(o api.Observation) string {
	text := string(o.Source)
	if by := or(o.Label) + or(o.Route); by != "" {
		text += " (" + by + ")"
	}
	return text + " at " + or(o.ObservedAt)
}

// timeline is everything that happened to a session.
func timeline(entries []api.Entry) *table {
	t := newTable("AT", "WHAT", "SAID", "BY", "DIGEST")
	for _, e := range entries {
		t.row(or(e.At), e.What, said(e), by(e), prefix(e.Digest))
	}
	return t
}

func said(e api.Entry) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	add(or(e.Outcome))
	add(e.Word)
	if e.AsOf != nil {
		add("as of " + *e.AsOf)
	}
	if e.Status != 0 {
		add("status " + strconv.Itoa(e.Status))
	}
	if e.Until != nil {
		add("grace until " + *e.Until)
	}
	if e.Again > 0 {
		add(fmt.Sprintf("redelivered %d times", e.Again))
	}
	return strings.Join(parts, ", ")
}

func by(e api.Entry) string {
	switch {
	case e.Label != "":
		return e.Label
	case e.Route != "":
		return e.Route
	case e.By != nil && *e.By >= 0:
		return "user " + strconv.Itoa(*e.By)
	}
	return ""
}

// prefix is as much of a digest as tells it from others.
func prefix(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}

func (a *app) showBodies(observations []api.Observation) error {
	for _, o := range observations {
		if o.Body == nil {
			continue
		}
		if err := a.print("\n%s, %s:\n%s", sayer(o), prefix(o.Digest), clean(*o.Body)); err != nil {
			return err
		}
	}
	return nil
}
