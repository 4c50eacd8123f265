package config

import "strings"

// documentedCeiling is the number of requests a minute that Moveris documents
// for check endpoints; keys may have another agreement, so more is a warning.
const documentedCeiling = 240

const (
	secretListForm = `webhook_secrets = [ { label = "…", secret = "credential:…" } ]`
	secretExample  = `["credential:forward-backend"]`
	routeExample   = `["/api/v1/result/{session_id}"]`
	changeExample  = `["settled", "missing"]`
)

// holder is a webhook secret already read, with the names a message needs.
type holder struct {
	account string
	WebhookSecret
}

// accountReader carries what must be unique in the whole file.
type accountReader struct {
	names  map[string]string // name → path of the account that has it
	labels map[string]string // label → path of the secret that has it
	held   []holder
}

func readAccounts(top *section) []Account {
	r := accountReader{names: make(map[string]string), labels: make(map[string]string)}
	var accounts []Account
	for _, s := range top.tables("account", "[[account]]") {
		accounts = append(accounts, r.read(s))
	}
	if len(accounts) == 0 && top.sound("account") {
		top.fail("account", "at least one account is needed: add [[account]] with api_key = \"credential:…\" and "+secretListForm)
	}
	return accounts
}

func (r *accountReader) read(s *section) Account {
	defer s.done()
	a := Account{
		Name:              s.text("name", "production", validName),
		BaseURL:           strings.TrimRight(s.text("base_url", "https://api.moveris.com", baseURL), "/"),
		APIKey:            s.secret("api_key", "the API key of the account"),
		RequestsPerMinute: s.integer("requests_per_minute", 120, 1, 100_000),
		Routes: s.distinct("routes", routeExample, []string{
			"/api/v1/result/{job_id}", "/api/v1/result/{session_id}", "/api/v1/sessions/{session_id}",
		}, validRoute),
		ConfirmSubmitted: s.boolean("confirm_submitted", false),
	}
	s.unique("name", a.Name, r.names)
	if a.RequestsPerMinute > documentedCeiling {
		s.warn(s.at("requests_per_minute"), "requests_per_minute",
			"is above %d, the documented ceiling for check endpoints: Moveris may answer 429", documentedCeiling)
	}
	r.webhookSecrets(s, &a)
	return a
}

// unique reports a value that an earlier table has, and says which.
func (s *section) unique(key, value string, seen map[string]string) {
	if !s.sound(key) {
		return
	}
	if first, taken := seen[value]; taken {
		s.fail(key, "%q is the %s of %s already: each must have its own", value, key, first)
		return
	}
	seen[value] = s.path
}

func (r *accountReader) webhookSecrets(s *section, a *Account) {
	all := s.tables("webhook_secrets", secretListForm)
	for _, item := range all {
		a.WebhookSecrets = append(a.WebhookSecrets, r.webhookSecret(item, a.Name))
	}
	if len(all) == 0 && s.sound("webhook_secrets") {
		s.fail("webhook_secrets", "at least one secret is needed, or no delivery of the account can be accepted: "+secretListForm)
	}
}

func (r *accountReader) webhookSecret(s *section, account string) WebhookSecret {
	defer s.done()
	w := WebhookSecret{Label: s.text("label", "", validLabel)}
	s.require("label", `"mixed-30-v2"`)
	w.Secret = s.secret("secret", "the signing secret")
	s.unique("label", w.Label, r.labels)
	if !s.sound("label", "secret") {
		return w
	}
	for _, h := range r.held {
		if h.Secret.same(w.Secret) {
			s.fail("secret", "label %q of account %q has the same secret as label %q of account %q: give each its own, or a delivery cannot be told apart",
				w.Label, account, h.Label, h.account)
			return w
		}
	}
	r.held = append(r.held, holder{account, w})
	return w
}
