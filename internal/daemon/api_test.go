package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/sim"
)

// certificate writes a fresh certificate for 127.0.0.1 and returns its number.
func (r *rig) certificate(certName, keyName string) string {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	number := big.NewInt(time.Now().UnixNano())
	tmpl := &x509.Certificate{SerialNumber: number, Subject: pkix.Name{CommonName: "moverisd"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		r.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(keyName, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	r.write(certName, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return number.String()
}

// The API over TCP: with the token only, which a reload replaces, but for readiness; the
// calls of the commands on the socket only.
func TestAPIOverTCP(t *testing.T) {
	addr := freeAddress(t)
	r := newRig(t, func(r *rig) {
		r.write("token", "a-token-of-the-local-api\n")
		r.api = fmt.Sprintf("listen = %q\ntoken = \"file:%s/token\"\n", addr, r.dir)
	})
	call := func(method, path, token string) int {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		method, path, token string
		want                int
	}{
		{"PUT", "/v1/sessions/" + id1, "", 401},
		{"PUT", "/v1/sessions/" + id1, "a-wrong-token-of-the-api", 401},
		{"PUT", "/v1/sessions/" + id1, "a-token-of-the-local-api", 201},
		{"GET", "/v1/sessions/" + id1, "a-token-of-the-local-api", 200},
		{"GET", "/v1/status", "", 401},
		{"GET", "/readyz", "", 200},
		{"GET", "/livez", "", 200},
		{"POST", "/v1/admin/sweep", "a-token-of-the-local-api", 403},
	} {
		if got := call(c.method, c.path, c.token); got != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, c.token, got, c.want)
		}
	}
	r.call(200, "POST", "/v1/admin/sweep", nil) // on the socket
	r.write("token", "another-token-after-a-reload\n")
	r.call(200, "POST", "/v1/admin/reload", nil)
	if old, fresh := call("GET", "/v1/status", "a-token-of-the-local-api"), call("GET", "/v1/status", "another-token-after-a-reload"); old != 401 || fresh != 200 {
		t.Errorf("after a reload: %d with the old token, %d with the new one", old, fresh)
	}
	// A waiter is sent home by a stop.
	done := make(chan int, 1)
	go func() { done <- call("GET", "/v1/sessions/"+id1+"?wait=60s", "another-token-after-a-reload") }()
	time.Sleep(300 * time.Millisecond)
	start := time.Now()
	if err := r.stop(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("stop: %v after %s", err, time.Since(start))
	}
	if code := <-done; code != 200 {
		t.Errorf("the waiter: %d", code)
	}
}

// With a certificate it is HTTPS, and a changed certificate is read again.
func TestAPIOverTLS(t *testing.T) {
	addr := freeAddress(t)
	var first string
	r := newRig(t, func(r *rig) {
		r.write("token", "a-token-of-the-local-api\n")
		first = r.certificate("crt", "tls-key")
		r.api = fmt.Sprintf("listen = %q\ntoken = \"file:%s/token\"\ntls_cert = \"%s/crt\"\ntls_key = \"%s/tls-key\"\n", addr, r.dir, r.dir, r.dir)
	})
	serial := func() string {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != first {
		t.Errorf("certificate %s, want %s", got, first)
	}
	if resp, err := http.Get("http://" + addr + "/livez"); err == nil {
		resp.Body.Close()
		if resp.StatusCode == 200 {
			t.Error("it answers plain HTTP")
		}
	}
	second := r.certificate("crt", "tls-key")
	r.eventually("the new certificate is served", func() bool { return serial() == second })
}

// A certificate that cannot be read is the configuration's fault, and the start changes nothing.
func TestAPICertificateMissing(t *testing.T) {
	r := &rig{t: t, dir: t.TempDir(), log: &syncBuffer{}, poll: fastPoll, webhook: "http://" + freeAddress(t) + "/api/moveris/webhook"}
	r.sim = sim.New(sim.Config{APIKey: testKey})
	r.simSrv = httptest.NewServer(r.sim.Handler())
	t.Cleanup(r.simSrv.Close)
	r.write("key", testKey)
	r.write("secret", testSecret)
	r.write("token", "a-token-of-the-local-api")
	r.api = fmt.Sprintf("listen = %q\ntoken = \"file:%s/token\"\ntls_cert = \"%s/none\"\ntls_key = \"%s/none\"\n", freeAddress(t), r.dir, r.dir, r.dir)
	r.writeConfig()
	err := Run(t.Context(), r.options())
	if ExitCode(err) != 78 || !strings.Contains(err.Error(), "api.tls_cert") {
		t.Errorf("%v", err)
	}
}

// A submission is a third source: it settles at once; confirm_submitted asks Moveris about
// those that nothing else has settled, and about no others (issue 7).
func TestConfirmSubmitted(t *testing.T) {
	for _, confirm := range []bool{true, false} {
		t.Run(fmt.Sprint(confirm), func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.extra = fmt.Sprintf("confirm_submitted = %v\n", confirm) })
			const told = "told-by-webhook"
			for _, id := range []string{id1, told} {
				if _, err := r.sim.Create(sim.NewSession{ID: id}); err != nil {
					t.Fatal(err)
				}
				if _, err := r.sim.Finish(id, sim.Fake); err != nil {
					t.Fatal(err)
				}
			}
			r.call(201, "POST", "/v1/sessions/"+id1+"/observations", map[string]any{"verdict": "live", "model": "mixed-10-v2"})
			r.call(201, "POST", "/v1/sessions/"+told+"/observations", map[string]any{"verdict": "fake", "model": "mixed-10-v2"})
			if code := r.deliver(signed(completed(told, "fake", time.Now()))); code != 204 {
				t.Fatal(code)
			}
			if s := r.session(id1); s.State != "settled" || *s.Outcome != "live" || *s.FirstBy != "submitted" {
				t.Fatalf("%+v", s)
			}
			if confirm {
				r.eventually("Moveris was asked", func() bool { return r.session(id1).ToldAt["poll"] != nil })
				if s := r.session(id1); !s.Conflict {
					t.Errorf("Moveris contradicts the submission: %+v", s)
				}
			} else {
				time.Sleep(3500 * time.Millisecond)
			}
			asked := map[string]int{}
			for _, q := range r.sim.Requests() {
				for _, id := range []string{id1, told} {
					if strings.HasSuffix(q.Path, id) {
						asked[id]++
					}
				}
			}
			if (asked[id1] > 0) != confirm || asked[told] != 0 {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

// A webhook is still due for what was only submitted: the miss ratio and silence count it.
func TestSubmittedWebhookIsDue(t *testing.T) {
	r := newRig(t, nil)
	for n := range 3 {
		r.call(201, "POST", fmt.Sprintf("/v1/sessions/s%d/observations", n), map[string]any{"verdict": "live"})
	}
	r.eventually("the miss ratio counts them", func() bool {
		ratio := r.status().Window.WebhookMissRatio
		return ratio != nil && *ratio == 1
	})
	var codes []string
	for _, reason := range r.status().Reasons {
		codes = append(codes, reason.Code)
	}
	if !strings.Contains(strings.Join(codes, " "), "silence") {
		t.Errorf("reasons %v", codes)
	}
}

// Metadata comes back with every event, and the evidence of each source is kept.
func TestMetadataOfEvents(t *testing.T) {
	r := newRig(t, nil)
	r.call(201, "PUT", "/v1/sessions/"+id1, api.Expectation{Metadata: []byte(`{"customer":"c-17"}`)})
	if code := r.deliver(signed(completed(id1, "live", time.Now()))); code != 204 {
		t.Fatal(code)
	}
	events := r.events()
	if len(events) != 2 {
		t.Fatalf("%+v", events)
	}
	for _, e := range events {
		if string(e.Metadata) != `{"customer":"c-17"}` {
			t.Errorf("%s: %s", e.Change, e.Metadata)
		}
	}
}
