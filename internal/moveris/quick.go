package moveris

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

const (
	quickRetries = 2
	quickWaitMax = 2 * time.Second        // a longer wait is the schedule's business
	quickWait    = 250 * time.Millisecond // doubled once, with jitter
)

// again is the retry policy: a transport error or a passing server error, if the wait
// for it is short and time is left. A 429 is never among them.
func (k *call) again(ctx context.Context, resp *http.Response, err error) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case k.left-time.Since(k.begun) < quickWaitMax:
		return false, nil
	case err != nil:
		return !isWithdrawn(err) && !isCertificate(err), nil
	}
	return passing(resp.StatusCode) && retryAfter(resp.Header, k.body, time.Now()) <= quickWaitMax, nil
}

func passing(status int) bool {
	return slices.Contains([]int{
		http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}, status)
}

// isCertificate reports a certificate that was refused: it will be again.
func isCertificate(err error) bool {
	var refused *tls.CertificateVerificationError
	return errors.As(err, &refused)
}

// wait is the pause before the n-th quick retry, counted from 0. again has made sure
// that what the server asks for is short.
func (k *call) wait(_, _ time.Duration, n int, resp *http.Response) time.Duration {
	d := quickWait << min(n, quickRetries)
	if resp != nil {
		d = max(d, min(retryAfter(resp.Header, k.body, time.Now()), quickWaitMax))
	}
	return d + time.Duration(rand.Int64N(int64(quickWait)))
}

// last keeps the final answer, whose body was read already, and never returns it
// together with an error.
func last(resp *http.Response, err error, _ int) (*http.Response, error) {
	if resp != nil {
		return resp, nil
	}
	return nil, err
}

// quiet is the logger of go-retryablehttp: a request that failed and is tried again is
// worth a debug line, and what it says beside that has URLs in it.
type quiet struct {
	log     *slog.Logger
	account string
}

func (q quiet) Error(_ string, kv ...any) {
	for i := 0; i+1 < len(kv); i += 2 {
		if kv[i] == "error" {
			q.log.Debug("request failed", "account", q.account, "err", kv[i+1])
		}
	}
}
func (q quiet) Warn(string, ...any)  {}
func (q quiet) Info(string, ...any)  {}
func (q quiet) Debug(string, ...any) {}
