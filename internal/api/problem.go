package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/moverisd/moverisd/internal/poll"
	"github.com/moverisd/moverisd/internal/store"
)

// Problem is an error in JSON (RFC 9457).
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Oldest *int64   `json:"oldest,omitempty"`   // of a 410: the oldest sequence still kept
	Store  string   `json:"store,omitempty"`    // of a 410: the store's id
	Names  []string `json:"accounts,omitempty"` // of a 409: the accounts to choose from
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// problem makes an error that is the caller's.
func problem(status int, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Refuse makes an error that tells the caller why a call cannot be done now (409).
func Refuse(text string) error { return problem(http.StatusConflict, "%s", text) }

// problemOf maps an error to what the caller is told.
func (s *Server) problemOf(err error) *Problem {
	var p *Problem
	var ambiguous *store.Ambiguous
	var differs *store.Differs
	var gone *store.Gone
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &ambiguous):
		p = problem(http.StatusConflict, "%s", ambiguous.Error())
		p.Names = ambiguous.Accounts
		return p
	case errors.As(err, &differs):
		return problem(http.StatusConflict, "%s; withdraw it, or expect it with the same value", differs.Error())
	case errors.As(err, &gone):
		p = problem(http.StatusGone, "%s; read the sessions anew, then go on from the oldest", gone.Error())
		p.Oldest, p.Store = &gone.Oldest, s.store.ID()
		return p
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "the session is not known")
	case errors.Is(err, store.ErrGone):
		return problem(http.StatusGone, "%s", err.Error())
	case errors.Is(err, poll.ErrUnknownAccount):
		return problem(http.StatusBadRequest, "the account is not configured; configured are: %s", strings.Join(s.accounts(), ", "))
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrFull), errors.Is(err, store.ErrBroken),
		errors.Is(err, store.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, "the store cannot commit now; try again")
	}
	return problem(http.StatusInternalServerError, "see the log of moverisd")
}

// writeError answers with an error. What is not the caller's fault is logged.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read it
	}
	p := s.problemOf(err)
	if p.Status >= 500 {
		s.log.Error("call failed", "call", r.Method+" "+r.Pattern, "err", err)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// The connection is gone if this fails.
	_ = json.NewEncoder(w).Encode(p)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
