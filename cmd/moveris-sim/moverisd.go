package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// daemon asks moverisd over its socket, as an application would.
type daemon struct {
	account string // "" where moverisd has one only
	client  *http.Client
}

// announcement is the body of PUT /v1/sessions/{id}.
type announcement struct {
	Account string `json:"account,omitempty"`
	JobID   string `json:"job_id,omitempty"`
	Again   bool   `json:"again,omitempty"`
}

// daemonSession is what the comparison needs of moverisd's answer.
type daemonSession struct {
	State         string  `json:"state"`
	Outcome       *string `json:"outcome"`
	Verdict       *string `json:"verdict"`
	FirstBy       *string `json:"first_by"`
	Conflict      bool    `json:"conflict"`
	AwaitingAgain bool    `json:"awaiting_again"`
}

func newDaemon(socket, account string) *daemon {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &daemon{account: account, client: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: dial, MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32},
	}}
}

// The host name is a formality over a socket.
func (d *daemon) url(id string) string {
	u := "http://moverisd/v1/sessions/" + url.PathEscape(id)
	if d.account != "" {
		u += "?account=" + url.QueryEscape(d.account)
	}
	return u
}

// announce expects a session. A daemon that restarts meanwhile is asked again,
// as an application should do it; only a refusal or the context ends that.
func (d *daemon) announce(ctx context.Context, id string, a announcement) error {
	a.Account = d.account
	pause := 100 * time.Millisecond
	for {
		status, body, err := exchange(ctx, d.client, http.MethodPut, d.url(id), a)
		switch {
		case err == nil && status < 300:
			return nil
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return fmt.Errorf("announcement answered %d: %.200s", status, body)
		}
		if !sleep(ctx, pause) {
			if err != nil {
				return fmt.Errorf("announce: %w", err)
			}
			return fmt.Errorf("announcement answered %d until the end", status)
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// session returns nil without an error where moverisd does not know the id.
func (d *daemon) session(ctx context.Context, id string) (*daemonSession, error) {
	status, body, err := exchange(ctx, d.client, http.MethodGet, d.url(id), nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask moverisd: %w", err)
	case status == http.StatusNotFound:
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("ask moverisd: answered %d: %.200s", status, body)
	}
	var s daemonSession
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("ask moverisd: %w", err)
	}
	return &s, nil
}

// sleep says false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
