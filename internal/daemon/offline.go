package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

var errStopped = errors.New("the daemon does not run; start it first")

// Offline is the API over the file of a stopped daemon, for reading: the commands see the
// same as from a running one. Errors: ErrRunning where a daemon holds the store,
// fs.ErrPermission, fs.ErrNotExist, store.ErrCorrupt.
func Offline(ctx context.Context, cfg *config.Config, version string) (http.Handler, func() error, error) {
	st, err := store.OpenReadOnly(ctx, cfg.Store.Path)
	if errors.Is(err, store.ErrLocked) {
		return nil, nil, fmt.Errorf("%w: %w", ErrRunning, err)
	}
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.DiscardHandler)
	h := api.New(api.Deps{
		Store: st, Poller: poll.New(st, time.Now, log), Now: time.Now, Log: log,
		Accounts: func() []string { return accountNames(cfg) },
		Policy:   policies(cfg),
		Status:   func(ctx context.Context) status.Report { return offlineReport(ctx, st, cfg, version) },
		Sweep:    func(context.Context) error { return errStopped },
		Reload:   func(context.Context) error { return errStopped },
		Submission: func([]byte) (string, verdict.Observation, error) {
			return "", verdict.Observation{}, errStopped
		},
	})
	return h, st.Close, nil
}

// offlineReport is what the file of a stopped daemon says. Nothing about it can be ok: no
// delivery is accepted.
func offlineReport(ctx context.Context, st *store.Store, cfg *config.Config, version string) status.Report {
	f, err := storeFacts(ctx, st, time.Now())
	f.Via, f.Version, f.ReadErr = "file", version, err
	if err == nil {
		f.Accounts, f.Due, f.ReadErr = accountFacts(ctx, st, cfg, nil, f.Now)
	}
	if f.ReadErr == nil {
		f.Forward, f.ReadErr = forwardFacts(ctx, st, cfg, f.Now)
	}
	f.Poll.Due = f.Due
	f.Stopped = true
	return status.Judge(f)
}
