package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moverisd/moverisd/internal/moveris"
)

// now is the clock of these tests: shortly after the sample was made.
var now = time.Date(2026, 2, 10, 16, 0, 0, 0, time.UTC)

// sample is the body of the webhook setup guide.
const sample = `{"event":"verification.completed","session_id":"550e8400-e29b-41d4-a716-446655440000","timestamp":"2026-02-10T15:26:42.123456Z","data":{"verdict":"live","real_score":0.94,"score":94.0,"confidence":0.94,"type":"VERY HIGH","model":"mixed-10-v2","input_source":"rest_frames","processing_ms":845,"frames_processed":10,"tenant_metadata":null,"warning":null,"created_at":"2026-02-10T15:26:42.123456Z"}}`

// desk is a handler with everything it has handed on.
type desk struct {
	*Handler
	mu       sync.Mutex
	applied  []Accepted
	kept     []Loose
	rejected []string
	fail     error
	hold     chan struct{} // if set, a commit waits for it
}

func newDesk(t *testing.T, change func(*Settings)) *desk {
	t.Helper()
	s := Settings{Path: "/hook", BodyMax: 4 << 10, Accounts: []string{"first", "second"}, StaleAfter: 24 * time.Hour,
		RepeatAfter: 15 * time.Second,
		Verifier: moveris.NewVerifier([]moveris.Secret{{Account: 0, Label: "one", Key: []byte("secret of the first account")},
			{Account: 1, Label: "two", Key: []byte("secret of the second account")}})}
	if change != nil {
		change(&s)
	}
	d := &desk{}
	d.Handler = New(s, Sink{
		Apply: func(ctx context.Context, a Accepted) error {
			return d.take(ctx, func() { d.applied = append(d.applied, a) })
		},
		Keep: func(ctx context.Context, l Loose) error {
			return d.take(ctx, func() { d.kept = append(d.kept, l) })
		},
		Reject: func(reason string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.rejected = append(d.rejected, reason)
		},
	}, func() time.Time { return now })
	return d
}

func (d *desk) take(ctx context.Context, do func()) error {
	if d.hold != nil {
		select {
		case <-d.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil {
		do()
	}
	return d.fail
}

// sign signs by the formula of the guide, written here once more.
func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func request(method, path, body string, header map[string]string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Webhook-Signature", sign("secret of the first account", body))
	for k, v := range header {
		r.Header.Set(k, v)
		if v == "" {
			r.Header.Del(k)
		}
	}
	return r
}

func (d *desk) post(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// Each row of product section 3's table.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		r      *http.Request
		want   int
		reason string // counted
		header string // of the answer
	}{
		{"accepted", request("POST", "/hook", sample, nil), 204, "", ""},
		{"another path", request("POST", "/hook/", sample, nil), 404, "", ""},
		{"another method", request("GET", "/hook", "", nil), 405, "", "Allow: POST"},
		{"no signature", request("POST", "/hook", sample, map[string]string{"X-Webhook-Signature": ""}), 401, "signature", ""},
		{"wrong secret", request("POST", "/hook", sample, map[string]string{"X-Webhook-Signature": sign("guessed", sample)}), 401, "signature", ""},
		{"upper case", request("POST", "/hook", sample, map[string]string{"X-Webhook-Signature": strings.ToUpper(sign("secret of the first account", sample))}), 401, "signature", ""},
		{"no prefix", request("POST", "/hook", sample, map[string]string{"X-Webhook-Signature": sign("secret of the first account", sample)[7:]}), 401, "signature", ""},
		{"too large", request("POST", "/hook", strings.Repeat(" ", 5<<10), nil), 413, "too_large", ""},
		{"media type", request("POST", "/hook", sample, map[string]string{"Content-Type": "text/json"}), 415, "media_type", ""},
		{"no media type", request("POST", "/hook", sample, map[string]string{"Content-Type": ""}), 415, "media_type", ""},
		{"parameters", request("POST", "/hook", sample, map[string]string{"Content-Type": "Application/JSON; charset=utf-8"}), 204, "", ""},
		{"encoding", request("POST", "/hook", sample, map[string]string{"Content-Encoding": "gzip"}), 415, "encoding", ""},
		{"identity", request("POST", "/hook", sample, map[string]string{"Content-Encoding": "identity"}), 204, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, nil)
			w := d.post(c.r)
			if w.Code != c.want {
				t.Errorf("status %d, want %d", w.Code, c.want)
			}
			var counted []string
			if c.reason != "" {
				counted = []string{c.reason}
			}
			if diff := cmp.Diff(counted, d.rejected); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if stored := len(d.applied) + len(d.kept); (stored == 1) != (c.want == 204) {
				t.Errorf("%d stored", stored)
			}
			if k, v, ok := strings.Cut(c.header, ": "); ok && w.Header().Get(k) != v {
				t.Errorf("%s is %q, want %q", k, w.Header().Get(k), v)
			}
			if w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
				t.Errorf("body %q", w.Body)
			}
		})
	}
}

