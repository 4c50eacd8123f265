package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// submitsAtOnce is how many results [Client.SubmitAll] hands over at a time, each over a
// connection of its own: enough to share a commit.
const submitsAtOnce = 32

// SubmitResult is what came of one line of SubmitAll.
type SubmitResult struct {
	Line    int
	Session Session
	Created bool // false where moverisd had the result already
	Err     error
}

// SubmitAll hands over synchronous results, one as JSON on each line, as they were received,
// and reports what came of each, in the order of the lines and numbered from 1. Several are
// under way at a time; those of one session one after the other. Empty lines are skipped. A
// report that returns an error ends it with that error: a few lines after it may have been
// handed over, and to do so again does no harm.
func (c *Client) SubmitAll(ctx context.Context, account string, in io.Reader, report func(SubmitResult) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines, failed := make(chan inputLine), make(chan error, 1)
	// Reading cannot be called off; at the end of the process it may still wait for input.
	go func() {
		failed <- readLines(ctx, in, lineMax, lines)
		close(lines)
	}()
	results := newWindow[SubmitResult](submitsAtOnce)
	go func() {
		defer results.end()
		for {
			select {
			case line, more := <-lines:
				if !more {
					return
				}
				id, err := line.result()
				results.begin(id, func() SubmitResult { return c.submitLine(ctx, account, id, line, err) })
			case <-ctx.Done():
				return
			}
		}
	}()
	var err error
	results.each(func() {}, func(r SubmitResult) {
		if err != nil {
			return
		}
		if err = report(r); err != nil {
			cancel()
		}
	})
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return <-failed
}

// result finds the session of a result, or says why the line is not worth a call.
func (l inputLine) result() (id string, err error) {
	var named struct {
		SessionID string `json:"session_id"`
	}
	if l.long {
		return "", problem(http.StatusRequestEntityTooLarge, "it is longer than %d bytes", lineMax)
	}
	if err := json.Unmarshal(l.text, &named); err != nil {
		return "", problem(http.StatusBadRequest, "it is no result in JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if named.SessionID == "" {
		return "", problem(http.StatusBadRequest, "it has no session_id")
	}
	return named.SessionID, nil
}

// submitLine hands over the result of one line, unless it was no result.
func (c *Client) submitLine(ctx context.Context, account, id string, l inputLine, err error) SubmitResult {
	out := SubmitResult{Line: l.number, Err: err}
	if err == nil {
		out.Session, out.Created, out.Err = c.Submit(ctx, account, id, bytes.TrimRight(l.text, "\r\n"))
	}
	return out
}
