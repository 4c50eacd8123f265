package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// Expect announces one session; created is false where it was known already. A session that
// is known with another job id or other metadata is a *Problem with status 409.
func (c *Client) Expect(ctx context.Context, id string, e Expectation) (s Session, created bool, err error) {
	path, err := sessionPath(id, "")
	if err != nil {
		return s, false, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return s, false, err
	}
	code, err := c.call(ctx, request{method: http.MethodPut, path: path, body: bytes.NewReader(body), media: mediaJSON, limit: quickCall}, &s)
	return s, code == http.StatusCreated, err
}
