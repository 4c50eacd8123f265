package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keyed is a file whose api_key has the given reference, at f:2:11.
func keyed(ref string) string { return strings.Replace(minimal, "env:KEY", ref, 1) }

func TestSecretResolves(t *testing.T) {
	const value = "0123456789abcdef"
	tests := []struct{ name, content, want string }{
		{"as it is", value, value},
		{"newline", value + "\n", value},
		{"windows newline", value + "\r\n", value},
		{"one newline only", value + "\n\n", value + "\n"},
		{"lone return stays", value + "\r", value + "\r"},
		{"bytes", "\x00\xff" + value, "\x00\xff" + value},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, "key", tt.content)
			env := environ("KEY", tt.content, "CREDENTIALS_DIRECTORY", filepath.Dir(path))
			for _, ref := range []string{"file:" + path, "env:KEY", "credential:key"} {
				s := mustLoad(t, keyed(ref), Options{Env: env}).Accounts[0].APIKey
				if string(s.Bytes()) != tt.want || !s.Resolved() || s.Ref != ref {
					t.Errorf("%s: got %q, resolved %v", ref, s.Bytes(), s.Resolved())
				}
			}
		})
	}
}

func TestSecretRefused(t *testing.T) {
	dir := t.TempDir()
	empty := writeFile(t, "empty", "\n")
	huge := writeFile(t, "huge", strings.Repeat("x", secretMax+1))
	env := environ("CREDENTIALS_DIRECTORY", dir, "EMPTY", "", "NEWLINE", "\n")
	tests := []struct{ name, ref, want string }{
		{"inline", "mv_live_inline", "must refer to the secret by file:/path, env:NAME or credential:NAME; a secret itself does not belong"},
		{"inline with colon", "https:mv_live_inline", "must refer to the secret"},
		{"nothing", "", "must refer to the secret"},
		{"relative file", "file:mv_live_inline", "must have an absolute path"},
		{"no env name", "env:", "must have the name of an environment variable"},
		{"bad env name", "env:mv-live-inline", "must have the name of an environment variable"},
		{"credential path", "credential:../mv_live_inline", "must have the name of a credential"},
		{"credential parent", "credential:..", "must have the name of a credential"},
		{"no credential name", "credential:", "must have the name of a credential"},
		{"unset", "env:NOWHERE", "env:NOWHERE is not set in the environment"},
		{"empty variable", "env:EMPTY", "env:EMPTY is empty"},
		{"only a newline", "env:NEWLINE", "env:NEWLINE is empty"},
		{"empty file", "file:" + empty, "is empty: put the secret there"},
		{"no file", "file:" + dir + "/none", "cannot be read from " + dir + "/none (no such file or directory): create the file"},
		{"directory", "file:" + dir, "it is not a regular file"},
		{"huge file", "file:" + huge, "it is larger than 64KiB"},
		{"no credential", "credential:none", "credential:none cannot be read from " + dir + "/none (no such file or directory): check LoadCredential="},
	}
	if path := forbidden(t); path != "" {
		tests = append(tests, struct{ name, ref, want string }{"forbidden", "file:" + path, "permission denied): make it readable for the user"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, report := loadText(keyed(tt.ref), Options{Env: env})
			if c != nil || len(report.Errors) != 1 {
				t.Fatalf("want one error, got: %v", report.Err())
			}
			got := report.Errors[0].String()
			if !strings.HasPrefix(got, "f:2:11: account[0].api_key: ") || !strings.Contains(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if strings.Contains(got, "inline") {
				t.Errorf("the message repeats the inline value: %s", got)
			}
		})
	}
}

func TestSecretLargestFile(t *testing.T) {
	path := writeFile(t, "key", strings.Repeat("x", secretMax))
	mustLoad(t, keyed("file:"+path), Options{})
}

// TestInlineNeverShown pastes a secret into every place a person may take for
// the right one; no message may repeat it.
func TestInlineNeverShown(t *testing.T) {
	const pasted = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLw"
	for _, line := range []string{
		"api_key = '%s'", "webhook_secrets = '%s'", "webhook_secrets = ['%s']", "webhook_secrets = [{ label = 'a', secret = '%s' }]",
		"webhook_secrets = [{ label = 'a', secret = ['%s'] }]", "base_url = 'https://u:%s@host'", "base_url = '%s'", "base_url = '://%s'",
		"base_url = 'https://host:%s'", "routes = ['%s']", "routes = '%s'", "requests_per_minute = '%s'", "confirm_submitted = '%s'",
		"name = ' %s'", "[poll]\nschedule = 3\ngrace_period = '%s'", "[webhook]\nbody_max = '%s'\nlisten = '%[1]s'\npath = '%[1]s'",
		"[api]\ntoken = '%s'\nsocket_mode = '%[1]s'\nlisten = '%[1]s'", "[[forward]]\nurl = '%s'\nsecrets = ['%[1]s']\nchanges = ['%[1]s']",
		"[[alert]]\ncommand = ['%s']\nmin_level = '%[1]s'", "[x]\nunknown = '%s'", "api_key = %s", "api_key = '%s", "api_key = ['%s'",
	} {
		text := "[[account]]\n" + fmt.Sprintf(line, pasted)
		_, report := loadText(text, Options{})
		if report.Err() == nil {
			t.Errorf("%s: no error", line)
			continue
		}
		if got := report.Err().Error(); strings.Contains(got, pasted) {
			t.Errorf("%s: shown in\n%s", line, got)
		}
	}
}

func TestUnresolvedCredential(t *testing.T) {
	text := `[[account]]
api_key = "credential:key"
webhook_secrets = [{ label = "a", secret = "credential:hook" }]
`
	c, report := loadText(text, Options{AllowUnresolved: true})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	want := []Reference{{"account[0].api_key", "credential:key"}, {"account[0].webhook_secrets[0].secret", "credential:hook"}}
	if diff := cmp.Diff(want, report.Unchecked); diff != "" {
		t.Errorf("unchecked (-want +got):\n%s", diff)
	}
	if s := c.Accounts[0].APIKey; s.Resolved() || s.Bytes() != nil || s.Ref != "credential:key" {
		t.Errorf("unresolved secret is %v with %q", s, s.Bytes())
	}

	c, report = loadText(text, Options{})
	if c != nil || len(report.Errors) != 2 || len(report.Unchecked) != 0 {
		t.Fatalf("want two errors, got: %v", report.Err())
	}
	if got := report.Errors[0].String(); !strings.Contains(got, "f:2:11: account[0].api_key: credential:key is known inside the systemd service only") || !strings.Contains(got, "systemctl start moverisd") {
		t.Errorf("got %s", got)
	}

	// Inside the service nothing stays unchecked, whatever the option says.
	_, report = loadText(text, Options{AllowUnresolved: true, Env: environ("CREDENTIALS_DIRECTORY", t.TempDir())})
	if len(report.Errors) != 2 || len(report.Unchecked) != 0 {
		t.Errorf("want two errors, got: %v", report.Err())
	}
}

// TestSameSecret: equal values are found behind different references, and
// equal references are found when there is no value to compare.
func TestSameSecret(t *testing.T) {
	path := writeFile(t, "key", hookValue+"\n")
	for name, refs := range map[string][2]string{
		"value":     {"env:HOOK", "file:" + path},
		"reference": {"credential:x", "credential:x"},
	} {
		text := fmt.Sprintf("[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'a', secret = '%s'}, {label = 'b', secret = '%s'}]", refs[0], refs[1])
		_, report := loadText(text, Options{AllowUnresolved: true})
		if len(report.Errors) != 1 {
			t.Fatalf("%s: want one error, got: %v", name, report.Err())
		}
		got := report.Errors[0].String()
		if !strings.Contains(got, `label "b"`) || !strings.Contains(got, `label "a"`) || strings.Contains(got, hookValue) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestDevice stands for all that is no regular file: a pipe would block the
// start, a device may have no end.
func TestDevice(t *testing.T) {
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Skip("no device to try")
	}
	_, report := loadText(keyed("file:/dev/null"), Options{})
	if report.Err() == nil || !strings.Contains(report.Err().Error(), "not a regular file") {
		t.Errorf("got %v", report.Err())
	}
}
