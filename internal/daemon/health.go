package daemon

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
)

// healthInterval is how often the daemon looks at itself and writes status.json.
const healthInterval = 15 * time.Second

// lookInterval is healthInterval, or a third of systemd's watchdog where that is shorter.
func lookInterval() time.Duration {
	watchdog, err := sd.SdWatchdogEnabled(false)
	if err != nil || watchdog == 0 {
		return healthInterval
	}
	return min(healthInterval, watchdog/3)
}

// startHealth looks at the daemon's health until the returned function is called, which
// waits for the last look to end.
func (d *daemon) startHealth(ctx context.Context, addr net.Addr) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookInterval())
		defer tick.Stop()
		last := status.Report{Level: status.OK}
		for {
			last = d.look(ctx, addr, last)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// lookAtClock notices a jump of the wall clock. The jobs are planned anew then: cron would
// wait for the times it has worked out before, however far away they are now.
func (d *daemon) lookAtClock(now time.Time) {
	jump := d.guard.look(now)
	if jump == 0 {
		return
	}
	d.log.Warn("the clock has jumped; the jobs are planned anew", "by", jump.Round(time.Second))
	if err := d.plan(); err != nil {
		d.log.Error("plan the jobs anew", "err", err)
	}
}

// look judges once, tells the log where the level has changed, writes status.json, and beats
// for systemd's watchdog if the daemon does its work.
func (d *daemon) look(ctx context.Context, addr net.Addr, before status.Report) status.Report {
	d.lookAtClock(time.Now())
	commitErr := d.checkCommit(ctx)
	listenErr := d.checkListener(ctx, addr)
	if ctx.Err() != nil {
		return before
	}
	d.notes.setLook(commitErr, listenErr)
	d.renewCertificates()
	r := d.report(ctx)
	if ctx.Err() != nil {
		return before
	}
	d.logChange(before, r)
	d.alerts.look(r)
	notifyStatus(r.Line())
	if err := writeStatus(filepath.Join(filepath.Dir(d.store.Path()), "status.json"), r); err != nil {
		d.log.Debug("write status.json", "err", err)
	}
	d.beat(commitErr, listenErr, d.pollFacts(time.Now()).Late)
	return r
}

// logChange tells the log of each reason once when it comes, once when it goes, and of the
// level.
func (d *daemon) logChange(before, now status.Report) {
	has := func(r status.Report, reason status.Reason) bool {
		return slices.ContainsFunc(r.Reasons, func(o status.Reason) bool {
			return o.Code == reason.Code && o.Subject == reason.Subject && o.Level == reason.Level
		})
	}
	for _, reason := range now.Reasons {
		if !has(before, reason) {
			d.log.Warn("health: "+reason.Text, "reason", reason.Code, "level", reason.Level)
		}
	}
	for _, reason := range before.Reasons {
		if !has(now, reason) {
			d.log.Info("health: no longer so", "reason", reason.Code, "level", reason.Level)
		}
	}
	if now.Level != before.Level {
		d.log.Info("health is "+string(now.Level), "before", before.Level)
	}
}

// beat tells systemd's watchdog that all is well, or the log everything that is not: no beat
// means that systemd will restart the daemon.
func (d *daemon) beat(commitErr, listenErr error, late bool) {
	alive := true
	if commitErr != nil && !passing(commitErr) {
		alive = false
		d.log.Error("no beat for the watchdog: the store does not commit", "err", commitErr)
	}
	if listenErr != nil {
		alive = false
		d.log.Error("no beat for the watchdog: the listener does not answer", "err", listenErr)
	}
	if late {
		alive = false
		d.log.Error("no beat for the watchdog: sweeps do not tick")
	}
	if alive {
		notifyBeat()
	}
}

// renewCertificates reads the certificate again if its files have changed. While they do not
// fit together, as between the two steps of a renewal, the old one stays; the log is told of
// it once for each change.
func (d *daemon) renewCertificates() {
	changed, err := d.certs.renew()
	switch {
	case err != nil:
		d.log.Error("the changed certificate is refused, the old one stays", "err", err)
	case changed:
		d.log.Info("the certificate was read again")
	}
}

// passing reports whether a restart would not mend what keeps the store from committing: a
// full disk is no reason for one.
func passing(err error) bool { return errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrBusy) }

// checkCommit commits something empty.
func (d *daemon) checkCommit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return d.store.Ping(ctx)
}

// checkListener asks the webhook listener something it must refuse.
func (d *daemon) checkListener(ctx context.Context, addr net.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	scheme := "http"
	if d.certs != nil {
		scheme = "https"
	}
	cfg, _ := d.current()
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, scheme+"://"+reachable(addr)+cfg.Webhook.Path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", selfAgent)
	// It talks to itself: whose name the certificate bears does not matter.
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusMethodNotAllowed {
		return fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return nil
}

const selfAgent = "moverisd-self-check"

// reachable is an address under which a listener can be reached from this machine.
func reachable(addr net.Addr) string {
	a, ok := addr.(*net.TCPAddr)
	if !ok || !a.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("localhost", fmt.Sprint(a.Port))
}

// writeStatus replaces status.json as a whole, so that a reader never sees half of it.
func writeStatus(path string, r status.Report) error {
	r.Via = "status.json"
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".status-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o640)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}
