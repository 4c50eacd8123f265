package config

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything sets each key to a value that no other key has, so that a swap of
// two fields shows.
const everything = `[webhook]
listen = "[::1]:1001"
path = "/hook"
body_max = "1000KB"
tls_cert = "/w.crt"
tls_key = "/w.key"
[api]
socket = "/s 'q' \"d\" \\ ü.sock"
socket_mode = "0640"
listen = ":1002"
token = "env:TOKEN"
tls_cert = "/a.crt"
tls_key = "/a.key"
[observe]
listen = "127.0.0.1:1003"
[store]
path = "/db"
[poll]
schedule = "@every 1s"
grace_period = "1s"
give_up_after = "2d3h4m5s"
backoff_min = "3s"
backoff_max = "4s"
concurrency = 5
retry_after_max = "6s"
[retention]
schedule = "@daily"
settled = "0"
dead_letters = "8s"
events = "9s"
[backup]
dir = "/backup"
schedule = "@weekly"
keep = 11
[[account]]
name = "one"
base_url = "https://one.example/base/"
api_key = "env:KEY"
requests_per_minute = 12
routes = ["/r/{job_id}", "/s/{session_id}?x=1"]
webhook_secrets = [{ label = "a", secret = "env:HOOK" }, { label = "b ü", secret = "env:HOOK2" }]
confirm_submitted = true
[[account]]
name = "two"
api_key = "credential:two"
webhook_secrets = [{ label = "c", secret = "credential:hook-two" }]
[[forward]]
name = "f"
url = "https://f.example/x?y=z"
secrets = ["env:HOOK", "env:HOOK2"]
changes = ["withdrawn", "expected"]
[[alert]]
command = ["/bin/x", "", "--y z"]
min_level = "failing"
[[alert]]
url = "https://alert.example"
`

func TestRedactedRoundTrip(t *testing.T) {
	for name, text := range map[string]string{"everything": everything, "defaults": minimal} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Env: environ("TOKEN", "token-token-token-token"), AllowUnresolved: true}
			want := mustLoad(t, text, opts)
			var out strings.Builder
			if err := want.Redacted(&out); err != nil {
				t.Fatal(err)
			}
			mustNotHold(t, out.String(), keyValue, hookValue, "token-token-token-token")
			got, report := loadText(out.String(), opts)
			if err := report.Err(); err != nil {
				t.Fatalf("%v in\n%s", err, out.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, out.String())
			}
			var again strings.Builder
			if err := got.Redacted(&again); err != nil || again.String() != out.String() {
				t.Errorf("written differently the second time, %v", err)
			}
		})
	}
}

func TestRedactedReportsWriteError(t *testing.T) {
	r, w := io.Pipe()
	failed := errors.New("disk full")
	r.CloseWithError(failed)
	if err := mustLoad(t, minimal, Options{}).Redacted(w); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}
