package moveris

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfterHuge stands for every Retry-After that is too long to be computed with. It
// is far above any cap, and adding it to a time does not overflow.
const retryAfterHuge = 365 * 24 * time.Hour

// retryAfter returns how long an answer asks to be left alone: its Retry-After header,
// which is preferred, or the retry_after of its body (contract section 4). Zero means
// that it asks for nothing, or for nothing sensible.
func retryAfter(header http.Header, body []byte, now time.Time) time.Duration {
	if d, ok := parseRetryAfter(header.Get("Retry-After"), serverNow(header, now)); ok {
		return d
	}
	return bodyRetryAfter(body)
}

// serverNow is the time that dates in the header are to be compared with: the server's
// own if it says, so that a clock that is off does no harm.
func serverNow(header http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		return at
	}
	return now
}

// parseRetryAfter reads delta seconds or any of the three HTTP dates.
func parseRetryAfter(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, false
	}
	if strings.Trim(s, "0123456789") == "" {
		return seconds(s), true
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), retryAfterHuge), true
}

// seconds reads a decimal number of seconds, clamped before it is multiplied.
func seconds(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil && n == 0, n != n, n < 0:
		return 0
	case n >= retryAfterHuge.Seconds():
		return retryAfterHuge
	}
	return time.Duration(n * float64(time.Second))
}
