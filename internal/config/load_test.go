package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDefaults holds the block of defaults that users rely on.
func TestDefaults(t *testing.T) {
	want := &Config{
		Path:    "f",
		Webhook: Webhook{Listen: "127.0.0.1:8480", Path: "/api/moveris/webhook", BodyMax: 262144},
		API:     API{Socket: "/run/moverisd/moverisd.sock", SocketMode: 0o660},
		Store:   Store{Path: "/var/lib/moverisd/moverisd.db"},
		Poll: Poll{
			Schedule: "@every 15s", GracePeriod: 60 * time.Second, GiveUpAfter: 24 * time.Hour,
			BackoffMin: 15 * time.Second, BackoffMax: time.Hour, Concurrency: 4, RetryAfterMax: 15 * time.Minute,
		},
		Retention: Retention{Schedule: "17 3 * * *", Settled: 90 * day, DeadLetters: 90 * day, Events: 30 * day},
		Backup:    Backup{Schedule: "47 3 * * *", Keep: 7},
		Gateway:   Gateway{Listen: "127.0.0.1:8490"},
		Accounts: []Account{{
			Name: "production", BaseURL: "https://api.moveris.com", RequestsPerMinute: 120,
			APIKey:         Secret{Ref: "env:KEY", value: []byte(keyValue), resolved: true},
			Routes:         []string{"/api/v1/result/{job_id}", "/api/v1/result/{session_id}", "/api/v1/sessions/{session_id}"},
			WebhookSecrets: []WebhookSecret{{"a", Secret{Ref: "env:HOOK", value: []byte(hookValue), resolved: true}}},
		}},
	}
	if diff := cmp.Diff(want, mustLoad(t, minimal, Options{})); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}

	text := minimal + "[[forward]]\nname = 'b'\nurl = 'http://[::1]:3000/x?y=z'\nsecrets = ['env:HOOK']\n[[alert]]\nurl = 'https://a.example'\n"
	c := mustLoad(t, text, Options{})
	if got := strings.Join(c.Forwards[0].Changes, " "); got != "settled reverified conflicted missing revived" {
		t.Errorf("default changes are %s", got)
	}
	if got := c.Alerts[0].MinLevel; got != "degraded" {
		t.Errorf("default level is %s", got)
	}
}

