package moveris

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// bodyMax bounds an answer's body. No result comes near it; more is no result.
const bodyMax = 1 << 20

var (
	// errWithdrawn marks calls that ended on our side: nothing is known about the route.
	errWithdrawn      = errors.New("given up before an answer")
	errAttemptTimeout = errors.New("no answer within the time for one request")
	errCallTimeout    = errors.New("no answer within the time for a call")
)

func isWithdrawn(err error) bool { return errors.Is(err, errWithdrawn) }

// exchange is what came of asking one route: an answer, or err.
type exchange struct {
	status   int
	header   http.Header
	body     []byte // at most bodyMax
	tooBig   bool   // there was more of it; body is empty
	requests int
	sentAt   time.Time // of the last request, monotonic
	err      error
}

// failure is what the breaker counts: transport errors, 408 and 5xx. Every other
// answer shows that the server works.
func (x *exchange) failure() error {
	if x.err == nil && (x.status == http.StatusRequestTimeout || x.status >= 500) {
		return &AnswerError{Status: x.status, Requests: x.requests}
	}
	return x.err
}

// call is one GET with its quick retries. It is the policy, the backoff, the error
// handler and the transport of a go-retryablehttp client that lives as long as the call,
// so that nothing of it is shared: a failed call of that client closes the idle
// connections of its transport, which call does not have.
//
// All of its methods run in the goroutine of do.
type call struct {
	client  *Client
	ctx     context.Context // the caller's, which waits for tokens
	retries int
	gate    func() error // asked once more when the token has come

	left   time.Duration // of the call's time, which stands still while it waits for a token
	begun  time.Time
	timer  *time.Timer
	expire context.CancelCauseFunc

	requests int
	sentAt   time.Time
	body     []byte
	tooBig   bool
}

// fetch asks one URL. withKey is false only for the route that needs none.
func (c *Client) fetch(ctx context.Context, url string, retries int, withKey bool, gate func() error) *exchange {
	k := &call{client: c, ctx: ctx, retries: retries, gate: gate, left: c.callTimeout}
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {c.agent}}
	if withKey {
		header.Set("X-API-Key", c.key)
	}
	resp, err := k.do(url, header)
	x := &exchange{requests: k.requests, sentAt: k.sentAt, err: err}
	if err == nil {
		x.status, x.header, x.body, x.tooBig = resp.StatusCode, resp.Header, k.body, k.tooBig
	}
	return x
}

func (k *call) do(url string, header http.Header) (*http.Response, error) {
	ctx, expire := context.WithCancelCause(k.ctx)
	defer expire(nil)
	defer k.pause()
	k.expire = expire
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	wrapped, err := retryablehttp.FromRequest(req)
	if err != nil {
		return nil, err
	}
	client := &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport: k,
			// A redirect would take the key to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:       quiet{k.client.log, k.client.account},
		RetryMax:     k.retries,
		CheckRetry:   k.again,
		Backoff:      k.wait,
		ErrorHandler: last,
	}
	resp, err := client.Do(wrapped)
	switch {
	case err == nil || isWithdrawn(err):
		return resp, err
	case k.ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", errWithdrawn, context.Cause(k.ctx))
	case errors.Is(context.Cause(ctx), errNoToken):
		// The request that was not paid for was cut off by us.
		return nil, fmt.Errorf("%w: %w", errWithdrawn, errNoToken)
	case ctx.Err() != nil:
		return nil, errCallTimeout
	}
	return nil, err
}

// RoundTrip sends one request: it waits for a token, asks the gate, and reads the whole
// answer within the time for one request, so that a body that stops half-way is retried
// like any other transport error.
func (k *call) RoundTrip(req *http.Request) (*http.Response, error) {
	k.pause()
	err := k.admit()
	k.resume()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWithdrawn, err)
	}
	ctx, cancel := context.WithTimeoutCause(req.Context(), k.client.attemptTimeout, errAttemptTimeout)
	defer cancel()
	k.requests++
	k.sentAt = time.Now()
	resp, err := k.client.transport.RoundTrip(req.Clone(k.metered(ctx)))
	if err == nil {
		err = k.read(resp)
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), errAttemptTimeout) {
			err = errAttemptTimeout
		}
		return nil, err
	}
	// Not followed anyway; an unreadable one would become an error of its own.
	resp.Header.Del("Location")
	return resp, nil
}

func (k *call) admit() error {
	if err := k.client.bucket.take(k.ctx); err != nil {
		return err
	}
	if k.gate != nil {
		return k.gate()
	}
	return nil
}

// metered makes a request pay for being sent again: net/http repeats a GET by itself
// when a kept connection turns out to be dead, and Moveris may have seen the first one.
func (k *call) metered(ctx context.Context) context.Context {
	connections := 0
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			if connections++; connections == 1 {
				return
			}
			k.pause()
			defer k.resume()
			if k.client.bucket.take(k.ctx) != nil {
				k.expire(errNoToken)
				// An ended context alone does not keep net/http from writing.
				got.Conn.Close()
				return
			}
			k.requests++
			k.sentAt = time.Now()
		},
	})
}

func (k *call) read(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax+1))
	if err != nil {
		return err
	}
	k.body, k.tooBig = body, len(body) > bodyMax
	if k.tooBig {
		k.body = nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(k.body))
	return nil
}

func (k *call) resume() {
	k.begun = time.Now()
	expire := k.expire
	k.timer = time.AfterFunc(max(k.left, 0), func() { expire(errCallTimeout) })
}

func (k *call) pause() {
	if k.timer != nil {
		k.timer.Stop()
		k.left -= time.Since(k.begun)
		k.timer = nil
	}
}
