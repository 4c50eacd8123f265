package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/moverisd/moverisd/internal/store"
)

// AckRequest says what a person has seen: "missing", "conflicts" or "dead-letters", and which
// ones; no ids means all.
type AckRequest struct {
	What    string   `json:"what"`
	Account string   `json:"account,omitempty"`
	IDs     []string `json:"ids,omitempty"`
}

// AckResult says how many were acknowledged, and which ids were not there to be.
type AckResult struct {
	Acknowledged int      `json:"acknowledged"`
	NotFound     []string `json:"not_found"`
}

// ack records that a person has seen missing sessions, conflicts or dead letters.
func (s *Server) ack(w http.ResponseWriter, r *http.Request) error {
	var in AckRequest
	if err := decode(r.Body, &in); err != nil {
		return err
	}
	out := AckResult{NotFound: []string{}}
	var err error
	switch in.What {
	case store.AckDeadLetters:
		err = s.ackLoose(r, in, &out)
	case store.AckMissing, store.AckConflicts:
		err = s.ackSessions(r, in, &out)
	default:
		err = problem(http.StatusBadRequest, "what is missing, conflicts or dead-letters")
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (s *Server) ackSessions(r *http.Request, in AckRequest, out *AckResult) error {
	by := peer(r.Context())
	if len(in.IDs) == 0 {
		var err error
		out.Acknowledged, err = s.store.AckAll(r.Context(), in.What, by, s.Now())
		return err
	}
	for _, id := range in.IDs {
		account, err := s.knownAccount(r.Context(), in.Account, id)
		if err == nil {
			err = s.store.AckSession(r.Context(), in.What, account, id, by, s.Now())
		}
		switch {
		case err == nil:
			out.Acknowledged++
		case s.problemOf(err).Status == http.StatusNotFound:
			out.NotFound = append(out.NotFound, id)
		default:
			return err
		}
	}
	return nil
}

func (s *Server) ackLoose(r *http.Request, in AckRequest, out *AckResult) error {
	ids := make([]int64, 0, len(in.IDs))
	by := peer(r.Context())
	for _, text := range in.IDs {
		forwarded, matched, err := s.ackForwarded(r.Context(), text, by, s.Now())
		if err != nil {
			return err
		}
		if matched {
			out.Acknowledged += int(forwarded)
			if forwarded == 0 {
				out.NotFound = append(out.NotFound, text)
			}
			continue
		}
		id, err := looseID(text)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if len(in.IDs) == 0 {
		forwarded, _, err := s.ackForwarded(r.Context(), "", by, s.Now())
		if out.Acknowledged = int(forwarded); err != nil {
			return err
		}
	} else if len(ids) == 0 {
		return nil // to acknowledge none would mean all
	}
	n, err := s.store.AckLoose(r.Context(), ids, by, s.Now())
	out.Acknowledged += int(n)
	return err
}

// looseID reads the number of a delivery that makes no session: "L17".
func looseID(text string) (int64, error) {
	if len(text) > 1 && (text[0] == 'L' || text[0] == 'l') {
		if n, err := strconv.ParseInt(text[1:], 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, problem(http.StatusBadRequest, "%q is no dead letter; they are numbered like L17, see moverisd deliveries", text)
}

// erase removes the bodies and the metadata of a session, or what is still to be forwarded of
// one that was pruned.
func (s *Server) erase(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	account := r.URL.Query().Get("account")
	if account == "" {
		known, err := s.store.Erasable(r.Context(), id)
		switch {
		case err != nil:
			return err
		case len(known) == 0:
			return store.ErrNotFound
		case len(known) > 1:
			return &store.Ambiguous{Accounts: known}
		}
		account = known[0]
	}
	if account, err = s.account(r.Context(), account, id); err != nil {
		return err
	}
	if err := s.store.Erase(r.Context(), account, id, peer(r.Context()), s.Now()); err != nil {
		return err
	}
	err = s.answerSession(w, r, account, id, http.StatusOK)
	if errors.Is(err, store.ErrNotFound) {
		writeJSON(w, http.StatusOK, Session{SessionID: id, Account: account})
		return nil
	}
	return err
}
