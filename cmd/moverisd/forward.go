package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) forwardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forward",
		Short: "See and change what is still to be sent to your application",
		Long: `See and change the outbox: events that are still to be sent to a [[forward]], and its
dead letters, events that could not be brought to it in time.`,
		Args: needsCommand,
		Run:  func(*cobra.Command, []string) {},
	}
	cmd.AddCommand(a.forwardListCommand(), a.forwardRetryCommand(), a.forwardSkipCommand())
	return cmd
}

func (a *app) forwardListCommand() *cobra.Command {
	var dead bool
	var after string
	var limit int
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the forwards, or what is pending for one",
		Long: `Without a name: all forwards, also one that is not configured any more but has
something left, which is kept and not sent. With a name: what is pending for it, the
oldest first, or with --dead its dead letters. An event without a next attempt waits
for an earlier one of its session.`,
		Example: "  moverisd forward list\n  moverisd forward list backend --dead",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "dead letters")
	cmd.Flags().StringVar(&after, "after", "", "the `cursor` of the page before")
	cmd.Flags().IntVar(&limit, "limit", 100, "events in a page, a `number` from 1 to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 1 {
			return usageError("--limit is a number from 1 to 1000")
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			out, err := c.Forwards(cmd.Context())
			if err != nil {
				return err
			}
			return a.showForwards(out)
		}
		page, err := c.Letters(cmd.Context(), args[0], dead, after, limit)
		if err != nil {
			return err
		}
		return a.showLetters(page)
	}
	return cmd
}

func (a *app) showForwards(out api.ForwardTargets) error {
	if a.json() {
		return writeJSON(a, out.Forwards...)
	}
	// Scripts rely on the columns: new ones go to the end.
	t := newTable("FORWARD", "CONFIGURED", "PENDING", "OLDEST", "DEAD_LETTERS", "FAILING_SINCE", "LAST_ERROR")
	for _, f := range out.Forwards {
		t.row(f.Name, yes(f.Configured), strconv.FormatInt(f.Pending, 10), or(f.OldestAt), strconv.FormatInt(f.DeadLetters, 10),
			or(f.FailingSince), or(f.LastError))
	}
	return t.writeTo(a)
}

func (a *app) showLetters(page api.LetterList) error {
	var err error
	if a.json() {
		err = writeJSON(a, page.Events...)
	} else {
		t := newTable("EVENT", "AT", "ACCOUNT", "SESSION", "CHANGE", "DEAD_LETTER", "ATTEMPTS", "NEXT", "STATUS", "LAST_ERROR", "LATE")
		for _, l := range page.Events {
			t.row(strconv.FormatInt(l.Seq, 10), or(l.At), l.Account, l.SessionID, l.Change, yes(l.DeadLetter), strconv.Itoa(l.Attempts),
				or(l.NextAt), strconv.Itoa(l.LastStatus), or(l.LastError), yes(l.Late))
		}
		err = t.writeTo(a)
	}
	if err == nil && page.Next != nil {
		a.say("next page: --after %s", *page.Next)
	}
	return err
}

func (a *app) forwardRetryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retry NAME [EVENT…]",
		Short: "Send dead letters again",
		Long: `Send dead letters of a forward again, all of them without events. Each has its old id
and is marked "late": true. Exit code 2 if some were not there.`,
		Example: "  moverisd forward retry backend\n  moverisd forward retry backend 17 18",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			out, err := c.RetryLetters(cmd.Context(), args[0], api.LettersRequest{IDs: args[1:]})
			if err != nil {
				return err
			}
			return a.showChanged(out, "%d will be sent again", "there is no such dead letter")
		},
	}
}

func (a *app) forwardSkipCommand() *cobra.Command {
	var dead, pending bool
	cmd := &cobra.Command{
		Use:   "skip NAME [EVENT…]",
		Short: "Never send events",
		Long: `Take events out of the outbox of a forward, pending ones or dead letters: they are
never sent, and the next event of their session goes on. The events themselves stay
where they are (moverisd events). Exit code 2 if some were not there.`,
		Example: "  moverisd forward skip backend 17\n  moverisd forward skip old-backend --all-pending --all-dead",
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVar(&dead, "all-dead", false, "all dead letters")
	cmd.Flags().BoolVar(&pending, "all-pending", false, "all that is pending")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) > 1) == (dead || pending) {
			return usageError("name the events to skip, or --all-dead, or --all-pending")
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		out, err := c.SkipLetters(cmd.Context(), args[0], api.LettersRequest{IDs: args[1:], Dead: dead, Pending: pending})
		if err != nil {
			return err
		}
		return a.showChanged(out, "%d skipped", "it is neither pending nor a dead letter")
	}
	return cmd
}

func (a *app) showChanged(out api.LettersResult, done, absent string) error {
	var err error
	if a.json() {
		err = writeJSON(a, out)
	} else {
		err = a.print(done, out.Done)
	}
	if err != nil || len(out.NotFound) == 0 {
		return err
	}
	for _, id := range out.NotFound {
		a.say("%s: %s", clean(id), absent)
	}
	return &exit{code: exitPartly}
}