// Why a signature is not accepted is not to be learned from the answer.
func TestSameRefusal(t *testing.T) {
	d := newDesk(t, nil)
	first := d.post(request("POST", "/hook", sample, map[string]string{"X-Webhook-Signature": ""}))
	for _, header := range []string{"x", "sha256=", sign("guessed", sample), strings.Repeat("sha256=ab", 100)} {
		w := d.post(request("POST", "/hook", sample, map[string]string{"X-Webhook-Signature": header}))
		if w.Code != first.Code || !bytes.Equal(w.Body.Bytes(), first.Body.Bytes()) || cmp.Diff(w.Header(), first.Header()) != "" {
			t.Errorf("%q is answered differently", header)
		}
	}
	twice := request("POST", "/hook", sample, nil)
	twice.Header.Add("X-Webhook-Signature", "sha256=0")
	if w := d.post(twice); w.Code != 401 {
		t.Errorf("two signatures: %d", w.Code)
	}
}

// What is signed is never refused for its content, and belongs to the account of its secret.
func TestSignedContent(t *testing.T) {
	for _, c := range []struct {
		name, body, reason, event string
		header                    map[string]string
		applied, mismatch         bool
	}{
		{name: "the guide's sample", body: sample, applied: true},
		{name: "header agrees", body: sample, applied: true, header: map[string]string{
			"X-Webhook-Event": "verification.completed", "X-Webhook-Session": "550e8400-e29b-41d4-a716-446655440000"}},
		{name: "header contradicts", body: sample, applied: true, mismatch: true, header: map[string]string{
			"X-Webhook-Session": "another"}},
		{name: "not JSON", body: "{", reason: "not_json"},
		{name: "no session", body: `{"event":"verification.completed","data":{}}`, reason: "no_session_id"},
		{name: "unknown event", body: `{"event":"webhook.ping","data":{}}`, event: "webhook.ping"},
		{name: "stale", body: strings.Replace(sample, "2026-02-10T15:26:42.123456Z", "2026-02-09T15:26:42Z", 1), reason: "stale", event: "verification.completed"},
		{name: "failed", body: `{"event":"verification.failed","session_id":"s","timestamp":"2026-02-10T15:26:42Z","data":{"error":"x"}}`, applied: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, nil)
			header := map[string]string{"X-Webhook-Signature": sign("secret of the second account", c.body)}
			for k, v := range c.header {
				header[k] = v
			}
			if w := d.post(request("POST", "/hook", c.body, header)); w.Code != 204 {
				t.Fatalf("status %d", w.Code)
			}
			if c.applied {
				if len(d.applied) != 1 || len(d.kept) != 0 {
					t.Fatalf("applied %d, kept %d", len(d.applied), len(d.kept))
				}
				a := d.applied[0]
				o := a.Observation
				if a.Account != "second" || o.Label != "two" || o.HeaderMismatch != c.mismatch || !o.ObservedAt.Equal(now) ||
					o.Digest != sha256.Sum256([]byte(c.body)) || o.RepeatAfter != 15*time.Second || string(a.Body) != c.body {
					t.Errorf("applied %+v", a)
				}
				return
			}
			if len(d.applied) != 0 || len(d.kept) != 1 {
				t.Fatalf("applied %d, kept %d", len(d.applied), len(d.kept))
			}
			if l := d.kept[0]; l.Reason != c.reason || l.Event != c.event || l.Account != "second" || string(l.Body) != c.body {
				t.Errorf("kept %+v", l)
			}
		})
	}
}

