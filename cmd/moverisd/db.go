package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/daemon"
)

func (a *app) dbCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Back up, restore, verify, rebuild or prune the store",
		Args:  needsCommand,
		Run:   func(*cobra.Command, []string) {},
	}
	cmd.AddCommand(a.backupCommand(), a.restoreCommand(), a.verifyCommand(), a.rebuildCommand(), a.pruneCommand())
	return cmd
}

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the store while it is in use",
		Long: `Copy the store while it is in use. FILE is replaced as a whole, after the copy was
fsynced and verified. It is readable for its owner alone: it holds what was received.`,
		Example: "  moverisd db backup /var/backups/moverisd.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			err = daemon.SaveBackup(cmd.Context(), args[0], func(w io.Writer) error { return c.Backup(cmd.Context(), w) })
			if err != nil {
				return err
			}
			if a.json() {
				return writeJSON(a, map[string]string{"backup": args[0]})
			}
			return a.print("%s is a verified copy of the store", args[0])
		},
	}
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Replace the store by a backup, while the daemon is stopped",
		Long: `Replace the store by a backup, while the daemon is stopped. The file that is there is
kept aside, and what can still be read from it is taken over first. The store gets a
new id, so that readers of its events notice. Run it as the user of the service, so
that the new file is the service's.`,
		Example: "  systemctl stop moverisd.socket moverisd-api.socket moverisd\n" +
			"  sudo -u moverisd moverisd db restore /var/backups/moverisd.db\n" +
			"  systemctl start moverisd.socket moverisd-api.socket moverisd",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.place()
			if err != nil {
				return err
			}
			if p.cfg == nil {
				return usageError("restore needs the configuration: which store?")
			}
			out, err := daemon.Restore(cmd.Context(), p.cfg, args[0])
			if err != nil {
				return err
			}
			return a.showRestored(out)
		},
	}
}

func (a *app) showRestored(r daemon.Restored) error {
	if a.json() {
		return writeJSON(a, map[string]any{"store": r.StoreID, "sessions": r.Backup.Sessions, "aside": r.Aside,
			"salvaged": r.Salvaged, "lost": r.Lost, "not_covered_from": r.From, "not_covered_until": r.Until})
	}
	t := newTable()
	t.fact("restored", fmt.Sprintf("%d sessions, the newest entry of %s", r.Backup.Sessions, moment(r.Backup.Newest)))
	t.fact("store id", r.StoreID+" (new)")
	t.fact("kept aside", r.Aside)
	if r.Aside != "" {
		t.fact("salvaged", fmt.Sprintf("%d entries of it", r.Salvaged))
	}
	t.fact("not readable", r.Lost)
	t.fact("not covered", moment(r.From)+" to "+moment(r.Until))
	if err := t.writeTo(a); err != nil {
		return err
	}
	return a.print(`
What was received in the time that is not covered is not in the store. Start the daemon,
then announce the sessions of that time again from your application's records, with
moverisd expect -
What is then expected is asked about.`)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify",
		Short:   "Check the whole store",
		Example: "  moverisd db verify -o json",
		Long: `Check every page and index of the store, and the totals against the rows they count.
If the daemon does not run, its file is checked. Exit code 1 if anything is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wrong := 0
			err := a.read(cmd.Context(), func(c *api.Client) error {
				return c.Verify(cmd.Context(), func(l api.MaintenanceLine) {
					wrong++
					a.say("%s", clean(l.Wrong))
				})
			})
			if err != nil {
				return err
			}
			if a.json() {
				err = writeJSON(a, map[string]any{"ok": wrong == 0, "wrong": wrong})
			} else if wrong == 0 {
				err = a.print("the store is whole")
			}
			if err == nil && wrong > 0 {
				err = &exit{exitFailed, fmt.Errorf("%d things are wrong: stop the daemon and run `moverisd db restore FILE` with the newest backup", wrong)}
			}
			return err
		},
	}
}

func (a *app) rebuildCommand() *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:     "rebuild",
		Short:   "Fold every session again from what was observed, and report differences",
		Example: "  moverisd db rebuild\n  moverisd db rebuild --apply",
		Long: `Fold every session again from what was observed, and report where the result differs
from what is kept; on a healthy store it never does. With --apply the differences are
corrected, and an event tells where an outcome has changed.

Progress is told on stderr. Exit code 2 if there were differences.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "correct what differs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return a.rebuild(cmd.Context(), c, apply)
	}
	return cmd
}

func (a *app) rebuild(ctx context.Context, c *api.Client, apply bool) error {
	var done, told int64
	var differences int
	var failed error
	err := c.Rebuild(ctx, apply, func(l api.MaintenanceLine) {
		switch {
		case l.Difference != nil:
			differences++
			if a.json() {
				failed = writeJSON(a, l.Difference)
			} else {
				failed = a.print("%s  %s  %s", clean(l.Difference.SessionID), l.Difference.Account, clean(l.Difference.What))
			}
		case l.Done != nil:
			if done = *l.Done; done-told >= 100_000 {
				told = done
				a.say("%d sessions folded again …", done)
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	a.say("%d sessions folded again, %d differ", done, differences)
	if differences > 0 {
		return &exit{code: exitPartly}
	}
	return nil
}

func (a *app) pruneCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Delete now what is older than its retention",
		Example: "  moverisd db prune",
		Long: `Delete now what is older than its retention. One run deletes at most a twentieth of the
sessions, so that a wrong clock or a slip in the configuration cannot cost everything;
--all lifts that.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete everything that is due in this run")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		out, err := c.Prune(cmd.Context(), all)
		if err != nil {
			return err
		}
		if a.json() {
			return writeJSON(a, out)
		}
		if out.Limited {
			a.say("more is due, but one run deletes only so much; see --all")
		}
		return a.print("%d sessions, %d deliveries without a session, %d events deleted", out.Sessions, out.DeadLetters, out.Events)
	}
	return cmd
}
