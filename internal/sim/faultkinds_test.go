package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// seen is what a client got from one request.
type seen struct {
	status int
	header http.Header
	body   string
	err    error // of the request or of reading the body
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, url string) seen {
	t.Helper()
	client := &http.Client{
		Timeout:       300 * time.Millisecond,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(url)
	if err != nil {
		return seen{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2<<20))
	return seen{resp.StatusCode, resp.Header, string(body), err}
}

// faulty serves one finished live session with the faults on, over a socket.
func faulty(t *testing.T, list string) (m *Moveris, resultURL string, s Session) {
	t.Helper()
	faults, err := ParseFaults(list)
	if err != nil {
		t.Fatal(err)
	}
	m = New(Config{Faults: faults, ResultBySession: true})
	s = mustCreate(t, m)
	s = mustFinish(t, m, s.ID, Live)
	srv := httptest.NewServer(m.Handler())
	t.Cleanup(srv.Close)
	return m, srv.URL + "/api/v1/result/" + s.ID, s
}

// faultCase says what one fault must look like from outside.
type faultCase struct {
	fault  string
	status int
	body   string // pattern
	header string // "Name: pattern", or empty
}

func faultCases() []faultCase {
	return []faultCase{
		{"error-envelope", 422, `^\{"data":null,"success":false,"message":"Validation failed","errors":\[\{"validation_error":\["Validation failed"\]\}\]\}$`, ""},
		{"error-envelope=400", 400, `"success":false`, ""},
		{"error-wrapped", 500, `^\{"error":"http_error","message":"\{'error': 'session_expired', 'message': \\"The session can't be continued\\", 'retryable': False, 'session_id': None\}"\}$`, ""},
		{"error-code", 404, `^\{"error":"session_not_found","message":"Session not found"\}$`, ""},
		{"error-code=402", 402, `session_not_found`, ""},
		{"error-retry-after", 429, `^\{"error":"rate_limit_exceeded","message":"Too many requests","retry_after":30\}$`, "Retry-After: ^30$"},
		{"error-detail", 404, `^\{"detail":"Not Found"\}$`, ""},
		{"error-html", 502, `<h1>502 Bad Gateway</h1>`, "Content-Type: ^text/html$"},
		{"error-empty", 503, `^$`, "Content-Length: ^0$"},
		{"status-401", 401, `invalid_key`, ""},
		{"status-402", 402, `insufficient_credits`, ""},
		{"status-403", 403, `Forbidden`, ""},
		{"status-404", 404, `session_not_found`, ""},
		{"status-408", 408, `Request Timeout`, ""},
		{"status-500", 500, `internal_error`, ""},
		{"status-502", 502, `<html>`, ""},
		{"status-503", 503, `<html>`, ""},
		{"retry-after=0", 429, `"rate_limited"`, "Retry-After: ^0$"},
		{"retry-after=3600", 429, `"rate_limited"`, "Retry-After: ^3600$"},
		{"retry-after=year9999", 429, ``, "Retry-After: ^Fri, 31 Dec 9999 23:59:59 GMT$"},
		{"retry-after=negative", 429, ``, "Retry-After: ^-5$"},
		{"retry-after=garbage", 429, ``, "Retry-After: ^in a while$"},
		{"retry-after=imf", 429, ``, `Retry-After: ^\w{3}, \d\d \w{3} \d{4} .* GMT$`},
		{"retry-after=rfc850", 429, ``, `Retry-After: ^\w+day, \d\d-\w{3}-\d\d .* GMT$`},
		{"retry-after=asctime", 429, ``, `Retry-After: ^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$`},
		{"content-type", 200, `"verdict":"live"`, "Content-Type: ^text/html$"},
		{"redirect=http://203.0.113.9:99/x", 302, `^$`, "Location: ^http://203.0.113.9:99/x$"},
		{"key-revoked", 401, `invalid_key`, ""},
		{"success-false", 200, `^\{"data":\{.*"verdict":"live".*\},"success":false,"message":"Request failed"\}$`, ""},
		{"data-null", 200, `^\{"data":null,"success":true,"message":"OK"\}$`, ""},
		{"data-error", 200, `"status":"complete".*"verdict":null.*"error":"internal_error"\},"success":true`, ""},
		{"null-verdict", 200, `"status":"complete".*"verdict":null,"confidence":null,"real_score":null`, ""},
		{"unknown-status", 200, `"status":"finalizing"`, ""},
		{"wrong-types", 200, `"verdict":1`, ""},
		{"bare", 200, `^\{"job_id":.*"error":null\}$`, ""},
		{"success-false,status-500", 500, `internal_error`, ""},
		{"null-verdict,bare,content-type", 200, `^\{"job_id":.*"verdict":null`, "Content-Type: ^text/html$"},
	}
}

func TestAnsweringFaults(t *testing.T) {
	for _, c := range faultCases() {
		t.Run(c.fault, func(t *testing.T) {
			_, url, _ := faulty(t, c.fault)
			got := ask(t, url)
			if got.err != nil || got.status != c.status || !regexp.MustCompile(c.body).MatchString(got.body) {
				t.Errorf("%d %v\n%s", got.status, got.err, got.body)
			}
			if name, pattern, ok := strings.Cut(c.header, ": "); ok && !regexp.MustCompile(pattern).MatchString(got.header.Get(name)) {
				t.Errorf("%s: %q", name, got.header.Get(name))
			}
		})
	}
}

// Faults with a test of their own below; together with faultCases this must be
// the whole catalogue.
func TestEveryFaultHasATest(t *testing.T) {
	tested := map[string]bool{"webhooks-off": true} // TestDeliver
	for _, name := range []string{"api-off", "reset", "hang", "huge", "flap", "wrong-session", "clock-skew", "truncated-json", "half-body", "drip"} {
		tested[name] = true
	}
	for _, c := range faultCases() {
		f, _ := ParseFaults(c.fault)
		tested[f[0].Name] = true
	}
	for _, k := range faultKinds() {
		if !tested[k.name] {
			t.Errorf("%s is not tested", k.name)
		}
	}
}

func TestRetryAfterDatesAreReadable(t *testing.T) {
	for _, form := range []string{"imf", "rfc850", "asctime"} {
		_, url, _ := faulty(t, "retry-after="+form)
		at, err := http.ParseTime(ask(t, url).header.Get("Retry-After"))
		if err != nil || time.Until(at) < 20*time.Second || time.Until(at) > 31*time.Second {
			t.Errorf("%s: %s %v", form, at, err)
		}
	}
}

func TestSilentFaults(t *testing.T) {
	m, url, _ := faulty(t, "hang")
	var netErr net.Error
	if got := ask(t, url); !errors.As(got.err, &netErr) || !netErr.Timeout() {
		t.Errorf("hang: %+v", got)
	}
	setFaults(t, m, "api-off")
	if got := ask(t, url); !errors.Is(got.err, io.EOF) {
		t.Errorf("api-off: %+v", got)
	}
	setFaults(t, m, "reset")
	if got := ask(t, url); !errors.Is(got.err, syscall.ECONNRESET) {
		t.Errorf("reset: %+v", got)
	}
	setFaults(t, m, "")
	if got := ask(t, url); got.status != 200 {
		t.Errorf("afterwards: %+v", got)
	}
	for i, r := range m.Requests() {
		if want := []int{0, 0, 0, 200}[i]; r.Status != want {
			t.Errorf("request %d has status %d, want %d", i, r.Status, want)
		}
	}
}

func TestHalfBody(t *testing.T) {
	_, url, _ := faulty(t, "half-body")
	got := ask(t, url)
	if got.status != 200 || !errors.Is(got.err, io.ErrUnexpectedEOF) || got.body == "" {
		t.Errorf("%+v", got)
	}
}

func TestTruncated(t *testing.T) {
	_, url, _ := faulty(t, "truncated-json")
	got := ask(t, url)
	if got.status != 200 || got.err != nil || json.Valid([]byte(got.body)) || !strings.HasPrefix(got.body, `{"data":{`) {
		t.Errorf("%+v", got)
	}
}

func TestDrip(t *testing.T) {
	m, url, _ := faulty(t, "drip")
	got := ask(t, url)
	if got.status != 200 || got.err == nil || len(got.body) < 1 || len(got.body) > 4 {
		t.Errorf("in 300 ms: %q %v", got.body, got.err)
	}
	setFaults(t, m, "drip=0s") // a timer under load takes longer than it says
	if got := ask(t, url); got.err != nil || !json.Valid([]byte(got.body)) {
		t.Errorf("fast: %+v", got)
	}
}

func TestHuge(t *testing.T) {
	_, url, _ := faulty(t, "huge")
	if got := ask(t, url); got.status != 200 || len(got.body) != 2<<20 {
		t.Errorf("%d, %d bytes, %v", got.status, len(got.body), got.err)
	}
}

func TestFlap(t *testing.T) {
	_, url, _ := faulty(t, "flap")
	for i, want := range []int{200, 500, 200, 500} {
		if got := ask(t, url); got.status != want {
			t.Errorf("request %d: %d", i, got.status)
		}
	}
}

func TestWrongSession(t *testing.T) {
	_, url, s := faulty(t, "wrong-session")
	got := ask(t, url)
	if got.status != 200 || strings.Contains(got.body, s.ID) || strings.Contains(got.body, s.JobID) || !strings.Contains(got.body, `"verdict":"fake"`) {
		t.Errorf("%+v", got)
	}
}

func TestKeyRevokedLeavesHealth(t *testing.T) {
	m := New(Config{Faults: []Fault{{Name: "key-revoked"}}})
	if w := get(m, "/health", ""); w.Code != 200 {
		t.Errorf("health: %d", w.Code)
	}
}

func TestClockSkew(t *testing.T) {
	m, url, s := faulty(t, "clock-skew=-2h")
	got := ask(t, url)
	at, err := http.ParseTime(got.header.Get("Date"))
	if off := time.Since(at); err != nil || off < 119*time.Minute || off > 121*time.Minute {
		t.Errorf("Date is off by %s, %v", off, err)
	}
	for _, at := range []time.Time{s.CreatedAt, s.FinishedAt} {
		if want := at.Add(-2 * time.Hour).Format(stampLayout); !strings.Contains(got.body, want) {
			t.Errorf("%s is not in %s", want, got.body)
		}
	}
	var body string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ = bufio.NewReader(r.Body).ReadString(0)
	}))
	defer receiver.Close()
	if err := m.Register(receiver.URL, "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Deliver(t.Context(), s.ID, 0, Genuine); err != nil {
		t.Fatal(err)
	}
	if want := `"created_at":"` + s.FinishedAt.Add(-2*time.Hour).Format(stampLayout); !strings.Contains(body, want) {
		t.Errorf("%s is not in %s", want, body)
	}
}

func setFaults(t *testing.T, m *Moveris, list string) {
	t.Helper()
	faults, err := ParseFaults(list)
	if err != nil {
		t.Fatal(err)
	}
	m.SetFaults(faults)
}
