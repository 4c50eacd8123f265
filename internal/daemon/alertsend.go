package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/status"
)

// alertOutputMax is how much of what a command says is read, in bytes.
const alertOutputMax = 4 << 10

func sender(c config.Alert) func(context.Context, []byte, status.Report) error {
	if c.URL != "" {
		return func(ctx context.Context, body []byte, _ status.Report) error { return post(ctx, c.URL, body) }
	}
	return func(ctx context.Context, body []byte, r status.Report) error {
		return runAlert(ctx, c.Command, body, r)
	}
}

// runAlert runs a command with the status on its standard input. Its environment is made from
// nothing, so that no secret of ours is in it; with the context it ends, and all it started
// with it.
func runAlert(ctx context.Context, command []string, body []byte, r status.Report) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var codes []string
	for _, reason := range r.Reasons {
		codes = append(codes, reason.Code)
	}
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
		"MOVERISD_LEVEL=" + string(r.Level), "MOVERISD_REASONS=" + strings.Join(codes, " ")}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(body)
	said := &firstBytes{left: alertOutputMax}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("run %s: not done within %s", command[0], alertTime)
	case errors.Is(err, exec.ErrWaitDelay), errors.Is(err, syscall.EPIPE):
		return nil // it left a child behind, or did not read the status: that is its own business
	case err != nil && said.Len() > 0:
		return fmt.Errorf("run %s: %w: %s", command[0], err, strings.TrimSpace(said.String()))
	case err != nil:
		return fmt.Errorf("run %s: %w", command[0], err)
	}
	return nil
}

// firstBytes keeps the beginning of what is written to it.
type firstBytes struct {
	bytes.Buffer
	left int
}

func (l *firstBytes) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.Buffer.Write(p[:n])
	return len(p), nil
}

// post sends the status to a URL. It follows no redirect and keeps no connection. Errors do not
// hold the URL, which may have a secret in its path.
func post(ctx context.Context, target string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "moverisd-alert")
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxResponseHeaderBytes: 64 << 10}
	defer t.CloseIdleConnections()
	client := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return fmt.Errorf("post to %s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, alertOutputMax))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("post to %s: it answers %s", req.URL.Host, resp.Status)
	}
	return nil
}
