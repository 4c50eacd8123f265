package api

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/moverisd/moverisd/internal/status"
)

const mediaJSON = "application/json"

// Status asks for the health report.
func (c *Client) Status(ctx context.Context) (status.Report, error) {
	var out status.Report
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/status", limit: quickCall}, &out)
	return out, err
}

// Session asks for a session; raw adds the bodies of its observations. The account may be
// empty where one account only knows the id.
func (c *Client) Session(ctx context.Context, account, id string, raw bool) (Session, error) {
	return c.session(ctx, http.MethodGet, account, id, raw)
}

// Withdraw says that no result will come for a session.
func (c *Client) Withdraw(ctx context.Context, account, id string) (Session, error) {
	return c.session(ctx, http.MethodDelete, account, id, false)
}

func (c *Client) session(ctx context.Context, method, account, id string, raw bool) (Session, error) {
	var out Session
	path, err := sessionPath(id, "")
	if err == nil {
		_, err = c.call(ctx, request{method: method, path: path, query: queryOf("account", account, "raw", yes(raw)), limit: quickCall}, &out)
	}
	return out, err
}

// Submit hands over a synchronous result as it was received; created is false where
// moverisd had it already.
func (c *Client) Submit(ctx context.Context, account, id string, body []byte) (s Session, created bool, err error) {
	path, err := sessionPath(id, "/observations")
	if err != nil {
		return s, false, err
	}
	code, err := c.call(ctx, request{method: http.MethodPost, path: path, query: queryOf("account", account),
		body: bytes.NewReader(body), media: mediaJSON, limit: quickCall}, &s)
	return s, code == http.StatusCreated, err
}

// ListQuery selects sessions; empty fields select all.
type ListQuery struct {
	Account, State, Outcome, Source string
	Conflict                        bool
	Since                           string // a time in RFC 3339, or a duration before now
	After                           string // the cursor of the page before
	Limit                           int    // 0 leaves it to the server
}

// Sessions asks for a page of sessions.
func (c *Client) Sessions(ctx context.Context, q ListQuery) (SessionList, error) {
	var out SessionList
	query := queryOf("account", q.Account, "state", q.State, "outcome", q.Outcome, "source", q.Source,
		"conflict", yes(q.Conflict), "since", q.Since, "after", q.After)
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/sessions", query: query, limit: quickCall}, &out)
	return out, err
}

// Timeline asks for everything that happened to a session; raw adds the bodies.
func (c *Client) Timeline(ctx context.Context, account, id string, raw bool) (Timeline, error) {
	var out Timeline
	path, err := sessionPath(id, "/timeline")
	if err == nil {
		_, err = c.call(ctx, request{method: http.MethodGet, path: admin(path),
			query: queryOf("account", account, "raw", yes(raw)), limit: quickCall}, &out)
	}
	return out, err
}

// Poll asks Moveris about a known session now.
func (c *Client) Poll(ctx context.Context, account, id string) (PollResult, error) {
	var out PollResult
	path, err := sessionPath(id, "/poll")
	if err == nil {
		_, err = c.call(ctx, request{method: http.MethodPost, path: path, query: queryOf("account", account), limit: slowCall}, &out)
	}
	return out, err
}

// Probe asks every route about an id; it changes nothing.
func (c *Client) Probe(ctx context.Context, account, id, jobID string) (ProbeResult, error) {
	var out ProbeResult
	path, err := sessionPath(id, "/probe")
	if err == nil {
		_, err = c.call(ctx, request{method: http.MethodPost, path: admin(path),
			query: queryOf("account", account, "job_id", jobID), limit: slowCall}, &out)
	}
	return out, err
}

// Sweep asks Moveris about everything that is due, and waits for the end of it.
func (c *Client) Sweep(ctx context.Context) error { return c.order(ctx, "/v1/admin/sweep") }

// Reload has the configuration read again. A configuration that was rejected is a *Problem
// with status 422.
func (c *Client) Reload(ctx context.Context) error { return c.order(ctx, "/v1/admin/reload") }

func (c *Client) order(ctx context.Context, path string) error {
	var done map[string]any
	_, err := c.call(ctx, request{method: http.MethodPost, path: path, limit: slowCall}, &done)
	return err
}

// Events asks for the events after a cursor and waits, up to a minute, until there are
// any. The cursor is a sequence number, or store_number, which another store refuses;
// empty means from the oldest that is kept.
func (c *Client) Events(ctx context.Context, after string, limit int, wait time.Duration) (EventList, error) {
	var out EventList
	query := queryOf("after", after)
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/events", query: query, limit: quickCall + wait}, &out)
	return out, err
}

// Cursor continues after the list, in its own store only.
func (l EventList) Cursor() string { return l.Store + "_" + strconv.FormatInt(l.Next, 10) }

// admin is the path of a call that only the commands make.
func admin(path string) string { return "/v1/admin" + path[len("/v1"):] }

func yes(b bool) string {
	if b {
		return "1"
	}
	return ""
}
