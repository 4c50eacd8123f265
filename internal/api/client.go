package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Limits of the client.
const (
	dialTimeout = 5 * time.Second
	quickCall   = 15 * time.Second // calls that the store alone answers
	// slowCall is for calls that ask Moveris or wait; the server gives up before it does.
	slowCall  = callTimeout + waitMax + 5*time.Second
	answerMax = 64 << 20 // in bytes
	// maintenanceMax is for calls that walk the whole store.
	maintenanceMax = 6 * time.Hour
)

// ErrNotRunning says that certainly nobody serves the socket: it is not there, or nobody
// listens at it. Whatever else goes wrong says nothing about the daemon.
var ErrNotRunning = errors.New("the daemon is not running")

// Client calls the local API. An answer of 300 and more is a *Problem; a socket that may
// not be used is fs.ErrPermission, one that nobody serves ErrNotRunning, and an answer that
// does not come in time context.DeadlineExceeded.
type Client struct {
	http http.Client
}

// NewClient returns a client of the daemon behind a unix socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(ctx, "unix", socket)
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%w: nobody listens at %s", ErrNotRunning, socket)
		}
		return conn, err
	}
	return newClient(&http.Transport{DialContext: dial, MaxIdleConnsPerHost: submitsAtOnce, IdleConnTimeout: time.Minute, DisableCompression: true})
}

// NewHandlerClient returns a client of a handler in this process: the read-only API over
// the file of a stopped daemon.
func NewHandlerClient(h http.Handler) *Client { return newClient(handlerTransport{h}) }

func newClient(t http.RoundTripper) *Client {
	// The API redirects nowhere; whoever does is not it.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: http.Client{Transport: t, CheckRedirect: stay}}
}

// request is one call. The path is escaped already.
type request struct {
	method, path string
	query        url.Values
	body         io.Reader
	media        string
	limit        time.Duration
}

// call sends a request and reads its JSON answer into out; it returns the status.
func (c *Client) call(ctx context.Context, r request, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerMax)).Decode(out); err != nil {
		return 0, fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err)
	}
	return resp.StatusCode, nil
}

// send sends a request; the caller closes the body of the answer, which is one of success.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	// The host is a formality over a socket.
	target := "http://moverisd" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, err
	}
	if r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(r, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// unreachable strips the URL off an error of the transport: its host means nothing.
func unreachable(r request, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, ErrNotRunning) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%s %s: %w", r.method, r.path, err)
}

// refusal reads why a call was refused.
func refusal(resp *http.Response) error {
	p := &Problem{}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	if err == nil && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		err = json.Unmarshal(raw, p)
	}
	if p.Title == "" {
		p.Title = fmt.Sprintf("the call was answered with %s", resp.Status)
	}
	p.Status = resp.StatusCode
	if err != nil {
		return errors.Join(p, err)
	}
	return p
}

// sessionPath is the path of a session. An id that the server would refuse is refused here,
// because "." and ".." would name another path.
func sessionPath(id, rest string) (string, error) {
	if !verdict.ValidID(id) {
		return "", problem(http.StatusBadRequest,
			"a session id has 1 to %d bytes of UTF-8 without control characters and is neither . nor ..", verdict.SessionIDMax)
	}
	return "/v1/sessions/" + url.PathEscape(id) + rest, nil
}

// queryOf are the parameters that are not empty, given as name and value in turn.
func queryOf(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// handlerTransport answers requests by a handler, whole answers at a time.
type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	w := &recorder{header: http.Header{}}
	t.handler.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK) // unless the handler has
	return &http.Response{Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Request: r,
		ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body)}, nil
}

// recorder keeps what a handler answers.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
