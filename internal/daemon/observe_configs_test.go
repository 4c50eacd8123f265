package daemon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
)

// dashboard is what of Grafana's form concerns us.
type dashboard struct {
	Title, UID string
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, RefID string }
	}
}

// expressions are all queries of the dashboard, ready for Prometheus.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../../configs/grafana/moverisd.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 {
			t.Errorf("panel %d %q is not in its place", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("panel %q uses a variable that is not there: %s", p.Title, target.Expr)
			}
			out[p.Title+" "+target.RefID] = expr
		}
	}
	if d.UID != "moverisd" || len(out) < 20 {
		t.Errorf("%q has %d queries", d.UID, len(out))
	}
	return out
}

// unused are the metrics that only some installations have.
func unused(name string) bool { return strings.HasPrefix(name, "moverisd_forward_") }

// busy is a rig whose metrics all have something to say.
func busy(t *testing.T) (*rig, string) {
	r, url := observed(t, nil)
	for i := range 3 {
		r.deliver(signed(completed(fmt.Sprint("told", i), "live", time.Now().Add(-time.Second))))
	}
	r.call(201, "PUT", "/v1/sessions/polled", api.Expectation{})
	if _, err := r.sim.Create(sim.NewSession{ID: "polled"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sim.Finish("polled", sim.Live); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is settled", func() bool { return r.session("polled").State == "settled" })
	return r, url
}

// Every metric that the rules and the dashboard name is one that the daemon has, and every
// label value that they choose by is one that it uses.
func TestQueriesNameRealMetrics(t *testing.T) {
	_, url := busy(t)
	// The share of missed webhooks is known once a slot of ten seconds is over.
	var text string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if text, _ = get(t, url+"/metrics"); strings.Contains(text, "\nmoverisd_webhook_miss_ratio ") {
			break
		}
	}
	known := names(text)
	queries := expressions(t)
	rules, err := os.ReadFile("../../configs/prometheus/moverisd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)expr: (.*)$`).FindAllStringSubmatch(string(rules), -1) {
		queries["rule "+m[1]] = m[1]
	}
	for where, expr := range queries {
		for _, m := range regexp.MustCompile(`(moverisd_\w+)(\{[^}]*\})?`).FindAllStringSubmatch(expr, -1) {
			name := m[1]
			if !slices.Contains(known, name) {
				name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			}
			if !slices.Contains(known, name) && !unused(name) {
				t.Errorf("%s: there is no metric %s", where, m[1])
			}
			for _, l := range regexp.MustCompile(`(\w+)(=~|!=|=)"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
				for value := range strings.SplitSeq(l[3], "|") {
					if l[1] != "instance" && !regexp.MustCompile(`(?m)^`+name+`\{.*`+l[1]+`="`+value+`"`).MatchString(text) {
						t.Errorf("%s: %s has no %s %q", where, name, l[1], value)
					}
				}
			}
		}
	}
}

// The rules are right, by their own tests.
func TestPrometheusRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; .ci/run installs it")
	}
	for _, args := range [][]string{{"check", "rules", "moverisd.rules.yml"}, {"test", "rules", "moverisd.test.yml"},
		{"check", "config", "--syntax-only", "scrape.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../../configs/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// A real Prometheus scrapes the daemon, and every query of the dashboard has an answer.
func TestDashboardHasData(t *testing.T) {
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed; .ci/run installs it")
	}
	r, target := busy(t)
	dir, addr := t.TempDir(), freeAddress(t)
	cfg := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: moverisd, static_configs: [{targets: [%q]}]}]\n",
		strings.TrimPrefix(target, "http://"))
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(prometheus, "--config.file="+path, "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+addr, "--log.level=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	queries := expressions(t)
	r.eventually("Prometheus answers", func() bool {
		resp, err := http.Get("http://" + addr + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	// Counters need two scrapes, and histograms something that happens between them.
	deadline := time.Now().Add(25 * time.Second)
	for n := 0; len(queries) > 0 && time.Now().Before(deadline); n++ {
		r.deliver(signed(completed(fmt.Sprint("more", n), "live", time.Now().Add(-time.Second))))
		id := fmt.Sprint("rescued", n)
		r.call(201, "PUT", "/v1/sessions/"+id, api.Expectation{})
		if _, err := r.sim.Create(sim.NewSession{ID: id}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.sim.Finish(id, sim.Live); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for where, expr := range queries {
			if n, err := seriesOf(addr, expr); err != nil {
				t.Fatalf("%s: %v", where, err)
			} else if n > 0 || strings.Contains(expr, "moverisd_forward_") {
				delete(queries, where)
			}
		}
	}
	for where, expr := range queries {
		t.Errorf("%s has no data: %s", where, expr)
	}
}

// seriesOf counts the series that a query returns, leaving out those that are not a number.
func seriesOf(addr, expr string) (int, error) {
	resp, err := http.Get("http://" + addr + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var out struct {
		Status, Error string
		Data          struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return 0, err
	}
	if out.Status != "success" {
		return 0, fmt.Errorf("%s: %s", expr, out.Error)
	}
	n := 0
	for _, r := range out.Data.Result {
		if r.Value[1] != "NaN" {
			n++
		}
	}
	return n, nil
}
