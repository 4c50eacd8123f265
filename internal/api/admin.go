package api

import (
	"net/http"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, s.Status(r.Context()))
	return nil
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	return nil
}

// readyz fails only where moverisd cannot take deliveries: a full backlog or an
// unreachable API is no reason to send them elsewhere.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if reason := s.Status(r.Context()).Unready(); reason != nil {
		return problem(http.StatusServiceUnavailable, "%s", reason.Text)
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	return nil
}

// sweep asks about everything that is due, now.
func (s *Server) sweep(w http.ResponseWriter, r *http.Request) error {
	if err := s.Sweep(r.Context()); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]bool{"done": true})
	return nil
}

// reload reads the configuration again.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if err := s.Reload(r.Context()); err != nil {
		return problem(http.StatusUnprocessableEntity, "%s", err.Error())
	}
	writeJSON(w, http.StatusOK, map[string]bool{"done": true})
	return nil
}

// ProbeResult is what every route of an account says about an id.
type ProbeResult struct {
	Account string        `json:"account"`
	Routes  []RouteAnswer `json:"routes"`
}

// probe asks every route about an id, known or not, and changes nothing.
func (s *Server) probe(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	account, err := s.account(r.Context(), r.URL.Query().Get("account"), id)
	if err != nil {
		return err
	}
	job := r.URL.Query().Get("job_id")
	if v, err := s.store.Get(r.Context(), account, id, false); err == nil && job == "" {
		job = v.JobID
	}
	answers, err := s.Poller.Probe(r.Context(), account, id, job)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, ProbeResult{Account: account, Routes: routesJSON(answers)})
	return nil
}

// Timeline is everything that happened to a session, the oldest first.
type Timeline struct {
	Session Session `json:"session"`
	Entries []Entry `json:"entries"`
}

// Entry is one line of a timeline.
type Entry struct {
	At      *string          `json:"at"`
	What    string           `json:"what"` // a source, a mark, or "attempt"
	Outcome *verdict.Outcome `json:"outcome,omitempty"`
	AsOf    *string          `json:"as_of,omitempty"`
	Status  int              `json:"status,omitempty"` // HTTP status of an attempt
	Word    string           `json:"word,omitempty"`
	Label   string           `json:"label,omitempty"`
	Route   string           `json:"route,omitempty"`
	Digest  string           `json:"digest,omitempty"`
	Again   int64            `json:"redelivered,omitempty"`
	Until   *string          `json:"grace_until,omitempty"`
	By      *int             `json:"by,omitempty"` // user id
}

func (s *Server) timeline(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	v, err := s.store.Get(r.Context(), r.URL.Query().Get("account"), id, r.URL.Query().Get("raw") == "1")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, TimelineOf(v))
	return nil
}

// TimelineOf is the timeline of a session as the API shows it.
func TimelineOf(v store.View) Timeline {
	out := Timeline{Session: sessionJSON(v, true), Entries: []Entry{}}
	for _, e := range v.Entries {
		out.Entries = append(out.Entries, entryJSON(e))
	}
	return out
}

func entryJSON(e store.Entry) Entry {
	out := Entry{At: status.Stamp(e.At), What: e.Kind, Status: e.Status, Word: e.Word, Label: e.Label, Route: e.Route,
		Digest: hexDigest(e.Digest), Again: e.Redelivered}
	if o := e.Observation; o != nil {
		end := o.Ends()
		out.Outcome, out.AsOf = text(end.Outcome), theirs(o.AsOf)
		switch {
		case end.Null:
			out.Word = "no verdict"
		case end.Unknown != "":
			out.Word = end.Unknown
		}
	}
	if e.Mark != nil && e.Mark.Kind == verdict.Expected {
		out.Until = status.Stamp(e.Mark.GraceUntil)
	}
	if e.Kind == "withdrawn" || e.Kind == "acked" || e.Kind == "erased" {
		out.By = &e.By
	}
	return out
}
