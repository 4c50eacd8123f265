package daemon

import (
	"context"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/webhook"
)

// prune applies the retention. While the clock is in doubt it waits.
func (d *daemon) prune(ctx context.Context, all bool) (store.Pruned, error) {
	now := time.Now()
	d.lookAtClock(now)
	return d.pruneAt(ctx, all, now)
}

// pruneAt is prune at a time at which the guard has looked.
func (d *daemon) pruneAt(ctx context.Context, all bool, now time.Time) (store.Pruned, error) {
	if d.guard.inDoubt() {
		return store.Pruned{}, api.Refuse("the clock is in doubt; nothing is pruned before the API's Date confirms it")
	}
	cfg, _ := d.current()
	return d.store.Prune(ctx, store.Retention{Settled: cfg.Retention.Settled, DeadLetters: cfg.Retention.DeadLetters,
		Events: cfg.Retention.Events, All: all}, now)
}

// pruneJob is the job of the retention schedule.
func (d *daemon) pruneJob(ctx context.Context, _ time.Time) {
	out, err := d.prune(ctx, false)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		d.log.Error("nothing was pruned", "err", err)
	case out != store.Pruned{}:
		d.log.Info("pruned", "sessions", out.Sessions, "dead_letters", out.DeadLetters, "events", out.Events, "limited", out.Limited)
	}
}

// replay reads a dead letter again.
func (d *daemon) replay(ctx context.Context, l store.Loose) (sessionID, reason string, err error) {
	in := webhook.Loose{Account: l.Account, Label: l.Label, Event: l.Event, Reason: l.Reason, At: l.At, Body: l.Body}
	copy(in.Digest[:], l.Digest)
	return d.handler.Replay(ctx, in)
}

// backupJob is the job of the backup schedule.
func (d *daemon) backupJob(ctx context.Context, _ time.Time) {
	cfg, _ := d.current()
	if cfg.Backup.Dir == "" {
		return
	}
	path, err := d.store.BackupInto(ctx, cfg.Backup.Dir, cfg.Backup.Keep, time.Now())
	if ctx.Err() != nil {
		return
	}
	d.notes.setBackup(err)
	if err != nil {
		d.log.Error("the backup failed", "err", err)
		return
	}
	d.log.Info("backed up", "path", path)
}
