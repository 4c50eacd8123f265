package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loading runs "load" against a server that answers with a status.
func loading(t *testing.T, status int, more ...string) (stdout, stderr string, code int) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	err := run(t.Context(), append([]string{"load", "--webhook-url", srv.URL + "/x", "--secret-file", secret,
		"--connections", "4", "--requests", "200"}, more...), &out, &errs)
	code = exitCode(err, &errs)
	return out.String(), errs.String(), code
}

func TestLoadJSON(t *testing.T) {
	out, _, code := loading(t, 204, "-o", "json", "--pid", fmt.Sprint(os.Getpid()))
	var got loadReport
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("code %d, %v\n%s", code, err, out)
	}
	l := got.Latency
	if got.Acked != 200 || got.Answers[204] != 200 || got.PerSecond <= 0 || !got.UsedUp || l.P50 <= 0 || l.P95 < l.P50 || l.P99 < l.P95 || l.Max < l.P99 {
		t.Errorf("%+v", got)
	}
	if got.Server == nil || got.Server.Memory < 1 || got.Server.Peak < got.Server.Memory {
		t.Errorf("%+v", got.Server)
	}
}

func TestLoadText(t *testing.T) {
	out, _, code := loading(t, 204, "--pid", fmt.Sprint(os.Getpid()))
	if code != 0 || !strings.HasPrefix(out, "200 acknowledged in ") || !strings.Contains(out, " MiB of memory\n") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestLoadRefused(t *testing.T) {
	_, stderr, code := loading(t, 401)
	if code != exitFailed || !strings.Contains(stderr, "not every delivery was acknowledged: map[401:200]") {
		t.Errorf("code %d\n%s", code, stderr)
	}
}

func TestLoadUsage(t *testing.T) {
	for _, more := range [][]string{{"--connections", "0"}, {"--output", "xml"}, {"--webhook-url", "http://example.org:80/"}, {"extra"}} {
		if _, stderr, code := loading(t, 204, more...); code != exitUsage {
			t.Errorf("%v: code %d\n%s", more, code, stderr)
		}
	}
	if _, stderr, code := loading(t, 204, "--pid", "999999999"); code != exitFailed || !strings.Contains(stderr, "measure process 999999999") {
		t.Errorf("code %d\n%s", code, stderr)
	}
}
