package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/daemon"
)

// place is where the daemon and its file are.
type place struct {
	socket string
	cfg    *config.Config // nil if --socket replaces the configuration
}

// place finds the daemon. Errors are the configuration's.
func (a *app) place() (place, error) {
	if a.socket != "" && a.configPath == "" {
		return place{socket: a.socket}, nil
	}
	path := config.DefaultPath(a.env, a.configPath)
	cfg, report := config.Load(path, config.Options{Env: withoutSecrets(), AllowUnresolved: true})
	if err := report.Err(); err != nil {
		return place{}, &exit{exitConfig, err}
	}
	p := place{socket: cfg.API.Socket, cfg: cfg}
	if a.socket != "" {
		p.socket = a.socket
	}
	return p, nil
}

// withoutSecrets is an environment in which no secret has to be known: a command needs
// none, and whoever may use the socket need not be able to read them. Values that stand for
// variables differ by their names, as secrets must.
func withoutSecrets() config.Environment {
	return config.Environment{Lookup: func(name string) (string, bool) {
		if name == "CREDENTIALS_DIRECTORY" {
			return "", false
		}
		return "the value of the variable " + name, true
	}}
}

// client calls the running daemon.
func (a *app) client() (*api.Client, error) {
	p, err := a.place()
	if err != nil {
		return nil, err
	}
	return api.NewClient(p.socket), nil
}

// read lets do read from the daemon, or, if that certainly does not run, from its file. do
// may be called twice: once more if the daemon has gone meanwhile.
func (a *app) read(ctx context.Context, do func(*api.Client) error) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	err = do(api.NewClient(p.socket))
	if !errors.Is(err, api.ErrNotRunning) || p.cfg == nil {
		return err
	}
	handler, closeFile, failed := daemon.Offline(ctx, p.cfg, programVersion())
	if failed != nil {
		return fileError(err, p, failed)
	}
	defer closeFile()
	a.say("the daemon is not running; this is what its file %s says", p.cfg.Store.Path)
	return do(api.NewHandlerClient(handler))
}

// fileError is why neither the daemon nor its file can be read.
func fileError(down error, p place, err error) error {
	path := p.cfg.Store.Path
	switch {
	case errors.Is(err, daemon.ErrRunning):
		return advised{fmt.Errorf("a daemon is at work on %s, but nobody listens at %s: "+
			"it is starting or stopping, or has another api.socket; try again, or name its socket with --socket", path, p.socket)}
	case errors.Is(err, fs.ErrPermission):
		return advised{fmt.Errorf("%w, and its file %s cannot be read: start it with `systemctl start moverisd`, "+
			"or run this as root or as the user of the service", down, path)}
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w, and there is no file %s yet", down, path)
	}
	return fmt.Errorf("%w, and its file cannot be read: %v", down, err)
}
