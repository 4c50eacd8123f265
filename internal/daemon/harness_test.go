package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/status"
)

const (
	testKey    = "sk-test-key-0123456789"
	testSecret = "whsec-test-0123456789abcdef"
)

// rig is a running daemon with a simulated Moveris.
type rig struct {
	t       *testing.T
	dir     string
	sim     *sim.Moveris
	simSrv  *httptest.Server
	webhook string // URL
	log     *syncBuffer
	reload  chan os.Signal
	stop    func() error // ends the daemon and returns what Run returned
	extra   string       // TOML appended to the configuration
	poll    string       // TOML of [poll]
	api     string       // TOML appended to [api]
}

// syncBuffer is a log that tests read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

const fastPoll = `schedule = "@every 1s"
grace_period = "1s"
backoff_min = "1s"
backoff_max = "2s"
give_up_after = "1h"
`

// newRig starts a daemon in a directory of its own.
func newRig(t *testing.T, change func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), log: &syncBuffer{}, reload: make(chan os.Signal, 1), poll: fastPoll}
	r.sim = sim.New(sim.Config{APIKey: testKey, WebhookSecret: testSecret, ResultBySession: true, RequestsPerMinute: -1})
	r.simSrv = httptest.NewServer(r.sim.Handler())
	t.Cleanup(r.simSrv.Close)
	r.webhook = "http://" + freeAddress(t) + "/api/moveris/webhook"
	if change != nil {
		change(r)
	}
	r.write("key", testKey+"\n")
	r.write("secret", testSecret+"\n")
	r.writeConfig()
	r.start()
	return r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) writeConfig() {
	addr := strings.TrimSuffix(strings.TrimPrefix(r.webhook, "http://"), "/api/moveris/webhook")
	r.write("moverisd.toml", fmt.Sprintf(`
[webhook]
listen = %q
[api]
socket = %q
%s
[store]
path = %q
[poll]
%s
[[account]]
name = "production"
base_url = %q
api_key = "file:%s/key"
requests_per_minute = 6000
webhook_secrets = [ { label = "one", secret = "file:%s/secret" } ]
%s`, addr, r.socket(), r.api, r.dir+"/moverisd.db", r.poll, r.simSrv.URL, r.dir, r.dir, r.extra))
}

func (r *rig) socket() string { return filepath.Join(r.dir, "moverisd.sock") }

func (r *rig) options() Options {
	return Options{ConfigPath: filepath.Join(r.dir, "moverisd.toml"), Version: "test", Env: config.OS(), Stderr: r.log,
		Reload: r.reload, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- Run(ctx, r.options()) }()
	var once sync.Once
	var err error
	r.stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-result:
			case <-time.After(15 * time.Second):
				err = fmt.Errorf("the daemon did not stop")
			}
		})
		return err
	}
	r.t.Cleanup(func() { _ = r.stop() })
	r.eventually("the API answers", func() bool {
		select {
		case err := <-result:
			result <- err
			r.t.Fatalf("the daemon ended: %v\n%s", err, r.log)
		default:
		}
		_, code := r.tryCall("GET", "/livez", nil)
		return code == 200
	})
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for range 1500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("never: %s\n%s", what, r.log)
}

func (r *rig) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", r.socket())
		}}, Timeout: 90 * time.Second}
}

func (r *rig) tryCall(method, path string, body any) ([]byte, int) {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, "http://moverisd"+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := r.client().Do(req)
	if err != nil {
		return []byte(err.Error()), 0
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return []byte(err.Error()), 0
	}
	return data, resp.StatusCode
}

// call makes a call of the API that must be answered with a status.
func (r *rig) call(want int, method, path string, body any) []byte {
	r.t.Helper()
	data, code := r.tryCall(method, path, body)
	if code != want {
		r.t.Fatalf("%s %s: status %d, want %d: %s", method, path, code, want, data)
	}
	return data
}

func (r *rig) session(id string) api.Session {
	r.t.Helper()
	var s api.Session
	if err := json.Unmarshal(r.call(200, "GET", "/v1/sessions/"+id, nil), &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) status() status.Report {
	r.t.Helper()
	var s status.Report
	if err := json.Unmarshal(r.call(200, "GET", "/v1/status", nil), &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) events() []api.Event {
	r.t.Helper()
	var l api.EventList
	if err := json.Unmarshal(r.call(200, "GET", "/v1/events?limit=1000", nil), &l); err != nil {
		r.t.Fatal(err)
	}
	return l.Events
}

// deliver posts a body as Moveris would.
func (r *rig) deliver(body []byte, header http.Header) int {
	r.t.Helper()
	req, err := http.NewRequest("POST", r.webhook, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// signed makes a signed delivery from a body.
func signed(body string) ([]byte, http.Header) {
	return []byte(body), http.Header{
		"Content-Type":        {"application/json"},
		"User-Agent":          {"Moveris-Webhook/1.0"},
		"X-Webhook-Signature": {sim.Sign(testSecret, []byte(body))},
	}
}

// completed is a delivery's body for a session.
func completed(id, verdict string, created time.Time) string {
	at := created.UTC().Format("2006-01-02T15:04:05.000000Z")
	return fmt.Sprintf(`{"event":"verification.completed","session_id":%q,"timestamp":%q,"data":{"verdict":%q,"real_score":0.94,"score":94.0,"confidence":0.94,"type":"VERY HIGH","model":"mixed-10-v2","input_source":"rest_frames","processing_ms":845,"frames_processed":10,"tenant_metadata":null,"warning":null,"created_at":%q}}`,
		id, at, verdict, at)
}
