package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

const answerMax = 1 << 20

// moveris drives a running serve through its control API.
type moveris struct {
	base   string
	client *http.Client
}

func newMoveris(base string) *moveris {
	return &moveris{base: base, client: &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64,
			// serve --tls-expired makes its own certificate; this is loopback,
			// and what is sent to it is play.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
	}}
}

func (m *moveris) register(ctx context.Context, url, secret string) error {
	return m.call(ctx, http.MethodPut, "/_sim/webhook", sim.WebhookRequest{URL: url, Secret: secret}, nil)
}

func (m *moveris) create(ctx context.Context, id string) (s sim.Session, err error) {
	err = m.call(ctx, http.MethodPost, "/_sim/sessions", sim.NewSession{ID: id}, &s)
	return s, err
}

func (m *moveris) finish(ctx context.Context, id string, o sim.Outcome) error {
	return m.call(ctx, http.MethodPost, "/_sim/sessions/"+url.PathEscape(id)+"/finish", sim.FinishRequest{Outcome: o}, nil)
}

func (m *moveris) deliver(ctx context.Context, id string, n int, how sim.Forgery) (r sim.Receipt, err error) {
	err = m.call(ctx, http.MethodPost, "/_sim/sessions/"+url.PathEscape(id)+"/deliver",
		sim.DeliverRequest{Verification: n, Forge: how}, &r)
	return r, err
}

func (m *moveris) stats(ctx context.Context) (s sim.Stats, err error) {
	err = m.call(ctx, http.MethodGet, "/_sim/stats", nil, &s)
	return s, err
}

func (m *moveris) call(ctx context.Context, method, path string, in, out any) error {
	status, body, err := exchange(ctx, m.client, method, m.base+path, in)
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	if status >= 300 {
		return fmt.Errorf("ask the simulator: %s %s: %d: %.300s", method, path, status, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("ask the simulator: %s %s: %w", method, path, err)
	}
	return nil
}

// exchange sends one JSON request and reads the answer, at most a megabyte.
func exchange(ctx context.Context, c *http.Client, method, url string, in any) (int, []byte, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	return resp.StatusCode, raw, err
}
