package gateway

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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const testKey = "sk-test-key-0123456789"

// fakeDaemon answers at a socket as moverisd does, and remembers what it was told.
type fakeDaemon struct {
	mu     sync.Mutex
	puts   map[string]string // id → account
	bodies map[string][]string
	status int           // of answers, 0 means 201
	hang   chan struct{} // closed to let go, nil for no hanging
}

func (d *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	hang := d.hang
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id := strings.Split(r.URL.Path, "/")[3]
	var e struct{ Account string }
	switch {
	case d.status != 0:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(d.status)
		fmt.Fprintf(w, `{"type":"about:blank","title":"no","status":%d}`, d.status)
		return
	case r.Method == http.MethodPut:
		_ = json.Unmarshal(body, &e)
		d.puts[id] = e.Account
	default:
		d.bodies[id] = append(d.bodies[id], string(body))
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{}`)
}

// misbehaves makes it hang until hang is closed, or answer with a status.
func (d *fakeDaemon) misbehaves(hang chan struct{}, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang, d.status = hang, status
}

func (d *fakeDaemon) told(id string) (account string, bodies []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.puts[id], d.bodies[id]
}

// rig is a gateway between a client and a server that the test brings.
type rig struct {
	*Gateway
	t      testing.TB
	url    string
	daemon *fakeDaemon
	log    *bytes.Buffer // written by the gateway alone; read after stop
	stop   func()
}

// newRig starts a gateway before an upstream. up says whether a daemon listens.
func newRig(t testing.TB, upstream string, up bool) *rig {
	t.Helper()
	r := &rig{t: t, daemon: &fakeDaemon{puts: map[string]string{}, bodies: map[string][]string{}}, log: &bytes.Buffer{}}
	socket := filepath.Join(t.TempDir(), "s")
	if up {
		ln, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: r.daemon}
		go srv.Serve(ln)
		t.Cleanup(func() { srv.Close() })
	}
	g, err := New(Settings{Socket: socket, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Accounts: []Account{{"production", upstream, []byte(testKey)}, {"other", upstream, []byte("sk-the-other-key-0123456789")}}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, ln) }()
	var once sync.Once
	r.Gateway, r.url = g, "http://"+ln.Addr().String()
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			g.proxy.Transport.(*http.Transport).CloseIdleConnections()
		})
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for range 800 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.t.Errorf("never: %s; %+v", what, r.Counts())
}

// plain is a client that keeps answers as they are.
func plain() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func send(t testing.TB, method, url, body string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if req.Header.Get("X-API-Key") == "" {
		req.Header.Set("X-API-Key", testKey)
	}
	resp, err := plain().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, raw
}

const answered = `{"data":{"verdict":"live","confidence":0.94,"real_score":0.94,"score":94.0,"session_id":"s1","model":"mixed-10-v2",` +
	`"processing_ms":845,"frames_processed":10,"available":true,"warning":null,"error":null,"diagnostics":{"face":"of somebody"}},"success":true,"message":"OK"}`

// The session of a check is expected, the verdict in its answer is submitted, and nothing
// else of the answer.
func TestRecords(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answered)
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	send(t, "POST", r.url+"/api/v1/fast-check", `{"session_id":"s1","frames":["secret pixels"]}`, nil)
	r.eventually("the verdict is submitted", func() bool { _, b := r.daemon.told("s1"); return len(b) == 1 })
	account, bodies := r.daemon.told("s1")
	want := `{"available":true,"confidence":0.94,"error":null,"frames_processed":10,"model":"mixed-10-v2","processing_ms":845,` +
		`"real_score":0.94,"score":94.0,"session_id":"s1","verdict":"live","warning":null}`
	if account != "production" || bodies[0] != want {
		t.Errorf("%s, %s", account, bodies)
	}
	// The other account's key makes it the other account's.
	send(t, "POST", r.url+"/api/v1/fast-check", `{"session_id":"s1"}`, http.Header{"X-Api-Key": {"sk-the-other-key-0123456789"}})
	r.eventually("the other account has it", func() bool { return r.Counts().Submitted == 2 })
	if account, _ = r.daemon.told("s1"); account != "other" {
		t.Errorf("it is %q", account)
	}
	// To read begins no check.
	before := r.Counts()
	send(t, "GET", r.url+"/api/v1/result/s1", "", nil)
	r.stop()
	after := r.Counts()
	if before.Requests++; after.Submitted != before.Submitted || after.Requests != before.Requests || after.Expected != 2 {
		t.Errorf("%+v, then %+v", before, after)
	}
	if log := r.log.String(); strings.Contains(log, "pixels") || strings.Contains(log, "somebody") || strings.Contains(log, testKey) {
		t.Errorf("the log holds what it must not:\n%s", log)
	}
}

// What an answer of each status leads to: a refusal was no check, an outage may have been one.
func TestWhatIsExpected(t *testing.T) {
	type answer struct {
		status int
		body   string
	}
	var next atomic.Value
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		a := next.Load().(answer)
		if a.status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	for n, c := range []struct {
		answer
		expected, submitted bool
	}{
		{answer{200, `{"status":"buffering","verdict":null,"frames_received":1}`}, true, false},
		{answer{200, `{"status":"complete","verdict":"fake","score":3}`}, true, true},
		{answer{200, `{"verdict":"inconclusive"}`}, true, true},
		{answer{200, `{"verdict":null,"error":null}`}, true, false},
		{answer{200, `{"verdict":null,"error":"no face"}`}, true, false},
		{answer{200, `{"data":null,"success":false,"message":"no"}`}, true, false},
		{answer{200, `{"data":{"verdict":"live"},"success":false}`}, true, false},
		{answer{200, `not JSON`}, true, false},
		{answer{200, `{"verdict":"live","x":"` + strings.Repeat("x", answerMax) + `"}`}, true, false},
		{answer{302, ``}, false, false},
		{answer{401, `{"verdict":"live"}`}, false, false},
		{answer{402, ``}, false, false},
		{answer{422, `{"data":null,"success":false,"errors":[{"insufficient_frames":["no"]}]}`}, false, false},
		{answer{429, ``}, false, false},
		{answer{408, ``}, true, false},
		{answer{500, `{"verdict":"live"}`}, true, false},
		{answer{503, `<html>`}, true, false},
		{answer{0, ``}, true, false}, // no answer
	} {
		id := fmt.Sprintf("s%d", n)
		next.Store(c.answer)
		resp, raw := send(t, "POST", r.url+"/api/v1/fast-check", `{"session_id":"`+id+`","frames":[]}`, nil)
		if c.status != 0 && (resp.StatusCode != c.status || string(raw) != c.body) {
			t.Errorf("%s: passed on as %d %.80s", id, resp.StatusCode, raw)
		}
		if c.status == 0 && resp.StatusCode != http.StatusBadGateway {
			t.Errorf("no answer: %d", resp.StatusCode)
		}
		if c.expected {
			r.eventually(fmt.Sprintf("%s is expected after %d %.40s", id, c.status, c.body), func() bool { a, _ := r.daemon.told(id); return a != "" })
		}
		if c.submitted {
			r.eventually(id+" is submitted", func() bool { _, b := r.daemon.told(id); return len(b) == 1 })
		}
		time.Sleep(10 * time.Millisecond)
		if a, b := r.daemon.told(id); (a != "") != c.expected || (len(b) > 0) != c.submitted {
			t.Errorf("%d %.60s: expected %v, submitted %v", c.status, c.body, a != "", b)
		}
	}
	// A Moveris that was never reached has begun nothing.
	up.Close()
	send(t, "POST", r.url+"/api/v1/fast-check", `{"session_id":"unreached"}`, nil)
	time.Sleep(50 * time.Millisecond)
	if a, _ := r.daemon.told("unreached"); a != "" {
		t.Error("expected a session that Moveris never heard of")
	}
}

// A check whose answer is long in coming is expected before it comes; one whose client gives
// up is expected too.
func TestSlowAnswer(t *testing.T) {
	release := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, answered)
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		send(t, "POST", r.url+"/x", `{"session_id":"slow"}`, nil)
	}()
	r.eventually("it is expected while it runs", func() bool { a, _ := r.daemon.told("slow"); return a != "" })
	close(release)
	<-done
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	release = make(chan struct{})
	defer close(release)
	req, _ := http.NewRequestWithContext(ctx, "POST", r.url+"/x", strings.NewReader(`{"session_id":"left"}`))
	req.Header.Set("X-API-Key", testKey)
	if resp, err := plain().Do(req); err == nil {
		resp.Body.Close()
		t.Error("an answer")
	}
	r.eventually("what the client gave up is expected", func() bool { a, _ := r.daemon.told("left"); return a != "" })
}

// A key that is nobody's passes, unrecorded and counted.
func TestUnknownKey(t *testing.T) {
	var keys []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("X-API-Key"))
		_, _ = io.WriteString(w, answered)
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	for _, key := range []string{"sk-nobody's", testKey + "x", testKey[:len(testKey)-1]} {
		if resp, raw := send(t, "POST", r.url+"/x", `{"session_id":"s1"}`, http.Header{"X-Api-Key": {key}}); resp.StatusCode != 200 || string(raw) != answered {
			t.Errorf("%d %s", resp.StatusCode, raw)
		}
	}
	r.stop()
	if c := r.Counts(); c.UnknownKey != 3 || c.Requests != 3 || c.Expected != 0 || c.Submitted != 0 || len(keys) != 3 || keys[0] != "sk-nobody's" {
		t.Errorf("%+v, %v", c, keys)
	}
}