// A delivery that cannot be committed is refused with 503 and sent again.
func TestUnavailable(t *testing.T) {
	d := newDesk(t, nil)
	d.fail = errors.New("the disk is on fire, path /var/lib")
	w := d.post(request("POST", "/hook", sample, nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("status %d, Retry-After %q, body %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	d.fail = nil
	d.Drain()
	if w := d.post(request("POST", "/hook", sample, nil)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("draining: status %d", w.Code)
	}
	if diff := cmp.Diff([]string{"store", "draining"}, d.rejected); diff != "" {
		t.Error(diff)
	}
}

// Bodies in flight are bounded, and their memory is given back.
func TestInFlight(t *testing.T) {
	d := newDesk(t, func(s *Settings) { s.BodyMax = 16 << 20 })
	d.hold = make(chan struct{})
	body := strings.Repeat(" ", 12<<20)
	answers := make(chan int, 3)
	for range 2 {
		go func() { answers <- d.post(request("POST", "/hook", body, nil)).Code }()
	}
	for d.inFlight.Load() < 24<<20 {
		time.Sleep(time.Millisecond)
	}
	if w := d.post(request("POST", "/hook", body, nil)); w.Code != 503 {
		t.Errorf("the third: status %d", w.Code)
	}
	close(d.hold)
	for range 2 {
		if code := <-answers; code != 204 {
			t.Errorf("status %d", code)
		}
	}
	if n := d.inFlight.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// The answer goes out after the commit, not before.
func TestAnswerAfterCommit(t *testing.T) {
	d := newDesk(t, nil)
	d.hold = make(chan struct{})
	answered := make(chan int, 1)
	go func() { answered <- d.post(request("POST", "/hook", sample, nil)).Code }()
	select {
	case code := <-answered:
		t.Fatalf("answered %d before the commit", code)
	case <-time.After(100 * time.Millisecond):
	}
	close(d.hold)
	if code := <-answered; code != 204 || len(d.applied) != 1 {
		t.Errorf("status %d, applied %d", code, len(d.applied))
	}
}

// Lengths that lie, and bodies without one, over a real connection.
func TestBodiesOnTheWire(t *testing.T) {
	d := newDesk(t, nil)
	srv := httptest.NewServer(d)
	defer srv.Close()
	signature := "X-Webhook-Signature: " + sign("secret of the first account", sample) + "\r\n"
	head := "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + signature
	for _, c := range []struct {
		name, raw, want string
		applied         int
	}{
		{"chunked", head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(sample) + "0\r\n\r\n", "204", 1},
		{"chunked and too large", head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(strings.Repeat(" ", 5000)) + "0\r\n\r\n", "413", 0},
		{"shorter than declared", head + "Content-Length: 4000\r\n\r\n" + sample, "400", 0},
		{"longer than declared", head + "Content-Length: 10\r\n\r\n" + sample, "401", 0},
		{"declared too large", head + "Content-Length: 1000000000\r\n\r\n", "413", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.applied = nil
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.raw); err != nil {
				t.Fatal(err)
			}
			// No more is sent: what is awaited never comes.
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 12)
			if _, err := io.ReadFull(conn, first); err != nil {
				t.Fatal(err)
			}
			if got := string(first[9:]); got != c.want {
				t.Errorf("status %s, want %s", got, c.want)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.applied) != c.applied {
				t.Errorf("%d applied, want %d", len(d.applied), c.applied)
			}
		})
	}
}

func chunk(s string) string {
	const hexDigits = "0123456789abcdef"
	n, size := len(s), ""
	for ; n > 0; n /= 16 {
		size = string(hexDigits[n%16]) + size
	}
	return size + "\r\n" + s + "\r\n"
}

// At the cap the oldest connection still sending its header makes room, then the oldest idle
// one, then the newcomer.
func TestGate(t *testing.T) {
	g := newGate()
	conns := make([]net.Conn, connectionsMax)
	for i := range conns {
		conns[i], _ = net.Pipe()
		if v := g.track(conns[i], http.StateNew); v != nil {
			t.Fatalf("connection %d: one was closed below the cap", i)
		}
	}
	for i, c := range conns {
		state := http.StateActive
		if i == 5 || i == 7 {
			state = http.StateIdle
		}
		if i != 3 {
			g.track(c, state)
		}
	}
	for _, want := range []int{3, 5, 7} {
		c, _ := net.Pipe()
		if got := g.track(c, http.StateNew); got != conns[want] {
			t.Fatalf("closed another connection than number %d", want)
		}
		g.track(c, http.StateActive)
	}
	c, _ := net.Pipe()
	if got := g.track(c, http.StateNew); got != c {
		t.Error("the newcomer was let in although all others are at work")
	}
	if len(g.conns) > connectionsMax {
		t.Errorf("%d connections are tracked", len(g.conns))
	}
}
