package config

import (
	"os"
	"path/filepath"
	"testing"
)

// minimal is the shortest valid file; tests put tables before or after it.
const minimal = `[[account]]
api_key = "env:KEY"
webhook_secrets = [{ label = "a", secret = "env:HOOK" }]
`

const (
	keyValue  = "moveris-api-key-value"
	hookValue = "moveris-webhook-secret-value"
)

// environ is the environment of most tests; pairs are name, value.
func environ(pairs ...string) Environment {
	all := map[string]string{"KEY": keyValue, "HOOK": hookValue, "HOOK2": "another-webhook-secret", "SHORT": "short"}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return Environment{Lookup: func(name string) (string, bool) {
		value, ok := all[name]
		return value, ok
	}}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads text as the file "f" so that problems read f:line:col.
func loadText(text string, opts Options) (*Config, *Report) {
	if opts.Env.Lookup == nil {
		opts.Env = environ()
	}
	return load("f", []byte(text), opts)
}

func mustLoad(t *testing.T, text string, opts Options) *Config {
	t.Helper()
	c, report := loadText(text, opts)
	if err := report.Err(); err != nil {
		t.Fatalf("unexpected problems:\n%v", err)
	}
	return c
}
