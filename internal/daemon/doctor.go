package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/status"
)

// Limits of the doctor's judgement.
const (
	doctorTime = 60 * time.Second // for everything
	apiWait    = 20 * time.Second // for one account, its tokens included
	skewWarn   = 5 * time.Second
	skewFail   = confirmMax // then the clock is in doubt
	fsyncTimes = 10
	fsyncWarn  = 50 * time.Millisecond // the median
	fsyncFail  = time.Second
	diskWarn   = 1 << 30 // bytes
)

// checks gathers findings.
type checks struct{ list []api.Check }

func (c *checks) add(result, name, do, format string, args ...any) {
	if result == api.CheckOK {
		do = ""
	}
	c.list = append(c.list, api.Check{Name: name, Result: result, Saw: fmt.Sprintf(format, args...), Do: do})
}

// doctor examines everything that is usually wrong, from the daemon's side: it alone holds the
// secrets and is subject to the sandbox. It costs each account a request for each route and
// one more.
func (d *daemon) doctor(ctx context.Context, publicURL string) []api.Check {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	c := &checks{}
	d.checkConfig(c)
	d.checkJudgement(ctx, c)
	_, accounts := d.current()
	for _, a := range accounts {
		checkAPI(ctx, c, a)
	}
	d.checkDisk(c)
	d.checkFiles(c)
	d.checkSystemd(c)
	if publicURL != "" {
		d.checkPublic(ctx, c, publicURL)
	}
	return c.list
}

