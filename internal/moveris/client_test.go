package moveris

import (
	"strings"
	"testing"
)

func TestOpenRefuses(t *testing.T) {
	good := Config{BaseURL: "https://api.moveris.test", APIKey: "k", RequestsPerMinute: 1, Routes: []string{byID}}
	if _, err := Open(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"plain http":             func(c *Config) { c.BaseURL = "http://api.moveris.test" },
		"no host":                func(c *Config) { c.BaseURL = "https:///x" },
		"no scheme":              func(c *Config) { c.BaseURL = "api.moveris.test" },
		"user":                   func(c *Config) { c.BaseURL = "https://u:p@api.moveris.test" },
		"query":                  func(c *Config) { c.BaseURL = "https://api.moveris.test?x=1" },
		"broken":                 func(c *Config) { c.BaseURL = "https://[::1" },
		"no key":                 func(c *Config) { c.APIKey = "" },
		"line in the key":        func(c *Config) { c.APIKey = "a\nb" },
		"no budget":              func(c *Config) { c.RequestsPerMinute = 0 },
		"no routes":              func(c *Config) { c.Routes = nil },
		"no placeholder":         func(c *Config) { c.Routes = []string{"/x"} },
		"odd placeholder":        func(c *Config) { c.Routes = []string{"/{session_id}/{x}"} },
		"placeholder in a query": func(c *Config) { c.Routes = []string{"/x?id={session_id}"} },
		"relative":               func(c *Config) { c.Routes = []string{"x/{session_id}"} },
		"twice":                  func(c *Config) { c.Routes = []string{byID, byID} },
	} {
		cfg := good
		change(&cfg)
		if _, err := Open(cfg); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, base := range []string{"http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1"} {
		cfg := good
		cfg.BaseURL = base
		if _, err := Open(cfg); err != nil {
			t.Error(err)
		}
	}
}
