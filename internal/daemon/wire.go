package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
	"github.com/moverisd/moverisd/internal/webhook"
)

// account is a configured account with its client.
type account struct {
	cfg           config.Account
	retryAfterMax time.Duration // of the client
	client        *moveris.Client
}

// policies makes the policy of each account; an account that is not configured has the
// policy of one that asks for nothing special.
func policies(cfg *config.Config) func(account string) verdict.Policy {
	p := verdict.Policy{GracePeriod: cfg.Poll.GracePeriod, GiveUpAfter: cfg.Poll.GiveUpAfter,
		BackoffMin: cfg.Poll.BackoffMin, BackoffMax: cfg.Poll.BackoffMax}
	confirm := map[string]bool{}
	for _, a := range cfg.Accounts {
		confirm[a.Name] = a.ConfirmSubmitted
	}
	return func(account string) verdict.Policy {
		q := p
		q.ConfirmSubmitted = confirm[account]
		return q
	}
}

// verifier makes the check of signatures over all secrets of all accounts.
func verifier(cfg *config.Config) *moveris.Verifier {
	var secrets []moveris.Secret
	for i, a := range cfg.Accounts {
		for _, s := range a.WebhookSecrets {
			secrets = append(secrets, moveris.Secret{Account: i, Label: s.Label, Key: s.Secret.Bytes()})
		}
	}
	return moveris.NewVerifier(secrets)
}

func webhookSettings(cfg *config.Config) webhook.Settings {
	return webhook.Settings{Path: cfg.Webhook.Path, BodyMax: cfg.Webhook.BodyMax, Accounts: accountNames(cfg),
		Verifier: verifier(cfg), StaleAfter: cfg.Retention.Settled, RepeatAfter: cfg.Poll.BackoffMin}
}

// sink brings deliveries into the store.
func sink(st *store.Store) webhook.Sink {
	return webhook.Sink{
		Apply: func(ctx context.Context, a webhook.Accepted) error {
			_, err := st.Apply(ctx, store.Observed{Account: a.Account, SessionID: a.SessionID,
				Observation: a.Observation, Body: a.Body})
			return err
		},
		Keep: func(ctx context.Context, l webhook.Loose) error {
			_, err := st.KeepLoose(ctx, store.Loose{Account: l.Account, Label: l.Label, Event: l.Event,
				Reason: l.Reason, At: l.At, Digest: l.Digest[:], Body: l.Body})
			return err
		},
		Reject: st.CountRejected,
	}
}

// openAccounts makes the clients. A client of before whose account has not changed is kept,
// with its budget, breakers and connections.
func openAccounts(ctx context.Context, cfg *config.Config, st *store.Store, before []account, version string,
	log *slog.Logger) ([]account, error) {
	var out []account
	for _, a := range cfg.Accounts {
		if i := slices.IndexFunc(before, func(b account) bool { return b.retryAfterMax == cfg.Poll.RetryAfterMax && sameClient(b.cfg, a) }); i >= 0 {
			out = append(out, account{a, cfg.Poll.RetryAfterMax, before[i].client})
			continue
		}
		learned, err := st.LoadLearned(ctx, a.Name)
		if err != nil {
			return nil, err
		}
		l := moveris.Learned{Rate: learned.Rate, Routes: map[string]moveris.RouteStats{}}
		for route, r := range learned.Routes {
			l.Routes[route] = moveris.RouteStats{Last200At: r.Last200At, Answers: r.Answers}
		}
		client, err := moveris.Open(moveris.Config{Account: a.Name, BaseURL: a.BaseURL,
			APIKey: string(a.APIKey.Bytes()), Version: version, RequestsPerMinute: a.RequestsPerMinute,
			Routes: a.Routes, RetryAfterMax: cfg.Poll.RetryAfterMax, Logger: log, Learned: l})
		if err != nil {
			return nil, &configError{err}
		}
		out = append(out, account{a, cfg.Poll.RetryAfterMax, client})
	}
	return out, nil
}

// sameClient reports whether a client made for one configuration serves another.
func sameClient(a, b config.Account) bool {
	return a.Name == b.Name && a.BaseURL == b.BaseURL && a.APIKey.Equal(b.APIKey) &&
		a.RequestsPerMinute == b.RequestsPerMinute && reflect.DeepEqual(a.Routes, b.Routes)
}

func pollSettings(cfg *config.Config, accounts []account, doubt func(time.Time) bool) poll.Settings {
	s := poll.Settings{Concurrency: cfg.Poll.Concurrency, RepeatAfter: cfg.Poll.BackoffMin, Doubt: doubt}
	for _, a := range accounts {
		s.Accounts = append(s.Accounts, poll.Account{Name: a.cfg.Name, Client: a.client})
	}
	return s
}

func accountNames(cfg *config.Config) []string {
	var names []string
	for _, a := range cfg.Accounts {
		names = append(names, a.Name)
	}
	return names
}

// checkOrphans refuses a configuration that drops an account whose sessions still wait.
func checkOrphans(ctx context.Context, cfg *config.Config, st *store.Store) error {
	open, err := st.OpenByAccount(ctx)
	if err != nil {
		return err
	}
	var orphans []string
	for name, n := range open {
		if n > 0 && !slices.Contains(accountNames(cfg), name) {
			orphans = append(orphans, fmt.Sprintf("%d of account %q", n, name))
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	sort.Strings(orphans)
	return &configError{errors.New("open sessions would be left without their account: " + strings.Join(orphans, ", ") +
		"; configure the account again, or withdraw its sessions first")}
}
