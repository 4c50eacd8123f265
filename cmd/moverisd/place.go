package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/daemon"
)

// place is where the daemon and its file are.
type place struct {
	socket string
	cfg    *config.Config // nil if --socket replaces the configuration
}

// place finds the daemon. Errors are the configuration's, and only those that keep it from
// being found: one that is being edited must not keep anybody from the running daemon.
func (a *app) place() (place, error) {
	if a.socket != "" && a.configPath == "" {
		return place{socket: a.socket}, nil
	}
	cfg, report := config.Load(config.DefaultPath(a.env, a.configPath), config.Options{Env: a.env, Locating: true})
	if cfg == nil {
		return place{}, &exit{exitConfig, report.Err()}
	}
	for _, p := range report.Errors {
		if slices.Contains([]string{"api", "api.socket", "store", "store.path"}, p.Key) {
			return place{}, &exit{exitConfig, errors.New(p.String())}
		}
	}
	p := place{socket: cfg.API.Socket, cfg: cfg}
	if a.socket != "" {
		p.socket = a.socket
	}
	return p, nil
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
