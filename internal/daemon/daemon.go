package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/forward"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/webhook"
)

// Options say how to run.
type Options struct {
	ConfigPath string
	Version    string
	Env        config.Environment
	Log        *slog.Logger // nil: chosen by where Stderr leads
	Stderr     io.Writer
	Reload     <-chan os.Signal
}

// daemon is a running moverisd.
type daemon struct {
	opts      Options
	version   string
	log       *slog.Logger
	startedAt time.Time

	store     *store.Store
	poller    *poll.Poller
	handler   *webhook.Handler
	forwarder *forward.Forwarder
	api       *api.Server
	tracker   *status.Tracker
	notes     notes
	clock     *clock
	guard     *clockGuard

	webhookSrv *http.Server
	apiSrv     *http.Server
	tcp        apiTCP
	apiPath    string // removed at the end, empty if systemd owns it
	certs      *certificates
	inherited  inherited
	deliveries unanswered // of webhookSrv
	calls      unanswered // of apiSrv

	meter   *api.Meter
	observe observing
	alerts  alerts
	tests   tests
	held    bool // systemd holds the webhook's socket

	reloading sync.Mutex // one reload at a time

	mu       sync.Mutex // guards the fields below
	cfg      *config.Config
	accounts []account
	plans    plans
}

// Run runs moverisd until ctx ends, then stops in order. A nil error means a clean stop; see
// ExitCode for the others.
func Run(ctx context.Context, o Options) error {
	cfg, err := load(o)
	if err != nil {
		return err
	}
	d := &daemon{opts: o, version: o.Version, log: o.Log, startedAt: time.Now(), tracker: status.NewTracker(),
		meter: api.NewMeter(), cfg: cfg}
	if d.log == nil {
		d.log = newLogger(o.Stderr, o.Env)
	}
	in, err := inherit(cfg)
	if err != nil {
		return err
	}
	d.inherited = in
	d.held = in.take(webhookName) != nil
	webhookLn, err := listenWebhook(cfg, in)
	if err != nil {
		return err
	}
	defer webhookLn.Close()
	if d.certs, err = loadCertificates(cfg.Webhook.TLSCert, cfg.Webhook.TLSKey); err != nil {
		return &configError{err}
	}
	if err := checkSocket(cfg); err != nil && len(in["api"]) == 0 {
		return err
	}
	if err := d.tcp.listen(cfg); err != nil {
		return err
	}
	defer d.tcp.close()
	if err := d.observe.listen(d.cfg); err != nil {
		return err
	}
	defer d.observe.close()
	opened := extendTimeout() // a migration may take long
	err = d.openStore(ctx, webhookLn)
	opened()
	if err != nil {
		return err
	}
	defer d.closeStore()
	apiLn, err := listenAPI(cfg, in)
	if err != nil {
		return err
	}
	defer apiLn.Close()
	return advised(d.serve(ctx, webhookLn, apiLn))
}

// load reads the configuration for running: every problem is an error.
func load(o Options) (*config.Config, error) {
	cfg, report := config.Load(o.ConfigPath, config.Options{Env: o.Env, CheckSchedule: CheckSchedule})
	if err := report.Err(); err != nil {
		return nil, &configError{err}
	}
	return cfg, nil
}

// serve starts everything and waits for the end.
func (d *daemon) serve(ctx context.Context, webhookLn, apiLn net.Listener) error {
	if err := checkOrphans(ctx, d.cfg, d.store); err != nil {
		return err
	}
	var err error
	if d.accounts, err = openAccounts(ctx, d.cfg, d.store, nil, d.version, d.log); err != nil {
		return err
	}
	to, err := targets(d.cfg)
	if err != nil {
		return err
	}
	d.store.SetForwarding(forwarding(d.cfg))
	d.guard = newClockGuard(time.Now(), d.store.LastBeat())
	jobs, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	d.poller = poll.New(d.store, time.Now, d.log)
	d.poller.Configure(pollSettings(d.cfg, d.accounts, d.doubt))
	d.clock = newClock(jobs, d.log)
	if err := d.plan(); err != nil {
		return err
	}
	d.startForwarding(to)
	failed := d.startServers(webhookLn, apiLn)
	// A suspended machine wakes cron's only timer late; a look each minute bounds that.
	if _, err := d.clock.add("@every 1m", func(context.Context, time.Time) { d.lookAtClock(time.Now()) }); err != nil {
		return err
	}
	d.clock.cron.Start()
	go d.plans.sweep.now() // the first sweep; cron would wait for one interval
	d.log.Info("ready", "version", d.version, "webhook", webhookLn.Addr().String(), "path", d.cfg.Webhook.Path,
		"socket", apiLn.Addr().String(), "store", d.store.Path(), "accounts", len(d.accounts))
	notifyReady()
	d.alerts.note, d.alerts.log = d.notes.setAlert, d.log
	d.alerts.start(jobs, d.cfg.Alerts)
	defer d.alerts.end()
	beat := d.startHealth(jobs, webhookLn.Addr())
	defer beat()
	return d.wait(ctx, cancel, failed)
}

