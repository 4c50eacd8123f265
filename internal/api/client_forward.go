package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Forwards asks for all forwards.
func (c *Client) Forwards(ctx context.Context) (ForwardTargets, error) {
	var out ForwardTargets
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/admin/forwards", limit: quickCall}, &out)
	return out, err
}

// Letters asks for a page of what is pending for a forward, or of its dead letters.
func (c *Client) Letters(ctx context.Context, name string, dead bool, after string, limit int) (LetterList, error) {
	var out LetterList
	query := queryOf("after", after, "dead", yes(dead))
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	_, err := c.call(ctx, request{method: http.MethodGet, path: forwardPath(name, "/events"), query: query, limit: quickCall}, &out)
	return out, err
}

// RetryLetters has dead letters of a forward sent again.
func (c *Client) RetryLetters(ctx context.Context, name string, in LettersRequest) (LettersResult, error) {
	var out LettersResult
	err := c.post(ctx, forwardPath(name, "/retry"), in, &out)
	return out, err
}

// SkipLetters takes events out of the outbox of a forward.
func (c *Client) SkipLetters(ctx context.Context, name string, in LettersRequest) (LettersResult, error) {
	var out LettersResult
	err := c.post(ctx, forwardPath(name, "/skip"), in, &out)
	return out, err
}

func forwardPath(name, rest string) string {
	return "/v1/admin/forwards/" + url.PathEscape(name) + rest
}