// TestAccepted has the edges of what is allowed.
func TestAccepted(t *testing.T) {
	tests := []struct {
		name, text string
		got        func(*Config) any
		want       any
	}{
		{"one second", before("[poll]\ngrace_period = '1s'\nbackoff_min = '1s'\nbackoff_max = '1s'"), func(c *Config) any { return c.Poll.GracePeriod + c.Poll.BackoffMin + c.Poll.BackoffMax }, 3 * time.Second},
		{"one second schedule", before("[poll]\nschedule = '@every 1s'"), func(c *Config) any { return c.Poll.Schedule }, "@every 1s"},
		{"combined", before("[poll]\ngrace_period = '1h30m'"), func(c *Config) any { return c.Poll.GracePeriod }, 90 * time.Minute},
		{"days and hours", before("[poll]\ngive_up_after = '1d12h'"), func(c *Config) any { return c.Poll.GiveUpAfter }, 36 * time.Hour},
		{"longest", before("[poll]\ngive_up_after = '36500d'"), func(c *Config) any { return c.Poll.GiveUpAfter }, durationMax},
		{"for ever", before("[retention]\nsettled = '0'\nevents = '0s'"), func(c *Config) any { return c.Retention.Settled + c.Retention.Events }, time.Duration(0)},
		{"body low", before("[webhook]\nbody_max = '1KiB'"), func(c *Config) any { return c.Webhook.BodyMax }, int64(1024)},
		{"body high", before("[webhook]\nbody_max = '16MiB'"), func(c *Config) any { return c.Webhook.BodyMax }, int64(16777216)},
		{"body decimal", before("[webhook]\nbody_max = '100KB'"), func(c *Config) any { return c.Webhook.BodyMax }, int64(100000)},
		{"body bytes", before("[webhook]\nbody_max = '2048B'"), func(c *Config) any { return c.Webhook.BodyMax }, int64(2048)},
		{"mode", before("[api]\nsocket_mode = '600'"), func(c *Config) any { return c.API.SocketMode }, fs.FileMode(0o600)},
		{"hexadecimal", before("[poll]\nconcurrency = 0x1_0"), func(c *Config) any { return c.Poll.Concurrency }, 16},
		{"any address", before("[webhook]\nlisten = ':0'"), func(c *Config) any { return c.Webhook.Listen }, ":0"},
		{"observe", before("[observe]\nlisten = '[::1]:9000'"), func(c *Config) any { return c.Observe.Listen }, "[::1]:9000"},
		{"observe name", before("[observe]\nlisten = 'localhost:9000'"), func(c *Config) any { return c.Observe.Listen }, "localhost:9000"},
		{"api tcp", before("[api]\nlisten = '0.0.0.0:8481'\ntoken = 'env:KEY'\ntls_cert = '/c'\ntls_key = '/k'"), func(c *Config) any { return string(c.API.Token.Bytes()) }, keyValue},
		{"trailing slash", account1("base_url = 'https://a.example/x/'"), func(c *Config) any { return c.Accounts[0].BaseURL }, "https://a.example/x"},
		{"loopback 127/8", account1("base_url = 'http://127.9.8.7:80'"), func(c *Config) any { return c.Accounts[0].BaseURL }, "http://127.9.8.7:80"},
		{"loopback v6", account1("base_url = 'http://[::1]:80'"), func(c *Config) any { return c.Accounts[0].BaseURL }, "http://[::1]:80"},
		{"loopback name", account1("base_url = 'http://localhost'"), func(c *Config) any { return c.Accounts[0].BaseURL }, "http://localhost"},
		{"route query", account1("routes = ['/x/{job_id}.json?full=1']"), func(c *Config) any { return c.Accounts[0].Routes[0] }, "/x/{job_id}.json?full=1"},
		{"route with both", account1("routes = ['/x/{session_id}/{job_id}']"), func(c *Config) any { return len(c.Accounts[0].Routes) }, 1},
		{"confirm", account1("confirm_submitted = true"), func(c *Config) any { return c.Accounts[0].ConfirmSubmitted }, true},
		{"dotted key", before("poll.concurrency = 9"), func(c *Config) any { return c.Poll.Concurrency }, 9},
		{"windows lines", strings.ReplaceAll(minimal, "\n", "\r\n"), func(c *Config) any { return c.Accounts[0].Name }, "production"},
		{"secrets as tables", "[[account]]\napi_key = 'env:KEY'\n[[account.webhook_secrets]]\nlabel = 'a'\nsecret = 'env:HOOK'\n[[account.webhook_secrets]]\nlabel = 'b'\nsecret = 'env:HOOK2'", func(c *Config) any { return c.Accounts[0].WebhookSecrets[1].Label }, "b"},
		{"same api_key", minimal + "[[account]]\nname = 'b'\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'b', secret = 'env:HOOK2'}]", func(c *Config) any { return len(c.Accounts) }, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got(mustLoad(t, tt.text, Options{}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckScheduleSeesAll(t *testing.T) {
	var seen []string
	mustLoad(t, minimal+"[retention]\nschedule = '@daily'", Options{CheckSchedule: func(spec string) error {
		seen = append(seen, spec)
		return nil
	}})
	if diff := cmp.Diff([]string{"@every 15s", "@daily", "47 3 * * *"}, seen); diff != "" {
		t.Errorf("schedules checked (-want +got):\n%s", diff)
	}
}

func TestLoadFile(t *testing.T) {
	path := writeFile(t, "moverisd.toml", minimal)
	c, report := Load(path, Options{Env: environ()})
	if err := report.Err(); err != nil || c.Path != path {
		t.Fatalf("load: %v", err)
	}

	tests := []struct{ name, path, want string }{
		{"missing", filepath.Join(t.TempDir(), "none.toml"), "none.toml: there is no such file: write one after configs/moverisd.toml, or name another with --config"},
		{"directory", t.TempDir(), ": the file cannot be read: is a directory"},
		{"huge", writeFile(t, "huge", strings.Repeat("#", fileMax+1)), ": the file cannot be read: it is larger than 1MiB"},
		{"forbidden", forbidden(t), "run this as root or as the user of the service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				t.Skip("root reads everything")
			}
			c, report := Load(tt.path, Options{})
			if c != nil || len(report.Errors) != 1 {
				t.Fatalf("want one error, got: %v", report.Err())
			}
			if got := report.Err().Error(); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// forbidden returns a file that cannot be read, or "" for root, who can.
func forbidden(t *testing.T) string {
	path := writeFile(t, "forbidden", "x")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(path); err == nil {
		return ""
	}
	return path
}

func TestDefaultPath(t *testing.T) {
	env := environ("MOVERISD_CONFIG", "/env.toml")
	for _, tt := range []struct {
		env        Environment
		flag, want string
	}{
		{env, "/flag.toml", "/flag.toml"},
		{env, "", "/env.toml"},
		{environ("MOVERISD_CONFIG", ""), "", defaultPath},
		{Environment{}, "", "/etc/moverisd/moverisd.toml"},
	} {
		if got := DefaultPath(tt.env, tt.flag); got != tt.want {
			t.Errorf("flag %q: got %s, want %s", tt.flag, got, tt.want)
		}
	}
}

func TestOS(t *testing.T) {
	t.Setenv("MOVERISD_CONFIG", "/from/process")
	if got := DefaultPath(OS(), ""); got != "/from/process" {
		t.Errorf("got %s", got)
	}
}

func TestUnitsRoundTrip(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second, 90 * time.Second, day, 36*time.Hour + time.Second, durationMax} {
		if got, err := parseDuration(formatDuration(d)); err != nil || got != d {
			t.Errorf("%s: got %s, %v", formatDuration(d), got, err)
		}
	}
	for _, n := range []int64{0, 1, 1000, 1024, 1536, 256 << 10, 16 << 20} {
		if got, err := parseSize(formatSize(n)); err != nil || got != n {
			t.Errorf("%s: got %d, %v", formatSize(n), got, err)
		}
	}
}
