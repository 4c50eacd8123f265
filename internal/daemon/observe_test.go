package daemon

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
)

// observed is a rig with monitoring on.
func observed(t *testing.T, change func(*rig)) (*rig, string) {
	t.Helper()
	addr := freeAddress(t)
	r := newRig(t, func(r *rig) {
		r.extra = "[observe]\nlisten = \"" + addr + "\"\n"
		if change != nil {
			change(r)
		}
	})
	return r, "http://" + addr
}

func get(t *testing.T, url string, change ...func(*http.Request)) (string, *http.Response) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(req)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp
}

func hasLine(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, grep(text, line))
		}
	}
}

// grep is what of a text has the same beginning as a line.
func grep(text, line string) string {
	name, _, _ := strings.Cut(line, "{")
	name, _, _ = strings.Cut(name, " ")
	var out []string
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, name) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "")
}

// The metrics count what happened, on the listener as on the socket.
func TestMetrics(t *testing.T) {
	r, url := observed(t, nil)
	now := time.Now()
	for range 2 {
		if code := r.deliver(signed(completed(id1, "live", now.Add(-time.Second)))); code != 204 {
			t.Fatal(code)
		}
	}
	r.deliver(signed(`{"event":"something.new","session_id":"x"}`))
	r.deliver(signed(`{"event":"verification.completed"}`))
	body, header := signed("{}")
	header.Set("X-Webhook-Signature", "sha256=00")
	r.deliver(body, header)
	if _, err := r.sim.Create(sim.NewSession{ID: "polled"}); err != nil {
		t.Fatal(err)
	}
	r.call(201, "PUT", "/v1/sessions/polled", api.Expectation{})
	if _, err := r.sim.Finish("polled", sim.Live); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is settled", func() bool { return r.session("polled").State == "settled" })

	text, resp := get(t, url+"/metrics")
	if ct := resp.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("Content-Type %q", ct)
	}
	hasLine(t, text,
		`moverisd_deliveries_total{result="accepted"} 1`, `moverisd_deliveries_total{result="duplicate"} 1`,
		`moverisd_deliveries_total{result="unknown_event"} 1`, `moverisd_deliveries_total{result="dead_letter"} 1`,
		`moverisd_deliveries_rejected_total{reason="signature"} 1`, `moverisd_deliveries_rejected_total{reason="store"} 0`,
		`moverisd_delivery_ack_seconds_count 4`, `moverisd_sessions{state="settled"} 2`, `moverisd_sessions{state="missing"} 0`,
		`moverisd_sessions_settled_total{first_by="webhook"} 1`, `moverisd_sessions_settled_total{first_by="poll"} 1`,
		`moverisd_webhook_lag_seconds_count 1`, `moverisd_webhook_lag_seconds_bucket{le="0.512"} 0`,
		`moverisd_webhook_lag_seconds_bucket{le="2.048"} 1`, `moverisd_rescue_lag_seconds_count 1`,
		`moverisd_reason{code="dead_letters"} 1`, `moverisd_reason{code="silence"} 0`, `moverisd_level{level="degraded"} 1`,
		`moverisd_api_breaker{account="production",state="closed"} 1`, `moverisd_api_budget_requests{account="production"} 6000`,
		`moverisd_sweeps_total{result="failed"} 0`, `moverisd_sweep_last_success 1`)
	if !strings.Contains(text, `moverisd_api_requests_total{account="production",route="/api/v1/result/{session_id}",status="200"}`) {
		t.Error(grep(text, "moverisd_api_requests_total"))
	}
	for _, id := range []string{id1, "polled"} {
		if strings.Contains(text, id) {
			t.Errorf("a session's id %s is among the metrics", id)
		}
	}
	onSocket := string(r.call(200, "GET", "/metrics", nil))
	if a, b := names(text), names(onSocket); !slices.Equal(a, b) {
		t.Errorf("the listener has %v\nthe socket %v", a, b)
	}
	// Every code is there, and every label is one of those that are meant.
	for _, code := range status.Codes() {
		if !strings.Contains(text, `moverisd_reason{code="`+code+`"}`) {
			t.Errorf("no metric for the reason %s", code)
		}
	}
	for _, reason := range store.Rejections() {
		if !strings.Contains(text, `moverisd_deliveries_rejected_total{reason="`+reason+`"}`) {
			t.Errorf("no metric for the rejection %s", reason)
		}
	}
	closed := []string{"version", "go_version", "level", "code", "state", "first_by", "le", "result", "reason", "account", "route",
		"status", "label", "forward"}
	for _, m := range regexp.MustCompile(`(?m)^moverisd_\w+\{(.*)\}`).FindAllStringSubmatch(text, -1) {
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[1], -1) {
			if !slices.Contains(closed, l[1]) {
				t.Errorf("label %s", l[1])
			}
		}
	}
}

// names are the names of all metrics of ours, in order.
func names(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (moverisd_\w+) `).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// The listener answers to this machine only, for reading only, and tells of no session.
func TestObserver(t *testing.T) {
	r, url := observed(t, nil)
	r.deliver(signed(completed(id1, "live", time.Now())))
	for _, path := range []string{"/livez", "/readyz", "/v1/status", "/metrics", "/"} {
		body, resp := get(t, url+path)
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if strings.Contains(body, id1) {
			t.Errorf("%s tells the id of a session", path)
		}
		for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", ""} {
			if _, resp := get(t, url+path, func(r *http.Request) { r.Host = host; r.URL.Opaque = "" }); host != "" && resp.StatusCode != 403 {
				t.Errorf("%s with Host %q: %s", path, host, resp.Status)
			}
		}
		for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.9:99", "[::1]", "[::1]:80"} {
			if _, resp := get(t, url+path, func(r *http.Request) { r.Host = host }); resp.StatusCode != 200 {
				t.Errorf("%s with Host %q: %s", path, host, resp.Status)
			}
		}
	}
	for _, call := range []string{"GET /v1/sessions", "GET /v1/sessions/" + id1, "GET /v1/events", "POST /v1/admin/sweep", "POST /metrics",
		"PUT /v1/sessions/x", "GET /v1/admin/deliveries"} {
		method, path, _ := strings.Cut(call, " ")
		_, resp := get(t, url+path, func(r *http.Request) { r.Method = method })
		if resp.StatusCode != 404 && resp.StatusCode != 405 {
			t.Errorf("%s: %s", call, resp.Status)
		}
	}
}
