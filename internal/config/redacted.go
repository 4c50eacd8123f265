package config

import (
	"fmt"
	"io"

	"github.com/pelletier/go-toml/v2"
)

// The types below are the file's form of a Config for writing: the same tables
// and keys, durations and sizes as strings. Empty keys that mean "off" or "not
// set" are left out. A Secret writes itself as its reference.
type (
	document struct {
		Webhook   webhookTable   `toml:"webhook"`
		API       apiTable       `toml:"api"`
		Observe   observeTable   `toml:"observe"`
		Store     storeTable     `toml:"store"`
		Poll      pollTable      `toml:"poll"`
		Retention retentionTable `toml:"retention"`
		Backup    backupTable    `toml:"backup"`
		Gateway   gatewayTable   `toml:"gateway"`
		Accounts  []accountTable `toml:"account"`
		Forwards  []forwardTable `toml:"forward,omitempty"`
		Alerts    []alertTable   `toml:"alert,omitempty"`
	}
	webhookTable struct {
		Listen  string `toml:"listen"`
		Path    string `toml:"path"`
		BodyMax string `toml:"body_max"`
		TLSCert string `toml:"tls_cert,omitempty"`
		TLSKey  string `toml:"tls_key,omitempty"`
	}
	apiTable struct {
		Socket     string `toml:"socket"`
		SocketMode string `toml:"socket_mode"`
		Listen     string `toml:"listen,omitempty"`
		Token      string `toml:"token,omitempty"`
		TLSCert    string `toml:"tls_cert,omitempty"`
		TLSKey     string `toml:"tls_key,omitempty"`
	}
	observeTable struct {
		Listen string `toml:"listen"`
	}
	storeTable struct {
		Path string `toml:"path"`
	}
	pollTable struct {
		Schedule      string `toml:"schedule"`
		GracePeriod   string `toml:"grace_period"`
		GiveUpAfter   string `toml:"give_up_after"`
		BackoffMin    string `toml:"backoff_min"`
		BackoffMax    string `toml:"backoff_max"`
		Concurrency   int    `toml:"concurrency"`
		RetryAfterMax string `toml:"retry_after_max"`
	}
	retentionTable struct {
		Schedule    string `toml:"schedule"`
		Settled     string `toml:"settled"`
		DeadLetters string `toml:"dead_letters"`
		Events      string `toml:"events"`
	}
	backupTable struct {
		Dir      string `toml:"dir"`
		Schedule string `toml:"schedule"`
		Keep     int    `toml:"keep"`
	}
	gatewayTable struct {
		Listen string `toml:"listen"`
	}
	accountTable struct {
		Name              string        `toml:"name"`
		BaseURL           string        `toml:"base_url"`
		APIKey            Secret        `toml:"api_key"`
		RequestsPerMinute int           `toml:"requests_per_minute"`
		Routes            []string      `toml:"routes"`
		WebhookSecrets    []secretTable `toml:"webhook_secrets,inline"`
		ConfirmSubmitted  bool          `toml:"confirm_submitted"`
	}
	secretTable struct {
		Label  string `toml:"label"`
		Secret Secret `toml:"secret"`
	}
	forwardTable struct {
		Name    string   `toml:"name"`
		URL     string   `toml:"url"`
		Secrets []Secret `toml:"secrets"`
		Changes []string `toml:"changes"`
	}
	alertTable struct {
		Command  []string `toml:"command,omitempty"`
		URL      string   `toml:"url,omitempty"`
		MinLevel string   `toml:"min_level"`
	}
)

// Redacted writes the effective configuration as TOML, with the references in
// place of the secrets. Load reads it back to an equal Config but for Path.
func (c *Config) Redacted(w io.Writer) error {
	if err := toml.NewEncoder(w).Encode(c.document()); err != nil {
		return fmt.Errorf("write effective configuration: %w", err)
	}
	return nil
}

func (c *Config) document() document {
	d := document{
		Webhook: webhookTable{c.Webhook.Listen, c.Webhook.Path, formatSize(c.Webhook.BodyMax), c.Webhook.TLSCert, c.Webhook.TLSKey},
		API: apiTable{c.API.Socket, fmt.Sprintf("%04o", c.API.SocketMode.Perm()),
			c.API.Listen, c.API.Token.Ref, c.API.TLSCert, c.API.TLSKey},
		Observe: observeTable(c.Observe),
		Store:   storeTable(c.Store),
		Poll: pollTable{c.Poll.Schedule, formatDuration(c.Poll.GracePeriod), formatDuration(c.Poll.GiveUpAfter),
			formatDuration(c.Poll.BackoffMin), formatDuration(c.Poll.BackoffMax), c.Poll.Concurrency, formatDuration(c.Poll.RetryAfterMax)},
		Retention: retentionTable{c.Retention.Schedule, formatDuration(c.Retention.Settled),
			formatDuration(c.Retention.DeadLetters), formatDuration(c.Retention.Events)},
		Backup:  backupTable(c.Backup),
		Gateway: gatewayTable(c.Gateway),
	}
	for _, a := range c.Accounts {
		t := accountTable{a.Name, a.BaseURL, a.APIKey, a.RequestsPerMinute, a.Routes, nil, a.ConfirmSubmitted}
		for _, s := range a.WebhookSecrets {
			t.WebhookSecrets = append(t.WebhookSecrets, secretTable(s))
		}
		d.Accounts = append(d.Accounts, t)
	}
	for _, f := range c.Forwards {
		d.Forwards = append(d.Forwards, forwardTable(f))
	}
	for _, a := range c.Alerts {
		d.Alerts = append(d.Alerts, alertTable(a))
	}
	return d
}
