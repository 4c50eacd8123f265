package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/moverisd/moverisd/internal/store"
)

// Ack says that a person has seen something.
func (c *Client) Ack(ctx context.Context, in AckRequest) (AckResult, error) {
	var out AckResult
	err := c.post(ctx, "/v1/admin/ack", in, &out)
	return out, err
}

// Erase removes the bodies and the metadata of a session. Of one that was pruned only what is
// still to be forwarded is left to erase: then the answer has no state.
func (c *Client) Erase(ctx context.Context, account, id string) (Session, error) {
	var out Session
	path, err := sessionPath(id, "/erase")
	if err == nil {
		_, err = c.call(ctx, request{method: http.MethodPost, path: admin(path), query: queryOf("account", account), limit: quickCall}, &out)
	}
	return out, err
}

// Deliveries asks for a page of deliveries, the newest first; dead leaves all out but dead
// letters.
func (c *Client) Deliveries(ctx context.Context, dead bool, after string, limit int) (DeliveryList, error) {
	var out DeliveryList
	query := queryOf("after", after, "dead", yes(dead))
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/admin/deliveries", query: query, limit: quickCall}, &out)
	return out, err
}

// Delivery asks for one delivery with its body.
func (c *Client) Delivery(ctx context.Context, id string) (Delivery, error) {
	var out Delivery
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/admin/deliveries/" + url.PathEscape(id), limit: quickCall}, &out)
	return out, err
}

// Replay reads dead letters again, all of them if there are no ids.
func (c *Client) Replay(ctx context.Context, ids []string) ([]ReplayResult, error) {
	var out struct {
		Replayed []ReplayResult `json:"replayed"`
	}
	err := c.post(ctx, "/v1/admin/deliveries/replay", ReplayRequest{IDs: ids}, &out)
	return out.Replayed, err
}

// Prune applies the retention now; all lifts the limit of one run.
func (c *Client) Prune(ctx context.Context, all bool) (store.Pruned, error) {
	var out store.Pruned
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/admin/prune", query: queryOf("all", yes(all)), limit: maintenanceMax}, &out)
	return out, err
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, request{method: http.MethodPost, path: path, body: bytes.NewReader(body), media: mediaJSON, limit: slowCall}, out)
	return err
}

// Rebuild folds every session again and tells what it finds; apply corrects it.
func (c *Client) Rebuild(ctx context.Context, apply bool, line func(MaintenanceLine)) error {
	return c.maintain(ctx, "/v1/admin/rebuild", queryOf("apply", yes(apply)), line)
}

// Verify checks the whole file and tells what is wrong.
func (c *Client) Verify(ctx context.Context, line func(MaintenanceLine)) error {
	return c.maintain(ctx, "/v1/admin/verify", nil, line)
}

// maintain makes a long call that answers with lines; without the last one it did not end.
func (c *Client) maintain(ctx context.Context, path string, query url.Values, line func(MaintenanceLine)) error {
	resp, err := c.send(ctx, request{method: http.MethodPost, path: path, query: query})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var l MaintenanceLine
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return errors.New("the daemon ended before it was done")
		case err != nil:
			return fmt.Errorf("read the answer to %s: %w", path, err)
		case l.Problem != nil:
			return l.Problem
		case l.Finished:
			return nil
		}
		line(l)
	}
}

// Backup asks for a consistent copy of the store and writes it to w. A copy that ends early is
// an error.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: "/v1/admin/backup"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, resp.Body)
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	return nil
}
