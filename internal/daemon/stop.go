package daemon

import (
	"context"
	"os"
	"time"
)

// Limits of stopping, ten seconds in all.
const (
	drainTimeout   = 5 * time.Second // deliveries that were accepted
	jobTimeout     = 2 * time.Second // sweeps, whose context has ended by then
	forwardTimeout = 1 * time.Second // events on their way to a target
	apiTimeout     = 1 * time.Second // callers that wait have been sent home by then
)

// stop ends everything but the store, in the reverse order of the start. Whatever does not
// end in time is left behind; the store is closed all the same.
func (d *daemon) stop(cancelJobs func()) {
	notifyStopping()
	cancelJobs()
	within(drainTimeout, func(ctx context.Context) {
		d.deliveries.finish(ctx)
		if err := d.webhookSrv.Shutdown(ctx); err != nil {
			d.handler.Drain()
			d.log.Warn("deliveries that were not answered in time are refused with 503", "err", err)
			d.webhookSrv.Close()
		}
	})
	within(jobTimeout, func(ctx context.Context) {
		if err := d.clock.stop(ctx); err != nil {
			d.log.Warn("stop the schedule", "err", err)
		}
		d.waitForSweeps(ctx)
	})
	within(forwardTimeout, d.forwarder.Stop)
	d.api.Stop()
	within(apiTimeout, func(ctx context.Context) {
		d.calls.finish(ctx)
		if err := d.apiSrv.Shutdown(ctx); err != nil {
			d.apiSrv.Close()
		}
		d.tcp.stop(ctx)
		d.observe.stop(ctx)
	})
	_, accounts := d.current()
	for _, a := range accounts {
		a.client.Close()
	}
	if d.apiPath != "" {
		os.Remove(d.apiPath)
	}
}

// waitForSweeps waits for sweeps that cron does not know of: the first one, and one that a
// person has asked for.
func (d *daemon) waitForSweeps(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		d.poller.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func within(d time.Duration, do func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	do(ctx)
}
