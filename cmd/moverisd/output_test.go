package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
)

func TestClean(t *testing.T) {
	in := "a\x1b[31m b\r\n\u202ec\u200b é"
	if got := clean(in); strings.ContainsAny(got, "\x1b\r\n\u202e\u200b") || !strings.Contains(got, "é") {
		t.Errorf("clean(%q) = %q", in, got)
	}
}

// The JSON of the configuration has the keys and values of its TOML.
func TestConfigJSON(t *testing.T) {
	cfg, report := config.Load("../../configs/moverisd.toml", config.Options{AllowUnresolved: true})
	if cfg == nil {
		t.Fatal(report.Err())
	}
	var text bytes.Buffer
	if err := cfg.Redacted(&text); err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := toml.Unmarshal(text.Bytes(), &want); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(configJSON(cfg))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for table, keys := range want {
		table, keys := table, keys
		section, ok := keys.(map[string]any)
		if !ok {
			continue
		}
		for key, value := range section {
			have := got[table].(map[string]any)[key]
			if n, ok := value.(int64); ok {
				value = float64(n)
			}
			if key == "body_max" {
				value = 262144.0
			}
			if !cmp.Equal(have, value) {
				t.Errorf("%s.%s is %v, in TOML %v", table, key, have, value)
			}
		}
	}
	account := got["account"].([]any)[0].(map[string]any)
	for _, key := range []string{"name", "base_url", "api_key", "requests_per_minute", "routes", "webhook_secrets", "confirm_submitted"} {
		if _, ok := account[key]; !ok {
			t.Errorf("account has no %s", key)
		}
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s",
		time.Hour: "1h", 90 * time.Minute: "1h30m", 24 * time.Hour: "1d", 25*time.Hour + time.Second: "1d1h0m1s", 20 * time.Minute: "20m"} {
		if got := shortDuration(d); got != want {
			t.Errorf("shortDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

// The flags fill in what a line leaves out, and change nothing that it says or that is no
// object.
func TestFilled(t *testing.T) {
	long := strings.Repeat("x", 3*lineMax)
	in := `{"session_id":"a"}` + "\n\n" + `{"session_id":"b","account":"two"}` + "\nnonsense\nnull\n" + long + "\n" + `{"session_id":"c"}`
	r, err := filled(strings.NewReader(in), api.Expectation{Account: "one", Metadata: json.RawMessage(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"account":"one","metadata":{"n":1},"session_id":"a"}` + "\n\n" +
		`{"account":"two","metadata":{"n":1},"session_id":"b"}` + "\nnonsense\nnull\n" + long + "\n" +
		`{"account":"one","metadata":{"n":1},"session_id":"c"}` + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
