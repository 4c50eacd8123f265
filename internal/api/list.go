package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// listSessions answers with a page of sessions.
func (s *Server) listSessions(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := store.Filter{Account: q.Get("account"), State: verdict.State(q.Get("state")),
		Outcome: verdict.Outcome(q.Get("outcome")), Source: verdict.Source(q.Get("source")),
		After: q.Get("after")}
	if err := known("state", f.State, verdict.States()); err != nil {
		return err
	}
	if err := known("outcome", f.Outcome, verdict.Outcomes()); err != nil {
		return err
	}
	if err := known("source", f.Source, verdict.Sources()); err != nil {
		return err
	}
	if _, err := strconv.ParseInt(f.After, 10, 64); f.After != "" && err != nil {
		return problem(http.StatusBadRequest, "after is the cursor of a list of sessions, which was its next")
	}
	var err error
	if f.Conflict, err = flagOf(r, "conflict"); err != nil {
		return err
	}
	if f.Limit, err = limitOf(r, 100, store.ListMax); err != nil {
		return err
	}
	if since := q.Get("since"); since != "" {
		if f.Since, err = s.since(since); err != nil {
			return err
		}
	}
	views, next, err := s.store.List(r.Context(), f)
	if err != nil {
		return err
	}
	out := SessionList{Sessions: make([]Session, 0, len(views)), Next: text(next)}
	for _, v := range views {
		out.Sessions = append(out.Sessions, sessionJSON(v, false))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// since reads a time, or a duration before now.
func (s *Server) since(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := duration(text, 100*365*24*time.Hour)
	if err != nil {
		return time.Time{}, problem(http.StatusBadRequest, "since is a time like 2026-11-23T10:00:00Z or a duration like 24h")
	}
	return s.Now().Add(-d), nil
}

func known[T ~string](name string, value T, list []T) error {
	if value == "" {
		return nil
	}
	for _, v := range list {
		if v == value {
			return nil
		}
	}
	return problem(http.StatusBadRequest, "%s is one of %v", name, list)
}

func limitOf(r *http.Request, standard, max int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > max {
		return 0, problem(http.StatusBadRequest, "limit is a number from 1 to %d", max)
	}
	return n, nil
}
