package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/daemon"
	"github.com/moverisd/moverisd/internal/status"
)

// Times of a status, each counted from its start. Together they keep the promise of two
// seconds, with some time for the process to start and to write.
const (
	socketTime = 1000 * time.Millisecond
	fileTime   = 1400 * time.Millisecond
	statusTime = 1700 * time.Millisecond

	// staleAfter is the age at which figures say nothing about now. The daemon makes them
	// for each call.
	staleAfter = time.Minute

	statusFileMax = 4 << 20 // in bytes
)

// Codes of the reasons that are found here, where the daemon cannot say them itself.
const (
	codeStopped     = "stopped"     // the daemon certainly does not run
	codeUnreachable = "unreachable" // it cannot be told whether it does
	codeStale       = "stale"
	codeConfig      = "config_invalid"
)

const (
	doStart = "systemctl start moverisd, and see its journal"
	doWho   = "run this as root, or as a member of the group of the socket (moverisd)"
)

// look asks the daemon, then its file, then what it wrote beside its file.
func (a *app) look(ctx context.Context, start time.Time) findings {
	p, err := a.place()
	if err != nil {
		return blind(status.Unknown, codeConfig, "moverisd config check; or name the socket with --socket", "%v", err)
	}
	asking, cancel := context.WithDeadline(ctx, start.Add(socketTime))
	defer cancel()
	report, err := api.NewClient(p.socket).Status(asking)
	switch {
	case err == nil:
		return fresh(report)
	case errors.Is(err, api.ErrNotRunning):
		return lookAtFile(ctx, start, p)
	}
	f, ok := lastWritten(p)
	if !ok {
		return blind(status.Unknown, codeUnreachable, doAbout(err), "the daemon cannot be asked: %v", err)
	}
	f.judge(status.Unknown, codeUnreachable, nil, doAbout(err), "the daemon cannot be asked: %v", err)
	return f
}

func doAbout(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return doWho
	}
	return "see the journal, `journalctl -u moverisd`"
}

// fresh checks that a report of the running daemon is of now.
func fresh(r status.Report) findings {
	f := findings{report: r}
	at, err := stamp(r.AsOf)
	if age := time.Since(at); err != nil || age > staleAfter || age < -staleAfter {
		f.judge(status.Unknown, codeStale, r.AsOf, "see the journal, then restart moverisd",
			"the daemon's figures are not of now but of %s", or(r.AsOf))
	}
	return f
}

func stamp(s *string) (time.Time, error) { return time.Parse(time.RFC3339Nano, or(s)) }

// lookAtFile is for a daemon that certainly does not answer: nothing about it is well.
func lookAtFile(ctx context.Context, start time.Time, p place) findings {
	const text = "moverisd does not run, no delivery is accepted"
	if p.cfg == nil {
		return blind(status.Failing, codeStopped, doStart, text+": nobody listens at %s", p.socket)
	}
	report, err := fileReport(ctx, start, p)
	last, written := lastWritten(p)
	switch {
	case err == nil:
		f := findings{report: report, said: "the daemon is not running; this is what its file says"}
		f.down(last.report.AsOf, text)
		return f
	case errors.Is(err, daemon.ErrRunning) && written:
		last.judge(status.Unknown, codeUnreachable, nil, doSocket, "a daemon is at work, but nobody listens at %s", p.socket)
		return last
	case errors.Is(err, daemon.ErrRunning):
		return blind(status.Unknown, codeUnreachable, doSocket, "a daemon is at work, but nobody listens at %s", p.socket)
	case written:
		last.said += "; its file cannot be read: " + err.Error()
		last.down(last.report.AsOf, text)
		return last
	case errors.Is(err, fs.ErrNotExist):
		return blind(status.Failing, codeStopped, doStart, text+"; there is no file %s yet", p.cfg.Store.Path)
	}
	return blind(status.Failing, codeStopped, doStart, text+"; its file cannot be read: %v", err)
}

const doSocket = "wait if it is starting or stopping; else compare api.socket with the running configuration"

// down makes the report one of a daemon that does not run. since is its last sign of life.
func (f *findings) down(since *string, text string) {
	f.report.UptimeSeconds = 0
	for i := range f.report.Reasons {
		if r := &f.report.Reasons[i]; r.Code == codeStopped {
			r.Since, f.report.Level = later(r.Since, since), status.Failing
			return
		}
	}
	since = later(since, f.report.Store.LastCommitAt)
	f.judge(status.Failing, codeStopped, since, doStart, text+"; its last sign of life was at %s", or(since))
}

// later is the later of two times; nil is the earliest.
func later(a, b *string) *string {
	at, aerr := stamp(a)
	bt, berr := stamp(b)
	if aerr != nil || berr == nil && bt.After(at) {
		return b
	}
	return a
}

// fileReport reads the file of a stopped daemon, and gives up when its time is over: a
// database may have much to recover.
func fileReport(ctx context.Context, start time.Time, p place) (status.Report, error) {
	ctx, cancel := context.WithDeadline(ctx, start.Add(fileTime))
	defer cancel()
	type answer struct {
		report status.Report
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		var out answer
		handler, closeFile, err := daemon.Offline(ctx, p.cfg, programVersion())
		if err == nil {
			out.report, err = api.NewHandlerClient(handler).Status(ctx)
			_ = closeFile() // it was only read
		}
		out.err = err
		answers <- out
	}()
	select {
	case out := <-answers:
		return out.report, out.err
	case <-ctx.Done():
		return status.Report{}, ctx.Err()
	}
}

// lastWritten reads the status that the daemon writes beside its store every 15 seconds.
func lastWritten(p place) (findings, bool) {
	if p.cfg == nil {
		return findings{}, false
	}
	file, err := os.Open(filepath.Join(filepath.Dir(p.cfg.Store.Path), "status.json"))
	if err != nil {
		return findings{}, false
	}
	defer file.Close()
	var f findings
	if err := json.NewDecoder(io.LimitReader(file, statusFileMax)).Decode(&f.report); err != nil {
		return findings{}, false
	}
	f.report.Via = "status.json"
	f.said = "this is what the daemon wrote at " + or(f.report.AsOf)
	return f, true
}
