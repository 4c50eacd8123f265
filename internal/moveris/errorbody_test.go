package moveris

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The six shapes of contract section 4, and what comes near them.
func TestErrorShapes(t *testing.T) {
	for _, tc := range []struct {
		name, body, code string
		wait             time.Duration
	}{
		{"1", `{"data":null,"success":false,"message":"no","errors":[{"insufficient_credits":["Buy some"]}]}`, "insufficient_credits", 0},
		{"1 of two", `{"data":null,"success":false,"message":"no","errors":[{"a":["x"]},{"b":["y"]}]}`, "a", 0},
		{"2", `{"error":"http_error","message":"{'error': 'session_expired', 'message': 'gone'}"}`, "session_expired", 0},
		{"2 upstream", `{"error":"upstream_error","message":"{'detail': 'x', 'code': 'session_not_found'}"}`, "session_not_found", 0},
		{"2 with JSON inside", `{"error":"proxy_error","message":"{\"error\": \"invalid_key\"}"}`, "invalid_key", 0},
		{"2 without a code", `{"error":"internal_error","message":"boom"}`, "internal_error", 0},
		{"2 with a wait", `{"error":"http_error","message":"{'error': 'rate_limited', 'retry_after': 30}"}`, "rate_limited", 30 * time.Second},
		{"3", `{"error":"invalid_key","message":"Invalid API key"}`, "invalid_key", 0},
		{"4", `{"error":"rate_limit_exceeded","message":"slow","retry_after":12}`, "rate_limit_exceeded", 12 * time.Second},
		{"4 fractional", `{"error":"rate_limited","retry_after":0.5}`, "rate_limited", 500 * time.Millisecond},
		{"4 as text", `{"error":"rate_limited","retry_after":"7"}`, "rate_limited", 7 * time.Second},
		{"4 huge", `{"error":"rate_limited","retry_after":99999999999999999999999}`, "rate_limited", retryAfterHuge},
		{"4 negative", `{"error":"rate_limited","retry_after":-5}`, "rate_limited", 0},
		{"4 null", `{"error":"rate_limited","retry_after":null}`, "rate_limited", 0},
		{"5", `{"detail":"Not Found"}`, "", 0},
		{"5 as code", `{"detail":"session_not_found"}`, "session_not_found", 0},
		{"5 with a dict", `{"detail":{"error":"session_expired"}}`, "session_expired", 0},
		{"6 HTML", `<html><body>502</body></html>`, "", 0},
		{"6 nothing", ``, "", 0},
		{"text", `internal error`, "", 0},
		{"list", `[1]`, "", 0},
		{"errors of another shape", `{"errors":{"a":1}}`, "", 0},
		{"cut off", `{"error":"http_error","message":"{'error': 'session_expired', 'x': '` + strings.Repeat("y", 600), "session_expired", 0},
		{"not a code", `{"error":"a sentence, no code"}`, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := errorCode([]byte(tc.body)); got != tc.code {
				t.Errorf("code = %q, want %q", got, tc.code)
			}
			if got := bodyRetryAfter([]byte(tc.body)); got != tc.wait {
				t.Errorf("wait = %v, want %v", got, tc.wait)
			}
		})
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		header string
		want   time.Duration
	}{
		{"", 0}, {"0", 0}, {"7", 7 * time.Second}, {" 7 ", 7 * time.Second}, {"-7", 0}, {"+7", 0}, {"7.5", 0}, {"soon", 0},
		{"3600", time.Hour}, {"9223372036854775807", retryAfterHuge}, {"9223372037", retryAfterHuge},
		{strings.Repeat("9", 400), retryAfterHuge}, {"NaN", 0}, {"1e3", 0},
		{"Mon, 23 Nov 2026 10:01:00 GMT", time.Minute},
		{"Monday, 23-Nov-26 10:01:00 GMT", time.Minute},
		{"Mon Nov 23 10:01:00 2026", time.Minute},
		{"Mon, 23 Nov 2026 09:00:00 GMT", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", retryAfterHuge},
	} {
		if got := retryAfter(http.Header{"Retry-After": {tc.header}}, nil, now); got != tc.want {
			t.Errorf("%q: %v, want %v", tc.header, got, tc.want)
		}
	}
	// A date is measured by the server's clock where it shows it.
	skewed := http.Header{"Retry-After": {"Mon, 23 Nov 2026 08:01:00 GMT"}, "Date": {"Mon, 23 Nov 2026 08:00:00 GMT"}}
	if got := retryAfter(skewed, nil, now); got != time.Minute {
		t.Errorf("with a skewed clock: %v", got)
	}
	// The header is preferred to the body, and a useless header leaves the body its say.
	body := []byte(`{"error":"rate_limited","retry_after":9}`)
	if got := retryAfter(http.Header{"Retry-After": {"3"}}, body, now); got != 3*time.Second {
		t.Errorf("header and body: %v", got)
	}
	if got := retryAfter(http.Header{"Retry-After": {"soon"}}, body, now); got != 9*time.Second {
		t.Errorf("garbage and body: %v", got)
	}
}