// plan puts the jobs into the clock, in place of earlier ones. If one cannot be planned the
// earlier ones stay.
func (d *daemon) plan() error {
	cfg, _ := d.current()
	var fresh plans
	for _, p := range []struct {
		job  *job
		spec string
		do   func(ctx context.Context, next time.Time)
	}{
		{&fresh.sweep, cfg.Poll.Schedule, d.sweep},
		{&fresh.prune, cfg.Retention.Schedule, d.pruneJob},
		{&fresh.backup, cfg.Backup.Schedule, d.backupJob},
	} {
		var err error
		if *p.job, err = d.clock.add(p.spec, p.do); err != nil {
			fresh.remove()
			return &configError{err}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plans.remove()
	d.plans = fresh
	return nil
}

// plans are the jobs that the configuration times.
type plans struct{ sweep, prune, backup job }

func (p plans) remove() {
	for _, j := range []job{p.sweep, p.prune, p.backup} {
		j.remove()
	}
}

// doubt holds the clock against the Date of an answer and reports whether it is in doubt.
func (d *daemon) doubt(date time.Time) bool {
	now := time.Now()
	d.lookAtClock(now)
	d.guard.confirm(date, now)
	return d.guard.inDoubt()
}

// sweep is the job of the poll schedule.
func (d *daemon) sweep(ctx context.Context, next time.Time) {
	err := d.poller.Sweep(ctx, next)
	d.meter.Swept(err)
	if err != nil && ctx.Err() == nil {
		d.log.Error("the sweep failed", "err", err)
	}
}

// startServers serves deliveries and the API. The channel gets an error if one of them ends
// by itself.
func (d *daemon) startServers(webhookLn, apiLn net.Listener) <-chan error {
	d.handler = webhook.New(webhookSettings(d.cfg), d.measured(d.store), time.Now)
	d.api = api.New(api.Deps{Store: d.store, Poller: d.poller, Status: d.report, Accounts: d.names, Forwards: d.forwardNames,
		Submission: moveris.ParseSubmission, Policy: policies(d.cfg), Sweep: d.sweepNow, Reload: d.reload,
		Prune: d.prune, Replay: d.replay, Meter: d.meter, Doctor: d.doctor,
		Now: time.Now, Log: d.log})
	d.webhookSrv = webhook.NewServer(d.handler, d.log, d.certs.get())
	d.apiSrv = api.NewServer(d.api, d.log, api.ConnectionsMax)
	d.inherited.useOnce(webhookName, d.webhookSrv)
	d.inherited.useOnce(apiName, d.apiSrv)
	webhookLn, apiLn = d.deliveries.watch(d.webhookSrv, webhookLn), d.calls.watch(d.apiSrv, apiLn)
	failed := make(chan error, 4)
	go func() {
		if d.certs != nil {
			failed <- fmt.Errorf("serve deliveries: %w", d.webhookSrv.ServeTLS(webhookLn, "", ""))
			return
		}
		failed <- fmt.Errorf("serve deliveries: %w", d.webhookSrv.Serve(webhookLn))
	}()
	go func() { failed <- fmt.Errorf("serve the API: %w", d.apiSrv.Serve(apiLn)) }()
	d.serveTCP(failed)
	d.serveObserve(failed)
	return failed
}

// wait runs until the context ends, the store breaks or a server fails, then stops.
func (d *daemon) wait(ctx context.Context, cancelJobs func(), failed <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			d.log.Info("stopping")
			d.stop(cancelJobs)
			d.log.Info("stopped")
			return nil
		case <-d.store.Broken():
			err := fmt.Errorf("%w: %w", store.ErrBroken, d.store.Err())
			d.log.Error("the store has failed; nothing more is accepted", "err", err)
			notifyStatus("the store has failed: " + d.store.Err().Error())
			d.stop(cancelJobs)
			return err
		case err := <-failed:
			if errors.Is(err, http.ErrServerClosed) {
				continue
			}
			d.stop(cancelJobs)
			return err
		case <-d.opts.Reload:
			// The result is logged; a signal has nobody to answer to.
			_ = d.reload(ctx)
		}
	}
}

func (d *daemon) closeStore() {
	if err := d.store.Close(); err != nil {
		d.log.Error("close the store", "err", err)
	}
}

// current is the configuration and the accounts in force.
func (d *daemon) current() (*config.Config, []account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg, d.accounts
}

func (d *daemon) names() []string {
	cfg, _ := d.current()
	return accountNames(cfg)
}

func (d *daemon) nextSweep() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.plans.sweep.next()
}

// sweepInterval is the time between the next two sweeps.
func (d *daemon) sweepInterval() time.Duration {
	cfg, _ := d.current()
	runs, err := NextRuns(cfg.Poll.Schedule, time.Now(), 2)
	if err != nil || len(runs) < 2 {
		return time.Hour
	}
	return runs[1].Sub(runs[0])
}

// sweepNow sweeps for a person, for as long as one interval.
func (d *daemon) sweepNow(ctx context.Context) error {
	return d.poller.Sweep(ctx, time.Now().Add(d.sweepInterval()))
}
