package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// evidenceMax is how many observations a forwarded session names, the newest: a session that
// was heard of without end makes no body without end.
const evidenceMax = 50

// Forwarded is the body of what is sent to an application about an event.
type Forwarded struct {
	Type      string        `json:"type"` // "session.settled": the change
	Timestamp *string       `json:"timestamp"`
	Data      ForwardedData `json:"data"`
	Late      bool          `json:"late,omitempty"` // it was a dead letter and is sent again
}

// ForwardedData is the event and the session as it was then, with its newest observations,
// without their bodies.
type ForwardedData struct {
	Event   Event   `json:"event"`
	Session Session `json:"session"`
}

// Forwarding makes the body that is sent about an event, a [Forwarded]; see store.Forwarding.
func Forwarding(storeID string, e store.Event, v store.View) []byte {
	body, err := json.Marshal(forwarded(storeID, e, v))
	if err != nil {
		// Of all fields only a score could be no JSON, and no score that was read is.
		v.Session, v.Entries = verdict.Session{}, nil
		body, _ = json.Marshal(forwarded(storeID, e, v))
	}
	return body
}

func forwarded(storeID string, e store.Event, v store.View) Forwarded {
	heard := slices.DeleteFunc(slices.Clone(v.Entries), func(e store.Entry) bool { return e.Observation == nil })
	v.Entries = heard[max(0, len(heard)-evidenceMax):]
	return Forwarded{Type: "session." + string(e.Change), Timestamp: status.Stamp(e.At),
		Data: ForwardedData{Event: eventJSON(e, storeID), Session: sessionJSON(v, true)}}
}

// ForwardTarget is a forward and what it has still to send.
type ForwardTarget struct {
	Name         string  `json:"name"`
	Configured   bool    `json:"configured"` // if not, what is pending is kept and not sent
	Pending      int64   `json:"pending"`
	OldestAt     *string `json:"oldest_at"`
	DeadLetters  int64   `json:"dead_letters"`
	FailingSince *string `json:"failing_since"`
	LastError    *string `json:"last_error"`
}

// ForwardTargets lists all forwards.
type ForwardTargets struct {
	Forwards []ForwardTarget `json:"forwards"`
}

// Letter is an event in the outbox of a forward.
type Letter struct {
	Seq        int64   `json:"seq"`
	ID         string  `json:"id"`
	At         *string `json:"at"`
	Account    string  `json:"account"`
	SessionID  string  `json:"session_id"`
	Change     string  `json:"change"`
	DeadLetter bool    `json:"dead_letter"`
	Acked      bool    `json:"acknowledged"`
	Late       bool    `json:"late"`
	Attempts   int     `json:"attempts"`
	NextAt     *string `json:"next_at"` // null: it waits for an earlier event of its session
	DiedAt     *string `json:"died_at"`
	LastStatus int     `json:"last_status"`
	LastError  *string `json:"last_error"`
}

// LetterList is a page of an outbox, the oldest first.
type LetterList struct {
	Events []Letter `json:"events"`
	Next   *string  `json:"next"`
}

// listForwards answers with all forwards: the configured ones and those with something left.
func (s *Server) listForwards(w http.ResponseWriter, r *http.Request) error {
	figures, err := s.store.ForwardFigures(r.Context())
	if err != nil {
		return err
	}
	out := ForwardTargets{Forwards: []ForwardTarget{}}
	configured := s.forwards()
	for _, name := range configured {
		if !slices.ContainsFunc(figures, func(f store.ForwardFigures) bool { return f.Name == name }) {
			figures = append(figures, store.ForwardFigures{Name: name})
		}
	}
	for _, f := range figures {
		known := slices.Contains(configured, f.Name)
		if !known && f.Pending+f.DeadLetters == 0 {
			continue
		}
		out.Forwards = append(out.Forwards, ForwardTarget{Name: f.Name, Configured: known, Pending: f.Pending, OldestAt: status.Stamp(f.OldestAt),
			DeadLetters: f.DeadLetters, FailingSince: status.Stamp(f.FailingSince), LastError: text(f.LastError)})
	}
	slices.SortFunc(out.Forwards, func(a, b ForwardTarget) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, out)
	return nil
}

// forwards are the names of the configured forwards.
func (s *Server) forwards() []string {
	if s.Forwards == nil {
		return nil
	}
	return s.Forwards()
}

// forwardName reads which forward is meant.
func (s *Server) forwardName(name string) (string, error) {
	if !slices.Contains(s.forwards(), name) && !s.store.ForwardKnown(name) {
		return "", problem(http.StatusNotFound, "there is no forward %q; see moverisd forward list", name)
	}
	return name, nil
}

