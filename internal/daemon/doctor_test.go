package daemon

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
)

func (r *rig) doctor(publicURL string) map[string]api.Check {
	r.t.Helper()
	var out api.DoctorResult
	if err := json.Unmarshal(r.call(200, "POST", "/v1/admin/doctor", api.DoctorRequest{PublicURL: publicURL}), &out); err != nil {
		r.t.Fatal(err)
	}
	found := map[string]api.Check{}
	for _, c := range out.Checks {
		if (c.Result == api.CheckOK) != (c.Do == "") || c.Saw == "" {
			r.t.Errorf("%+v", c)
		}
		found[c.Name] = c
	}
	return found
}

func (r *rig) wantCheck(found map[string]api.Check, name, result, says string) {
	r.t.Helper()
	if c := found[name]; c.Result != result || !strings.Contains(c.Saw+" "+c.Do, says) {
		r.t.Errorf("%s: %+v, want %s with %q", name, c, result, says)
	}
}

// Nothing is wrong, but that no result was ever seen.
func TestDoctor(t *testing.T) {
	r := newRig(t, nil)
	found := r.doctor("")
	r.wantCheck(found, "configuration", api.CheckWarn, "requests_per_minute: is above 240")
	r.wantCheck(found, "secrets", api.CheckOK, "1 webhook secret")
	r.wantCheck(found, "status", api.CheckOK, "ok")
	r.wantCheck(found, "account production: key", api.CheckWarn, "no route has ever answered 200")
	r.wantCheck(found, "account production: clock", api.CheckOK, "agree")
	r.wantCheck(found, "fsync", api.CheckOK, "an fsync takes")
	r.wantCheck(found, "socket", api.CheckOK, "-rw-rw----")
	r.wantCheck(found, "files", api.CheckOK, "")
	r.wantCheck(found, "systemd", api.CheckOK, "does not run as a service")
	if _, ok := found["public URL"]; ok {
		t.Error("a delivery was sent to nowhere")
	}
}

// Each thing that is wrong is found, and named with what to do.
func TestDoctorFinds(t *testing.T) {
	r := newRig(t, nil)
	faults := func(list string) {
		t.Helper()
		f, err := sim.ParseFaults(list)
		if err != nil {
			t.Fatal(err)
		}
		r.sim.SetFaults(f)
	}
	faults("key-revoked")
	r.wantCheck(r.doctor(""), "account production: key", api.CheckFail, "scopes detection:read")
	faults("status-402")
	r.wantCheck(r.doctor(""), "account production: key", api.CheckFail, "buy credits")
	faults("clock-skew=2h")
	r.wantCheck(r.doctor(""), "account production: clock", api.CheckFail, "differ by")
	faults("status-500")
	r.wantCheck(r.doctor(""), "account production: key", api.CheckFail, "does not answer")
	r.sim.SetFaults(nil)

	if err := os.Chmod(r.socket(), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.dir+"/moverisd.toml", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.dir + "/secret"); err != nil {
		t.Fatal(err)
	}
	found := r.doctor("")
	r.wantCheck(found, "socket", api.CheckWarn, "every user")
	r.wantCheck(found, "files", api.CheckWarn, "moverisd.toml has -rw-r--r--")
	r.wantCheck(found, "configuration", api.CheckFail, "secret")
	r.write("secret", testSecret)
	if err := os.WriteFile(r.dir+"/moverisd.toml", []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.wantCheck(r.doctor(""), "configuration", api.CheckFail, "nonsense")
}

// A test delivery goes through what is in front; it is recognised, and kept nowhere.
func TestDoctorPublicURL(t *testing.T) {
	r := newRig(t, nil)
	backend, err := url.Parse(r.webhook)
	if err != nil {
		t.Fatal(err)
	}
	backend.Path = ""
	pass := httputil.NewSingleHostReverseProxy(backend)
	pass.ErrorLog = log.New(io.Discard, "", 0)
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Server", "strange")
			w.WriteHeader(code)
		}
	}
	for name, c := range map[string]struct {
		proxy  http.HandlerFunc
		path   string
		result string
		says   string
	}{
		"good": {pass.ServeHTTP, backend.Path, api.CheckWarn, "over plain HTTP"},
		"body changed": {func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			raw = append(raw, '\n')
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
			pass.ServeHTTP(w, r)
		}, "", api.CheckFail, "unchanged"},
		"signature dropped": {func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("X-Webhook-Signature")
			pass.ServeHTTP(w, r)
		}, "", api.CheckFail, "X-Webhook-Signature"},
		"answer changed": {func(w http.ResponseWriter, r *http.Request) {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(200)
		}, "", api.CheckFail, "its answer did not come back: 200"},
		"wrong path":   {pass.ServeHTTP, "/elsewhere", api.CheckFail, "/api/moveris/webhook"},
		"redirect":     {http.RedirectHandler("https://www.example/", http.StatusMovedPermanently).ServeHTTP, "", api.CheckFail, "redirects to https://www.example/"},
		"stranger":     {answer(204), "", api.CheckFail, "somebody else answers 204 (server: strange)"},
		"login page":   {answer(200), "", api.CheckFail, "somebody else"},
		"firewall":     {answer(403), "", api.CheckFail, "403"},
		"bad gateway":  {answer(502), "", api.CheckFail, "does not reach moverisd"},
		"small limit":  {answer(413), "", api.CheckFail, "413"},
		"out of order": {answer(500), "", api.CheckFail, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.proxy)
			defer srv.Close()
			if c.path == "" {
				c.path = "/api/moveris/webhook"
			}
			r.wantCheck(r.doctor(srv.URL+c.path), "public URL", c.result, c.says)
		})
	}
	srv := httptest.NewTLSServer(pass)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer srv.Close()
	r.wantCheck(r.doctor(srv.URL+"/api/moveris/webhook"), "public URL", api.CheckFail, "certificate")
	r.wantCheck(r.doctor("nonsense"), "public URL", api.CheckFail, "no such URL")
	r.wantCheck(r.doctor("http://"+freeAddress(t)+"/x"), "public URL", api.CheckFail, "cannot be reached")

	var list api.DeliveryList
	if err := json.Unmarshal(r.call(200, "GET", "/v1/admin/deliveries", nil), &list); err != nil || len(list.Deliveries) > 0 {
		t.Errorf("%v, kept: %+v", err, list.Deliveries)
	}
	if d := r.status().Deliveries; d.Accepted+d.DeadLetter+d.UnknownEvent != 0 {
		t.Errorf("counted: %+v", d)
	}
	// Only a test that is waited for is one: what else looks like it is kept as any delivery.
	if code := r.deliver(signed(fmt.Sprintf(`{"event":%q,"test_id":"mine"}`, testEvent))); code != 204 {
		t.Fatal(code)
	}
	if d := r.status().Deliveries; d.UnknownEvent != 1 {
		t.Errorf("a test of nobody's: %+v", d)
	}
}

// Over HTTPS, all is well.
func TestDoctorJudgesHTTPS(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "moveris.example", Path: "/api/moveris/webhook"}
	if result, _, saw := judgePublic(u, u.Path, answered{status: 204}, true, nil); result != api.CheckOK {
		t.Error(saw)
	}
	if result, _, saw := judgePublic(u, u.Path, answered{}, false, &tls.CertificateVerificationError{Err: io.EOF}); result != api.CheckFail || !strings.Contains(saw, "certificate") {
		t.Error(saw)
	}
}
