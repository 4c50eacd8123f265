package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) deliveriesCommand() *cobra.Command {
	var dead bool
	var after string
	var limit int
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "List what was delivered, redeliveries and dead letters",
		Long: `List what was delivered, the newest first: a delivery of a session is numbered like
D12, one that makes no session like L17. A dead letter is a signed delivery that
could not be used. What was refused is not kept; its counts by reason are told on
stderr. If the daemon does not run, its file is read.`,
		Example: `  moverisd deliveries --limit 20
  moverisd deliveries --dead
  moverisd deliveries show L17
  moverisd deliveries replay L17`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError("--limit is a number from 1 to 1000")
			}
			return a.read(cmd.Context(), func(c *api.Client) error {
				page, err := c.Deliveries(cmd.Context(), dead, after, limit)
				if err != nil {
					return err
				}
				return a.showDeliveries(page)
			})
		},
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "only dead letters")
	cmd.Flags().StringVar(&after, "after", "", "the `cursor` of the page before")
	cmd.Flags().IntVar(&limit, "limit", 100, "deliveries in a page, a `number` from 1 to 1000")
	cmd.AddCommand(a.showDeliveryCommand(), a.replayCommand())
	return cmd
}

func (a *app) showDeliveries(page api.DeliveryList) error {
	var err error
	if a.json() {
		err = writeJSON(a, page.Deliveries...)
	} else {
		// Scripts rely on the columns: new ones go to the end.
		t := newTable("DELIVERY", "AT", "ACCOUNT", "LABEL", "EVENT", "SESSION", "OUTCOME", "DEAD_LETTER", "AGAIN", "MISMATCH")
		for _, d := range page.Deliveries {
			t.row(d.ID, or(d.At), d.Account, d.Label, d.Event, or(d.SessionID), or(d.Outcome), or(d.DeadLetter),
				strconv.FormatInt(d.Redelivered, 10), yes(d.HeaderMismatch))
		}
		err = t.writeTo(a)
	}
	if err != nil {
		return err
	}
	var reasons []string
	for reason, n := range page.Rejected {
		if n > 0 {
			reasons = append(reasons, reason)
		}
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		a.say("refused in the last 24 h: %d, reason %s", page.Rejected[reason], reason)
	}
	if page.Next != nil {
		a.say("next page: --after %s", *page.Next)
	}
	return nil
}

func (a *app) showDeliveryCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NUMBER",
		Short:   "Show one delivery with its body as it was received",
		Example: "  moverisd deliveries show L17",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.read(cmd.Context(), func(c *api.Client) error { return a.showDelivery(cmd.Context(), c, args[0]) })
		},
	}
}

func (a *app) showDelivery(ctx context.Context, c *api.Client, id string) error {
	d, err := c.Delivery(ctx, id)
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a, d)
	}
	t := newTable()
	t.fact("delivery", d.ID)
	t.fact("at", or(d.At))
	t.fact("account", d.Account)
	t.fact("label", d.Label)
	t.fact("event", d.Event)
	t.fact("session", or(d.SessionID))
	t.fact("outcome", or(d.Outcome))
	t.fact("dead letter", or(d.DeadLetter))
	t.fact("acknowledged", yes(d.Acknowledged))
	t.fact("mismatch", yes(d.HeaderMismatch))
	t.fact("digest", d.Digest)
	if err := t.writeTo(a); err != nil {
		return err
	}
	if d.Body == nil {
		return a.print("\nthe body was erased")
	}
	return a.print("\n%s", clean(*d.Body))
}

func (a *app) replayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "replay [NUMBER…]",
		Short: "Read dead letters again, after an upgrade that may understand them",
		Long: `Read dead letters again, all of them without numbers. One that can be used now
becomes a delivery of its session, as heard when it came, and is no dead letter any
more. Exit code 2 if some still cannot be used.`,
		Example: "  moverisd deliveries replay\n  moverisd deliveries replay L17 L18",
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			results, err := c.Replay(cmd.Context(), ids)
			if err != nil {
				return err
			}
			return a.showReplayed(results)
		},
	}
}

func (a *app) showReplayed(results []api.ReplayResult) error {
	still := false
	for _, r := range results {
		still = still || r.SessionID == ""
		var err error
		switch {
		case a.json():
			err = writeJSON(a, r)
		case r.SessionID != "":
			err = a.print("%s  used  %s", r.ID, clean(r.SessionID))
		default:
			err = a.print("%s  still a dead letter  %s", r.ID, clean(r.Reason))
		}
		if err != nil {
			return err
		}
	}
	if len(results) == 0 {
		a.say("there are no dead letters")
	}
	if still {
		return &exit{code: exitPartly}
	}
	return nil
}