// listLetters answers with a page of what is pending for a forward, or of its dead letters.
func (s *Server) listLetters(w http.ResponseWriter, r *http.Request) error {
	name, err := s.forwardName(r.PathValue("name"))
	if err != nil {
		return err
	}
	limit, err := limitOf(r, 100, store.ListMax)
	if err != nil {
		return err
	}
	var after int64
	if text := r.URL.Query().Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return problem(http.StatusBadRequest, "%q is no cursor of an outbox", text)
		}
	}
	list, err := s.store.Letters(r.Context(), name, r.URL.Query().Get("dead") == "1", after, limit)
	if err != nil {
		return err
	}
	out := LetterList{Events: make([]Letter, 0, len(list))}
	for _, l := range list {
		out.Events = append(out.Events, Letter{Seq: l.Seq, ID: l.ID, At: status.Stamp(l.At), Account: l.Account, SessionID: l.SessionID,
			Change: string(l.Change), DeadLetter: l.Dead, Acked: l.Acked, Late: l.Late, Attempts: l.Attempts,
			NextAt: status.Stamp(l.NextAt), DiedAt: status.Stamp(l.DiedAt), LastStatus: l.Status, LastError: text(l.Error)})
	}
	if len(list) == limit {
		next := strconv.FormatInt(list[limit-1].Seq, 10)
		out.Next = &next
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// LettersRequest names events of an outbox: by sequence or id, or all dead letters, or all
// that is pending.
type LettersRequest struct {
	IDs     []string `json:"ids,omitempty"`
	Dead    bool     `json:"dead,omitempty"`
	Pending bool     `json:"pending,omitempty"`
}

// LettersResult says how many events were changed, and which ids were not there to be.
type LettersResult struct {
	Done     int64    `json:"done"`
	NotFound []string `json:"not_found"`
}

// retryLetters sends dead letters again; without ids all of them.
func (s *Server) retryLetters(w http.ResponseWriter, r *http.Request) error {
	return s.onLetters(w, r, func(ctx context.Context, name string, in LettersRequest) (int64, error) {
		if in.Pending {
			return 0, problem(http.StatusBadRequest, "what is pending is sent by itself; only dead letters can be sent again")
		}
		return s.store.RetryAllDead(ctx, name)
	}, s.store.RetryDead)
}

// skipLetters takes events out of the outbox for good.
func (s *Server) skipLetters(w http.ResponseWriter, r *http.Request) error {
	return s.onLetters(w, r, func(ctx context.Context, name string, in LettersRequest) (int64, error) {
		if !in.Dead && !in.Pending {
			return 0, problem(http.StatusBadRequest, "name the events to skip, or all dead letters, or all that is pending")
		}
		var total int64
		for _, dead := range []bool{true, false} {
			if dead && !in.Dead || !dead && !in.Pending {
				continue
			}
			n, err := s.store.SkipAll(ctx, name, dead)
			if total += n; err != nil {
				return total, err
			}
		}
		return total, nil
	}, s.store.Skip)
}

func (s *Server) onLetters(w http.ResponseWriter, r *http.Request, all func(context.Context, string, LettersRequest) (int64, error),
	one func(ctx context.Context, name string, seq int64) (bool, error)) error {
	name, err := s.forwardName(r.PathValue("name"))
	if err != nil {
		return err
	}
	var in LettersRequest
	if err := decode(r.Body, &in); err != nil {
		return err
	}
	out := LettersResult{NotFound: []string{}}
	if len(in.IDs) == 0 {
		if out.Done, err = all(r.Context(), name, in); err != nil {
			return err
		}
	}
	for _, id := range in.IDs {
		seq, err := s.eventSeq(id)
		if err != nil {
			return err
		}
		found, err := one(r.Context(), name, seq)
		switch {
		case err != nil:
			return err
		case found:
			out.Done++
		default:
			out.NotFound = append(out.NotFound, id)
		}
	}
	s.log.Info("a person has changed the outbox", "call", r.Pattern, "forward", name, "count", out.Done, "by", peer(r.Context()))
	writeJSON(w, http.StatusOK, out)
	return nil
}

// eventSeq reads the sequence of an event, written as "17" or "evt_<store>_17".
func (s *Server) eventSeq(text string) (int64, error) {
	if i := strings.LastIndexByte(text, '_'); i >= 0 && strings.HasPrefix(text, "evt_") {
		if seq, err := strconv.ParseInt(text[i+1:], 10, 64); err == nil && seq > 0 {
			return seq, nil
		}
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, problem(http.StatusBadRequest, "%q is no event; name it by its number, see moverisd forward list", text)
	}
	return seq, nil
}

// ackForwarded acknowledges dead letters of forwards: all of them, or one written as
// "backend/17". It reports whether the text has that form.
func (s *Server) ackForwarded(ctx context.Context, text string, by int, now time.Time) (n int64, matched bool, err error) {
	if name, number, found := strings.Cut(text, "/"); found {
		seq, err := s.eventSeq(number)
		if err != nil {
			return 0, true, err
		}
		n, err = s.store.AckDead(ctx, name, seq, by, now)
		return n, true, err
	}
	if text != "" {
		return 0, false, nil
	}
	figures, err := s.store.ForwardFigures(ctx)
	if err != nil {
		return 0, true, err
	}
	for _, f := range figures {
		m, err := s.store.AckDead(ctx, f.Name, 0, by, now)
		if n += m; err != nil {
			return n, true, err
		}
	}
	return n, true, nil
}
