package sim

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// control makes one control call and decodes the answer.
func control(t *testing.T, m *Moveris, method, path, body string, status int) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	var v map[string]any
	if w.Body.Len() > 0 && w.Body.Bytes()[0] == '{' {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func TestControlSession(t *testing.T) {
	m := New(Config{})
	s := control(t, m, "POST", "/_sim/sessions", `{"session_id":"a/b"}`, 200)
	if s["session_id"] != "a/b" || s["outcome"] != nil || s["finished_at"] != nil {
		t.Errorf("%v", s)
	}
	control(t, m, "POST", "/_sim/sessions", `{"session_id":"a/b"}`, 409)
	control(t, m, "POST", "/_sim/sessions", `{"sesion_id":"x"}`, 400)
	control(t, m, "POST", "/_sim/sessions", `{"session_id":".."}`, 400)
	control(t, m, "POST", "/_sim/sessions/a%2Fb/deliver", ``, 409)
	control(t, m, "POST", "/_sim/sessions/a%2Fb/finish", `{"outcome":"maybe"}`, 400)
	s = control(t, m, "POST", "/_sim/sessions/a%2Fb/finish", `{"outcome":"fake"}`, 200)
	if s["outcome"] != "fake" || s["finished_at"] == nil {
		t.Errorf("%v", s)
	}
	control(t, m, "POST", "/_sim/sessions/a%2Fb/finish", ``, 409)
	control(t, m, "POST", "/_sim/sessions/other/finish", ``, 404)
	control(t, m, "GET", "/_sim/sessions/other", ``, 404)
	if s = control(t, m, "GET", "/_sim/sessions/a%2Fb", ``, 200); s["outcome"] != "fake" {
		t.Errorf("%v", s)
	}
	control(t, m, "POST", "/_sim/sessions/a%2Fb/deliver", ``, 409) // no webhook
	control(t, m, "PUT", "/_sim/webhook", `{"url":"http://192.0.2.1/","secret":"s"}`, 400)
	control(t, m, "PUT", "/_sim/webhook", `{"url":"http://127.0.0.1:1/","secret":"s"}`, 204)
	control(t, m, "POST", "/_sim/sessions/a%2Fb/deliver", `{"forge":"crayon"}`, 400)
	if r := control(t, m, "POST", "/_sim/sessions/a%2Fb/deliver", `{"forge":"bit"}`, 200); r["sent"] != true || r["error"] == nil {
		t.Errorf("%v", r)
	}
}

func TestControlFaults(t *testing.T) {
	m := New(Config{})
	on := func(v map[string]any) string {
		var names []string
		for _, n := range v["faults"].([]any) {
			names = append(names, n.(string))
		}
		return strings.Join(names, ",")
	}
	if got := on(control(t, m, "PUT", "/_sim/faults", "status-503:0.3,drip", 200)); got != "status-503:0.3,drip" {
		t.Error(got)
	}
	if got := on(control(t, m, "PUT", "/_sim/faults", `["redirect=http://127.0.0.1/?a,b"]`, 200)); got != "redirect=http://127.0.0.1/?a,b" {
		t.Error(got)
	}
	v := control(t, m, "PUT", "/_sim/faults", "oops", 400)
	if !strings.Contains(v["error"].(string), "the faults are") {
		t.Errorf("%v", v)
	}
	control(t, m, "PUT", "/_sim/faults", `[1]`, 400)
	if got := on(control(t, m, "GET", "/_sim/faults", "", 200)); got != "redirect=http://127.0.0.1/?a,b" {
		t.Errorf("a refused list changed something: %s", got)
	}
	control(t, m, "DELETE", "/_sim/faults", "", 204)
	if len(m.Faults()) != 0 {
		t.Errorf("%v", m.Faults())
	}
}

func TestControlStats(t *testing.T) {
	m := New(Config{APIKey: "k", Faults: []Fault{{Name: "status-503"}}})
	get(m, "/api/v1/result/x", "k")
	m.SetFaults(nil)
	get(m, "/api/v1/result/x", "")
	v := control(t, m, "GET", "/_sim/stats?window=10s", "", 200)
	by := v["requests_by_status"].(map[string]any)
	if v["requests"] != 2.0 || v["max_in_window"] != 2.0 || v["window_seconds"] != 10.0 || by["503"] != 1.0 || by["401"] != 1.0 {
		t.Errorf("%v", v)
	}
	control(t, m, "GET", "/_sim/stats?window=0s", "", 400)
	control(t, m, "GET", "/_sim/requests", "", 200)
	control(t, m, "DELETE", "/_sim/requests", "", 204)
	if v := control(t, m, "GET", "/_sim/stats", "", 200); v["requests"] != 0.0 {
		t.Errorf("%v", v)
	}
}

// A fault must never lock out the call that clears it.
func TestControlIsBeyondFaults(t *testing.T) {
	m := New(Config{APIKey: "k"})
	setFaults(t, m, "hang,api-off,status-500,drip,key-revoked")
	control(t, m, "DELETE", "/_sim/faults", "", 204)
	if len(m.Requests()) != 0 {
		t.Error("control calls are in the log")
	}
}
