package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/forward"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// forwarding is what fills the outbox.
func forwarding(cfg *config.Config) store.Forwarding {
	out := store.Forwarding{Render: api.Forwarding}
	for _, f := range cfg.Forwards {
		w := store.Forward{Name: f.Name}
		for _, c := range f.Changes {
			w.Changes = append(w.Changes, verdict.Change(c))
		}
		out.Forwards = append(out.Forwards, w)
	}
	return out
}

// targets are where the outbox is sent. An error is the configuration's.
func targets(cfg *config.Config) ([]forward.Target, error) {
	var list []forward.Target
	for _, f := range cfg.Forwards {
		to := forward.Target{Name: f.Name, URL: f.URL}
		for _, s := range f.Secrets {
			key, err := forward.Key(s.Bytes())
			if err != nil {
				return nil, &configError{fmt.Errorf("forward %q: the secret %s: %w", f.Name, s.Ref, err)}
			}
			to.Keys = append(to.Keys, key)
		}
		list = append(list, to)
	}
	return list, nil
}

// startForwarding begins to send what is in the outbox.
func (d *daemon) startForwarding(list []forward.Target) {
	d.forwarder = forward.New(forward.Options{Store: d.store, Now: time.Now, Log: d.log, Doubt: d.guard.inDoubt})
	d.forwarder.Configure(list)
}

func forwardNames(cfg *config.Config) []string {
	var names []string
	for _, f := range cfg.Forwards {
		names = append(names, f.Name)
	}
	return names
}

// forwardFacts describes the configured forwards, and those that are not configured any more
// but have something left.
func forwardFacts(ctx context.Context, st *store.Store, cfg *config.Config, now time.Time) ([]status.Forward, error) {
	figures, err := st.ForwardFigures(ctx)
	if err != nil {
		return nil, err
	}
	configured := forwardNames(cfg)
	var out []status.Forward
	for _, name := range configured {
		f := store.ForwardFigures{Name: name}
		if i := slices.IndexFunc(figures, func(f store.ForwardFigures) bool { return f.Name == name }); i >= 0 {
			f = figures[i]
		}
		out = append(out, forwardFact(f, now))
	}
	for _, f := range figures {
		if !slices.Contains(configured, f.Name) && f.Pending+f.DeadLetters > 0 {
			fact := forwardFact(f, now)
			fact.Removed = true
			out = append(out, fact)
		}
	}
	return out, nil
}

func forwardFact(f store.ForwardFigures, now time.Time) status.Forward {
	out := status.Forward{Name: f.Name, Pending: f.Pending, DeadLetters: f.DeadLetters, AckedDead: f.DeadLetters - f.NewDead}
	if f.Pending > 0 {
		out.OldestSeconds = max(0, int64(now.Sub(f.OldestAt).Seconds()))
	}
	if f.LastError != "" {
		out.LastError = &f.LastError
	}
	return out
}

func (d *daemon) forwardNames() []string {
	cfg, _ := d.current()
	return forwardNames(cfg)
}
