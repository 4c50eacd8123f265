package daemon

import (
	"context"

	"github.com/moverisd/moverisd/internal/config"
)

// reload reads configuration, secrets and certificates again. If anything about them is
// wrong, everything stays as it was.
func (d *daemon) reload(ctx context.Context) error {
	// A signal and a call may come together; the later one must not be overtaken.
	d.reloading.Lock()
	defer d.reloading.Unlock()
	notifyReloading()
	defer notifyReady()
	err := d.tryReload(ctx)
	if err != nil {
		d.notes.setRejected(err.Error())
		d.log.Error("the new configuration is refused, the old one stays", "err", err)
		return err
	}
	d.notes.setRejected("")
	d.log.Info("the configuration was read again")
	return nil
}

func (d *daemon) tryReload(ctx context.Context) error {
	cfg, err := load(d.opts)
	if err != nil {
		return err
	}
	if err := checkOrphans(ctx, cfg, d.store); err != nil {
		return err
	}
	pair, err := readPair(cfg.Webhook.TLSCert, cfg.Webhook.TLSKey)
	if err != nil {
		return err
	}
	to, err := targets(cfg)
	if err != nil {
		return err
	}
	old, accounts := d.current()
	fresh, err := openAccounts(ctx, cfg, d.store, accounts, d.version, d.log)
	if err != nil {
		return err
	}
	for _, key := range needsRestart(old, cfg) {
		d.log.Warn("a changed key takes effect at the next start only", "key", key)
	}
	// From here on nothing fails: the schedules were checked with the configuration.
	d.certs.replace(pair)
	d.mu.Lock()
	d.cfg, d.accounts = cfg, fresh
	d.mu.Unlock()
	d.store.SetPolicy(policies(cfg))
	d.poller.Configure(pollSettings(cfg, fresh, d.doubt))
	d.handler.Configure(webhookSettings(cfg))
	d.api.SetPolicy(policies(cfg))
	d.store.SetForwarding(forwarding(cfg))
	d.forwarder.Configure(to)
	d.alerts.replace(cfg.Alerts)
	if cfg.Poll.Schedule != old.Poll.Schedule || cfg.Retention.Schedule != old.Retention.Schedule ||
		cfg.Backup.Schedule != old.Backup.Schedule {
		return d.plan()
	}
	return nil
}

// needsRestart lists the keys whose change takes no effect before a restart.
func needsRestart(old, cfg *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"webhook.listen", old.Webhook.Listen != cfg.Webhook.Listen},
		{"webhook.tls_cert", (old.Webhook.TLSCert == "") != (cfg.Webhook.TLSCert == "")},
		{"api.socket", old.API.Socket != cfg.API.Socket || old.API.SocketMode != cfg.API.SocketMode},
		{"api.listen", old.API.Listen != cfg.API.Listen},
		{"observe.listen", old.Observe.Listen != cfg.Observe.Listen},
		{"store.path", old.Store.Path != cfg.Store.Path},
	} {
		if k.changed {
			keys = append(keys, k.key)
		}
	}
	return keys
}
