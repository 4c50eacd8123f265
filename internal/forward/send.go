package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// answerMax is how much of an answer's body is read, in bytes: so much that its connection
// can be used again, nothing of it is kept.
const answerMax = 64 << 10

// newTransport is the way to one target. It asks no proxy: only the configured host is
// contacted. It is used without a client, so that redirects are answers like any other.
func newTransport() *http.Transport {
	return &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 5 * time.Second,
		MaxConnsPerHost: sendersMax, MaxIdleConnsPerHost: sendersMax, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: 16 << 10, DisableCompression: true, ForceAttemptHTTP2: true}
}

// send makes one attempt.
func send(ctx context.Context, rt http.RoundTripper, to Target, out store.Outgoing, now time.Time) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(out.Body))
	if err != nil {
		return answer{err: reason(err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "moverisd")
	sign(req.Header, out.ID, now, out.Body, to.Keys)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return answer{err: reason(err)}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), now)}
	if a.ok() {
		// What the body does cannot take it back.
		_, _ = io.CopyN(io.Discard, resp.Body, answerMax)
		return a
	}
	a.err = fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	_, _ = io.CopyN(io.Discard, resp.Body, answerMax)
	return a
}

// errorMax bounds the text of an error that is kept, in bytes.
const errorMax = 200

// reason is an error as it is kept and shown: without the URL, which may hold a token.
func reason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer in time"
	}
	if len(text) > errorMax {
		text = text[:errorMax]
	}
	return string(bytes.ToValidUTF8([]byte(text), nil))
}
