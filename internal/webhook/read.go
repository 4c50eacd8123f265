package webhook

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// bodyTimeout is how long a body may take to arrive.
const bodyTimeout = 10 * time.Second

// checkHeaders refuses what cannot be a delivery before its body is read.
func checkHeaders(r *http.Request) *refusal {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if (err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter)) || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "media_type", "the media type must be application/json"}
	}
	for _, coding := range r.Header.Values("Content-Encoding") {
		if c := strings.TrimSpace(coding); c != "" && !strings.EqualFold(c, "identity") {
			return &refusal{http.StatusUnsupportedMediaType, "encoding", "the body must not be encoded"}
		}
	}
	return nil
}

// read reads the whole body, at most max bytes. The memory it takes is reserved before;
// release gives it back.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, max int64) (body []byte, release func(), no *refusal) {
	if r.ContentLength > max {
		return nil, nil, refuseTooLarge()
	}
	reserve := r.ContentLength
	if reserve < 0 {
		reserve = max // chunked: it may become as large as allowed
	}
	if h.inFlight.Add(reserve) > inFlightMax {
		h.inFlight.Add(-reserve)
		return nil, nil, &refusal{http.StatusServiceUnavailable, "overloaded", "too many deliveries at once; send it again"}
	}
	release = func() { h.inFlight.Add(-reserve) }
	// The deadline fails only where the connection is gone, and then reading fails too.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := readBody(r, max)
	if err == nil && int64(len(body)) > max {
		release()
		return nil, nil, refuseTooLarge()
	}
	if err != nil {
		release()
		return nil, nil, incomplete(err)
	}
	return body, release, nil
}

// readBody reads exactly the declared length, or a chunked body up to one byte more than
// max.
func readBody(r *http.Request, max int64) ([]byte, error) {
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(r.Body, max+1))
}

// incomplete is the answer to a body that did not arrive whole. Usually nobody is left to
// read it.
func incomplete(err error) *refusal {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &refusal{http.StatusRequestTimeout, "timeout", "the body did not arrive in time"}
	}
	return &refusal{http.StatusBadRequest, "incomplete", "the body did not arrive whole"}
}
