package config

import (
	"strings"
	"testing"
)

// TestGateway: its address is like any other, but for a warning where keys
// would cross the network.
func TestGateway(t *testing.T) {
	if c := mustLoad(t, minimal, Options{}); c.Gateway.Listen != "127.0.0.1:8490" {
		t.Errorf("default %q", c.Gateway.Listen)
	}
	c, report := loadText("[gateway]\nlisten = '0.0.0.0:9000'\n"+minimal, Options{})
	if report.Err() != nil || c.Gateway.Listen != "0.0.0.0:9000" || len(report.Warnings) != 1 ||
		!strings.Contains(report.Warnings[0].String(), "f:2:10: gateway.listen") {
		t.Errorf("%+v, %v", report.Warnings, report.Err())
	}
	for _, bad := range []string{"listen = '8490'", "listen = 8490", "port = 1", "listen = ''"} {
		if _, report := loadText("[gateway]\n"+bad+"\n"+minimal, Options{}); report.Err() == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestKeysOnly: the gateway is shown the API keys and needs no other secret.
func TestKeysOnly(t *testing.T) {
	text := `[api]
listen = "127.0.0.1:8481"
token = "env:NOT_SET"
[[account]]
api_key = "env:KEY"
webhook_secrets = [{ label = "a", secret = "credential:not-there" }, { label = "b", secret = "env:HOOK" }]
[[forward]]
name = "b"
url = "https://a"
secrets = ["file:/not/there"]
`
	c := mustLoad(t, text, Options{KeysOnly: true})
	a := c.Accounts[0]
	if string(a.APIKey.Bytes()) != keyValue || a.WebhookSecrets[1].Secret.Resolved() || c.API.Token.Resolved() {
		t.Errorf("%+v", a)
	}
	if _, report := loadText(strings.Replace(text, "env:KEY", "env:NOT_SET", 1), Options{KeysOnly: true}); report.Err() == nil {
		t.Error("a key that is not there is let be")
	}
}
