package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// putSession expects a session.
func (s *Server) putSession(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	var e Expectation
	if err := decode(r.Body, &e); err != nil {
		return err
	}
	if e.SessionID != "" && e.SessionID != id {
		return problem(http.StatusBadRequest, "session_id differs from the path")
	}
	if e.Account, err = accountOf(r, e.Account); err != nil {
		return err
	}
	e.SessionID = id
	account, created, err := s.expect(r.Context(), e)
	if err != nil {
		return err
	}
	v, err := s.store.Get(r.Context(), account, id, false)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if created {
		code = http.StatusCreated
	}
	writeJSON(w, code, sessionJSON(v, true))
	return nil
}

// expect checks an expectation and brings it into the store.
func (s *Server) expect(ctx context.Context, e Expectation) (account string, created bool, err error) {
	in := store.Expectation{SessionID: e.SessionID, JobID: e.JobID, Again: e.Again, At: s.Now()}
	if !verdict.ValidID(e.SessionID) || e.JobID != "" && !verdict.ValidID(e.JobID) {
		return "", false, problem(http.StatusBadRequest,
			"session_id and job_id have 1 to %d bytes of UTF-8 without control characters and are neither . nor ..", verdict.SessionIDMax)
	}
	if e.GracePeriod != "" {
		if in.Grace, err = duration(e.GracePeriod, graceMax); err != nil {
			return "", false, err
		}
		if in.Grace < time.Second {
			return "", false, problem(http.StatusBadRequest, "grace_period is at least one second")
		}
	}
	if in.Metadata, err = canonical(e.Metadata); err != nil {
		return "", false, err
	}
	if in.Account, err = s.account(ctx, e.Account, e.SessionID); err != nil {
		return "", false, err
	}
	receipt, err := s.store.Expect(ctx, in)
	return in.Account, receipt.New, err
}

// canonical checks metadata and writes it so that equal objects are equal texts.
func canonical(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil || object == nil {
		return "", problem(http.StatusBadRequest, "metadata is a JSON object")
	}
	if deeper(object, metadataDepthMax) {
		return "", problem(http.StatusBadRequest, "metadata is nested more than %d levels deep", metadataDepthMax)
	}
	text, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	if len(text) > metadataMax {
		return "", problem(http.StatusRequestEntityTooLarge, "metadata is larger than %d bytes", metadataMax)
	}
	return string(text), nil
}

// deeper reports whether a JSON value is nested more than that many levels.
func deeper(v any, levels int) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			if deeper(member, levels-1) {
				return true
			}
		}
		return levels < 1
	case []any:
		return levels < 1 || slices.ContainsFunc(v, func(item any) bool { return deeper(item, levels-1) })
	}
	return false
}

// deleteSession withdraws a session.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	account, err := s.knownAccount(r.Context(), r.URL.Query().Get("account"), id)
	if err != nil {
		return err
	}
	if _, err := s.store.Withdraw(r.Context(), account, id, peer(r.Context()), s.Now()); err != nil {
		return err
	}
	return s.answerSession(w, r, account, id, http.StatusOK)
}

func (s *Server) answerSession(w http.ResponseWriter, r *http.Request, account, id string, code int) error {
	v, err := s.store.Get(r.Context(), account, id, false)
	if err != nil {
		return err
	}
	writeJSON(w, code, sessionJSON(v, true))
	return nil
}

// getSession answers with a session, after a while if it is to wait for it to settle.
func (s *Server) getSession(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	wait, err := waitOf(r)
	if err != nil {
		return err
	}
	raw, err := flagOf(r, "raw")
	if err != nil {
		return err
	}
	v, err := s.store.Get(r.Context(), r.URL.Query().Get("account"), id, raw)
	if err != nil {
		return err
	}
	timeout := time.After(wait)
	for wait > 0 && v.Session.Open() {
		changed, leave := s.store.SessionChanged(v.Account, id)
		v, err = s.store.Get(r.Context(), v.Account, id, raw)
		if err != nil || !v.Session.Open() {
			leave()
			break
		}
		select {
		case <-changed:
		case <-timeout:
			wait = 0
		case <-s.stop:
			wait = 0
		case <-r.Context().Done():
			wait, err = 0, r.Context().Err()
		}
		leave()
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, sessionJSON(v, true))
	return nil
}

// waitOf reads how long a call may wait; more than waitMax is cut to it.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	d, err := duration(text, 24*time.Hour)
	return min(d, waitMax), err
}

// pollSession asks about a session now.
func (s *Server) pollSession(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	asked, err := s.Poller.Ask(r.Context(), r.URL.Query().Get("account"), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, PollResult{Session: sessionJSON(asked.View, true), Routes: routesJSON(asked.Routes)})
	return nil
}

// postObservation takes a synchronous result.
func (s *Server) postObservation(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	said, o, err := s.Submission(raw)
	switch {
	case err != nil:
		return problem(http.StatusBadRequest, "the result cannot be read: %s", err)
	case said != "" && said != id:
		return problem(http.StatusBadRequest, "session_id differs from the path")
	}
	account, err := s.account(r.Context(), r.URL.Query().Get("account"), id)
	if err != nil {
		return err
	}
	receipt, err := s.submit(r.Context(), account, id, o, raw)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if !receipt.Duplicate {
		code = http.StatusCreated
	}
	return s.answerSession(w, r, account, id, code)
}

// PollResult is what asking about a session by hand came to.
type PollResult struct {
	Session Session       `json:"session"`
	Routes  []RouteAnswer `json:"routes"`
}

// RouteAnswer is what one route answered.
type RouteAnswer struct {
	Route      string   `json:"route"`
	URL        string   `json:"url"`
	Status     int      `json:"status"`
	Error      string   `json:"error,omitempty"`
	Code       string   `json:"code,omitempty"`
	Shape      string   `json:"shape,omitempty"`
	Fields     []string `json:"fields,omitempty"`
	Word       string   `json:"word,omitempty"`
	Conclusion string   `json:"conclusion"`
}

func routesJSON(routes []poll.RouteAnswer) []RouteAnswer {
	out := make([]RouteAnswer, 0, len(routes))
	for _, r := range routes {
		out = append(out, RouteAnswer{Route: r.Route, URL: r.URL, Status: r.Status, Error: r.Err, Code: r.Code,
			Shape: r.Shape, Fields: r.Fields, Word: r.Word, Conclusion: r.Conclusion})
	}
	return out
}