// checkConfig reads the configuration and its secrets again, as a reload would.
func (d *daemon) checkConfig(c *checks) {
	cfg, report := config.Load(d.opts.ConfigPath, config.Options{Env: d.opts.Env, CheckSchedule: CheckSchedule})
	if err := report.Err(); err != nil {
		c.add(api.CheckFail, "configuration", "moverisd config check; the daemon goes on with what it has read before",
			"the file, or a secret that it names, cannot be read as it is now: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	old, _ := d.current()
	restart := needsRestart(old, cfg)
	switch {
	case len(restart) > 0:
		c.add(api.CheckWarn, "configuration", "systemctl restart moverisd", "%s is right, but changed keys take effect at a restart only: %s",
			d.opts.ConfigPath, strings.Join(restart, ", "))
	case len(report.Warnings) > 0:
		var all []string
		for _, w := range report.Warnings {
			all = append(all, w.String())
		}
		c.add(api.CheckWarn, "configuration", "see `moverisd config check`", "%s", strings.Join(all, "; "))
	default:
		c.add(api.CheckOK, "configuration", "", "%s is right", d.opts.ConfigPath)
	}
	n := 0
	for _, a := range cfg.Accounts {
		n += len(a.WebhookSecrets)
	}
	c.add(api.CheckOK, "secrets", "", "the keys of %d account(s) and %d webhook secret(s) can be read", len(cfg.Accounts), n)
}

// checkJudgement passes on what status says.
func (d *daemon) checkJudgement(ctx context.Context, c *checks) {
	r := d.report(ctx)
	result := map[status.Level]string{status.OK: api.CheckOK, status.Degraded: api.CheckWarn}[r.Level]
	if result == "" {
		result = api.CheckFail
	}
	saw := "moverisd says that it is " + string(r.Level)
	for i, reason := range r.Reasons {
		saw += map[bool]string{true: ": ", false: "; "}[i == 0] + reason.Text
	}
	c.add(result, "status", "see `moverisd status` for what to do about each", "%s", saw)
}

// checkAPI asks about a session that nobody knows: the right answer of every route is 404.
func checkAPI(ctx context.Context, c *checks, a account) {
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	name := "account " + a.cfg.Name
	health := a.client.CheckHealth(ctx)
	nobody := "moverisd-doctor-" + rand.Text()
	answers := a.client.Probe(ctx, moveris.Asked{SessionID: nobody, JobID: nobody})
	date, asked := health.Date, time.Now()
	for _, ans := range answers {
		if ans.Date.After(date) {
			date = ans.Date
		}
	}
	checkKey(c, name, a, answers)
	skew := date.Sub(asked).Round(time.Second)
	const do = "switch on time synchronisation (timedatectl), and see who sets the clock"
	switch {
	case date.IsZero():
		c.add(api.CheckWarn, name+": clock", "make the API reachable first", "the API said no Date")
	case skew.Abs() > skewFail:
		c.add(api.CheckFail, name+": clock", do, "the API's clock and ours differ by %s", skew)
	case skew.Abs() > skewWarn:
		c.add(api.CheckWarn, name+": clock", do, "the API's clock and ours differ by %s", skew)
	default:
		c.add(api.CheckOK, name+": clock", "", "the API's clock and ours agree")
	}
}

// checkKey judges the key and its scopes by what the routes answer.
func checkKey(c *checks, name string, a account, answers []moveris.RouteAnswer) {
	said := map[string][]string{} // routes by conclusion
	var all []string
	for _, ans := range answers {
		said[ans.Conclusion] = append(said[ans.Conclusion], ans.Route)
		what := ans.Conclusion
		if ans.Status != 0 {
			what = strconv.Itoa(ans.Status)
		} else if ans.Err != nil {
			what = ans.Err.Error()
		}
		all = append(all, ans.Route+": "+what)
	}
	saw := strings.Join(all, "; ")
	denied, mute := said[moveris.Denied], len(said[moveris.Transport])+len(said[moveris.ServerError])+len(said[moveris.GivenUp])
	switch {
	case len(said[moveris.NoCredits]) > 0:
		c.add(api.CheckFail, name+": key", "buy credits for the account", "%s", saw)
	case len(answers) > 0 && mute == len(answers):
		c.add(api.CheckFail, name+": key", "check base_url, DNS, the proxy variables of the service, and Moveris' status", "the API does not answer; %s", saw)
	case len(answers) > 0 && len(denied) == len(answers):
		c.add(api.CheckFail, name+": key", "check api_key in the portal; it needs the scopes detection:read and session:read", "the API refuses the key; %s", saw)
	case len(denied) > 0:
		c.add(api.CheckWarn, name+": key", "give the key the scope that these routes need (detection:read for results, session:read for sessions), or leave them out of routes",
			"the key may not use %s", strings.Join(denied, ", "))
	case mute > 0 || len(said[moveris.RateLimited]) > 0:
		c.add(api.CheckWarn, name+": key", "try again later; lower requests_per_minute if 429 stays", "%s", saw)
	case !slices.ContainsFunc(a.client.Health().Routes, func(r moveris.RouteHealth) bool { return !r.Last200At.IsZero() }):
		c.add(api.CheckWarn, name+": key", "run moverisd probe with an id that is known to be finished: it shows which route answers",
			"the key is accepted, but no route has ever answered 200 yet; %s", saw)
	default:
		c.add(api.CheckOK, name+": key", "", "the key is accepted; %s", saw)
	}
}

// checkDisk measures what each answer to a delivery waits for.
func (d *daemon) checkDisk(c *checks) {
	disk := d.store.Disk()
	switch free := disk.FreeBytes; {
	case free < diskWarn:
		c.add(api.CheckWarn, "disk", "free some space, or shorten [retention]", "%d MB are left beside %s", free>>20, d.store.Path())
	default:
		c.add(api.CheckOK, "disk", "", "%.1f GB are left beside %s", float64(free)/1e9, d.store.Path())
	}
	times, err := fsyncs(filepath.Dir(d.store.Path()))
	if err != nil {
		c.add(api.CheckFail, "fsync", "see the rights of the directory and the kernel's log", "a file beside the store cannot be written: %v", err)
		return
	}
	median, worst := times[len(times)/2], times[len(times)-1]
	result := api.CheckOK
	switch {
	case median >= fsyncFail:
		result = api.CheckFail
	case median >= fsyncWarn:
		result = api.CheckWarn
	}
	c.add(result, "fsync", "put the store on a faster disk: every delivery waits for one", "an fsync takes %s, at worst %s of %d",
		median.Round(10*time.Microsecond), worst.Round(10*time.Microsecond), len(times))
}

// fsyncs writes and syncs a small file a few times; the times come in order.
func fsyncs(dir string) ([]time.Duration, error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var times []time.Duration
	for range fsyncTimes {
		start := time.Now()
		if _, err = f.Write(block); err == nil {
			err = f.Sync()
		}
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times, nil
}

// checkFiles looks at who may use the socket and read the files.
func (d *daemon) checkFiles(c *checks) {
	cfg, _ := d.current()
	info, err := os.Lstat(cfg.API.Socket)
	switch {
	case err != nil:
		c.add(api.CheckFail, "socket", "restart moverisd", "%v", err)
	case info.Mode()&fs.ModeSocket == 0:
		c.add(api.CheckFail, "socket", "remove it and restart moverisd", "%s is no socket", cfg.API.Socket)
	case info.Mode().Perm()&0o007 != 0:
		c.add(api.CheckWarn, "socket", `set socket_mode = "0660" (or SocketMode= of moverisd-api.socket)`,
			"every user of this machine may use %s (%s)", cfg.API.Socket, info.Mode().Perm())
	default:
		c.add(api.CheckOK, "socket", "", "%s is for the user and group %s (%s); applications join the group", cfg.API.Socket, ownerOf(info), info.Mode().Perm())
	}
	var open []string
	for path, most := range map[string]fs.FileMode{d.store.Path(): 0o600, d.opts.ConfigPath: 0o640} {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
		case err != nil:
			open = append(open, err.Error())
		case info.Mode().Perm()&^most&0o077 != 0:
			open = append(open, fmt.Sprintf("%s has %s, should have %s at most", path, info.Mode().Perm(), most))
		}
	}
	slices.Sort(open)
	if len(open) > 0 {
		c.add(api.CheckWarn, "files", "chmod them", "%s", strings.Join(open, "; "))
		return
	}
	c.add(api.CheckOK, "files", "", "the store is for its owner alone, the configuration not for everybody")
}

// ownerOf names the user and group of a file.
func ownerOf(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown"
	}
	uid, gid := fmt.Sprint(st.Uid), fmt.Sprint(st.Gid)
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return uid + ":" + gid
}

// checkSystemd looks at what the service manager does for us.
func (d *daemon) checkSystemd(c *checks) {
	set := func(name string) bool { v, _ := d.opts.Env.Lookup(name); return v != "" }
	if !set("INVOCATION_ID") && !set("NOTIFY_SOCKET") {
		c.add(api.CheckOK, "systemd", "", "moverisd does not run as a service of systemd; see that something starts it again")
		return
	}
	var missing []string
	if !set("NOTIFY_SOCKET") {
		missing = append(missing, "Type=notify")
	}
	if lookInterval() == healthInterval && !set("WATCHDOG_USEC") {
		missing = append(missing, "WatchdogSec=")
	}
	if !d.held {
		missing = append(missing, "the socket units (a restart refuses deliveries for a moment)")
	}
	if len(missing) > 0 {
		c.add(api.CheckWarn, "systemd", "use the units that come with moverisd: systemctl enable --now moverisd.socket moverisd-api.socket moverisd.service",
			"the service does without %s", strings.Join(missing, ", "))
		return
	}
	c.add(api.CheckOK, "systemd", "", "readiness and watchdog are told, and systemd holds the sockets")
}
