package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Delivery is a received delivery in JSON. Its id is D and a number where it belongs to a
// session, L and a number where it does not.
type Delivery struct {
	ID             string           `json:"id"`
	At             *string          `json:"at"`
	Account        string           `json:"account"`
	Label          string           `json:"label"`
	Event          string           `json:"event"`
	SessionID      *string          `json:"session_id"`
	Outcome        *verdict.Outcome `json:"outcome"`
	DeadLetter     *string          `json:"dead_letter"` // why it could not be used
	Acknowledged   bool             `json:"acknowledged"`
	HeaderMismatch bool             `json:"header_mismatch"`
	Redelivered    int64            `json:"redelivered"`
	Digest         string           `json:"digest"`
	Body           *string          `json:"body,omitempty"`
}

// DeliveryList is a page of deliveries, the newest first.
type DeliveryList struct {
	Deliveries []Delivery       `json:"deliveries"`
	Next       *string          `json:"next"`
	Rejected   map[string]int64 `json:"rejected"` // in the last 24 hours, by reason
}

func (s *Server) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r, 100, store.ListMax)
	if err != nil {
		return err
	}
	beforeRecord, beforeLoose, err := deliveryCursor(r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	var list []Delivery
	if r.URL.Query().Get("dead") != "1" {
		found, err := s.store.Deliveries(r.Context(), beforeRecord, limit)
		if err != nil {
			return err
		}
		for _, d := range found {
			list = append(list, sessionDelivery(d))
		}
	}
	loose, err := s.store.LooseDeliveries(r.Context(), beforeLoose, limit)
	if err != nil {
		return err
	}
	for _, l := range loose {
		if r.URL.Query().Get("dead") == "1" && l.Reason == "" {
			continue
		}
		list = append(list, looseDelivery(l))
	}
	slices.SortStableFunc(list, func(a, b Delivery) int { return strings.Compare(*b.At, *a.At) })
	out := DeliveryList{Deliveries: list[:min(limit, len(list))], Rejected: s.Status(r.Context()).Deliveries.Rejected}
	if out.Deliveries == nil {
		out.Deliveries = []Delivery{}
	}
	if len(list) >= limit {
		next := nextDeliveryCursor(out.Deliveries, beforeRecord, beforeLoose)
		out.Next = &next
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// deliveryCursor reads where both lists continue: "record.loose".
func deliveryCursor(text string) (record, loose int64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	if _, err := fmt.Sscanf(text, "%d.%d", &record, &loose); err != nil {
		return 0, 0, problem(http.StatusBadRequest, "%q is no cursor of a list of deliveries", text)
	}
	return record, loose, nil
}

func nextDeliveryCursor(page []Delivery, record, loose int64) string {
	for _, d := range page {
		n, _ := strconv.ParseInt(d.ID[1:], 10, 64)
		if d.ID[0] == 'D' {
			record = n
		} else {
			loose = n
		}
	}
	return fmt.Sprintf("%d.%d", record, loose)
}

func sessionDelivery(d store.Delivery) Delivery {
	o := d.Observation
	out := Delivery{ID: fmt.Sprintf("D%d", d.Record), At: status.Stamp(d.At), Account: d.Account, Label: o.Label,
		Event: string(o.Form), SessionID: &d.SessionID, Outcome: text(o.Ends().Outcome),
		HeaderMismatch: o.HeaderMismatch, Redelivered: d.Redelivered, Digest: hexDigest(o.Digest[:])}
	if d.Body != nil {
		body := string(d.Body)
		out.Body = &body
	}
	return out
}

func looseDelivery(l store.Loose) Delivery {
	out := Delivery{ID: fmt.Sprintf("L%d", l.ID), At: status.Stamp(l.At), Account: l.Account, Label: l.Label,
		Event: l.Event, DeadLetter: text(l.Reason), Acknowledged: l.Acked, Redelivered: l.Redelivered, Digest: hexDigest(l.Digest)}
	if l.Body != nil {
		body := string(l.Body)
		out.Body = &body
	}
	return out
}

func (s *Server) getDelivery(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	notFound := problem(http.StatusNotFound, "there is no delivery %q; they are numbered like D12 or L17", id)
	if len(id) < 2 {
		return notFound
	}
	n, err := strconv.ParseInt(id[1:], 10, 64)
	if err != nil {
		return notFound
	}
	var out Delivery
	switch id[0] {
	case 'D', 'd':
		var d store.Delivery
		d, err = s.store.Delivery(r.Context(), n)
		if err == nil {
			out = sessionDelivery(d)
		}
	case 'L', 'l':
		var l store.Loose
		l, err = s.store.LooseDelivery(r.Context(), n)
		if err == nil {
			out = looseDelivery(l)
		}
	default:
		return notFound
	}
	if errors.Is(err, store.ErrNotFound) {
		return notFound
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// ReplayRequest names dead letters to be read again; no ids means all of them.
type ReplayRequest struct {
	IDs []string `json:"ids,omitempty"`
}

// ReplayResult says what became of one dead letter.
type ReplayResult struct {
	ID        string `json:"id"`
	SessionID string `json:"session_id,omitempty"` // what it belongs to now
	Reason    string `json:"reason,omitempty"`     // why it still cannot be used
}

// replay reads dead letters again, after an upgrade that may understand them.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) error {
	var in ReplayRequest
	if err := decode(r.Body, &in); err != nil {
		return err
	}
	ids, err := s.replayIDs(r.Context(), in)
	if err != nil {
		return err
	}
	out := []ReplayResult{}
	for _, id := range ids {
		l, err := s.store.LooseDelivery(r.Context(), id)
		if err != nil {
			return err
		}
		res := ReplayResult{ID: fmt.Sprintf("L%d", id)}
		if l.Body == nil {
			res.Reason = "its body was erased"
		} else if res.SessionID, res.Reason, err = s.Replay(r.Context(), l); err != nil {
			return err
		}
		if res.SessionID != "" {
			if err := s.store.DropLoose(r.Context(), id); err != nil {
				return err
			}
		}
		out = append(out, res)
	}
	writeJSON(w, http.StatusOK, map[string]any{"replayed": out})
	return nil
}

// replayIDs resolves which dead letters are meant; all of them are taken from the newest,
// at most a page.
func (s *Server) replayIDs(ctx context.Context, in ReplayRequest) ([]int64, error) {
	var ids []int64
	for _, text := range in.IDs {
		id, err := looseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(in.IDs) > 0 {
		return ids, nil
	}
	list, err := s.store.LooseDeliveries(ctx, 0, store.ListMax)
	for _, l := range list {
		if l.Reason != "" {
			ids = append(ids, l.ID)
		}
	}
	return ids, err
}
