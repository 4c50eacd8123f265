package api

import (
	"encoding/json"
	"time"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Session is a session in JSON.
type Session struct {
	SessionID     string             `json:"session_id"`
	Account       string             `json:"account"`
	JobID         *string            `json:"job_id"`
	Metadata      json.RawMessage    `json:"metadata"`
	State         verdict.State      `json:"state"`
	Outcome       *verdict.Outcome   `json:"outcome"`
	Verdict       *string            `json:"verdict"`
	Score         *float64           `json:"score"`
	RealScore     *float64           `json:"real_score"`
	Confidence    *float64           `json:"confidence"`
	Type          *string            `json:"type"`
	Model         *string            `json:"model"`
	AsOf          *string            `json:"as_of"`
	ExpectedAt    *string            `json:"expected_at"`
	SettledAt     *string            `json:"settled_at"`
	FirstBy       *verdict.Source    `json:"first_by"`
	ToldAt        map[string]*string `json:"told_at"`
	Conflict      bool               `json:"conflict"`
	Verifications int                `json:"verifications"`
	Attempts      int                `json:"attempts"`
	NextPollAt    *string            `json:"next_poll_at"`
	AwaitingAgain bool               `json:"awaiting_again"`
	UnknownWord   *string            `json:"unknown_word"`
	Observations  []Observation      `json:"observations,omitzero"`
}

// Observation is an observation in JSON.
type Observation struct {
	Source         verdict.Source   `json:"source"`
	Outcome        *verdict.Outcome `json:"outcome"`
	AsOf           *string          `json:"as_of"`
	ObservedAt     *string          `json:"observed_at"`
	Model          *string          `json:"model"`
	Label          *string          `json:"label"`
	Route          *string          `json:"route"`
	HeaderMismatch bool             `json:"header_mismatch"`
	Digest         string           `json:"digest"`
	Redelivered    int64            `json:"redelivered"`
	Body           *string          `json:"body,omitempty"`
}

// sessionJSON is the JSON of a session; lists leave the observations out.
func sessionJSON(v store.View, observations bool) Session {
	s := v.Session
	out := Session{
		SessionID: v.ID, Account: v.Account, JobID: text(v.JobID), Metadata: object(v.Metadata),
		State: v.State, Outcome: text(s.Outcome), Verdict: text(s.Verdict),
		Score: s.Score, RealScore: s.RealScore, Confidence: s.Confidence,
		Type: text(s.Type), Model: text(s.Model), AsOf: theirs(s.AsOf),
		ExpectedAt: status.Stamp(s.ExpectedAt), SettledAt: status.Stamp(s.SettledAt), FirstBy: text(s.FirstBy),
		ToldAt:   map[string]*string{"webhook": nil, "poll": nil, "submitted": nil},
		Conflict: s.Conflict, Verifications: s.Verifications, Attempts: v.Attempts,
		NextPollAt: status.Stamp(v.NextPollAt), AwaitingAgain: s.AwaitingAgain, UnknownWord: text(s.UnknownWord),
	}
	for source, at := range s.ToldAt {
		out.ToldAt[string(source)] = status.Stamp(at)
	}
	if !observations {
		return out
	}
	out.Observations = []Observation{}
	for _, e := range v.Entries {
		if e.Observation != nil {
			out.Observations = append(out.Observations, observationJSON(e))
		}
	}
	return out
}

func observationJSON(e store.Entry) Observation {
	o := e.Observation
	out := Observation{Source: o.Source, Outcome: text(o.Ends().Outcome), AsOf: theirs(o.AsOf),
		ObservedAt: status.Stamp(o.ObservedAt), Model: text(o.Model), Label: text(o.Label), Route: text(o.Route),
		HeaderMismatch: o.HeaderMismatch, Digest: hexDigest(e.Digest), Redelivered: e.Redelivered}
	if e.Body != nil {
		body := string(e.Body)
		out.Body = &body
	}
	return out
}

// Event is an event in JSON.
type Event struct {
	Seq       int64            `json:"seq"`
	Store     string           `json:"store"`
	At        *string          `json:"at"`
	SessionID string           `json:"session_id"`
	Account   string           `json:"account"`
	Change    verdict.Change   `json:"change"`
	State     verdict.State    `json:"state"`
	Outcome   *verdict.Outcome `json:"outcome"`
	FirstBy   *verdict.Source  `json:"first_by"`
	Conflict  bool             `json:"conflict"`
	Metadata  json.RawMessage  `json:"metadata"` // of the session as it is now
}

func eventJSON(e store.Event, storeID string) Event {
	return Event{Seq: e.Seq, Store: storeID, At: status.Stamp(e.At), SessionID: e.SessionID, Account: e.Account,
		Change: e.Change, State: e.State, Outcome: text(e.Outcome), FirstBy: text(e.FirstBy), Conflict: e.Conflict,
		Metadata: object(e.Metadata)}
}

// object is a JSON object that is kept as text: null if there is none.
func object(text string) json.RawMessage {
	if text == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(text)
}

// text is a string in JSON: null if it is empty.
func text[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

// theirs is a time of Moveris' in JSON, with as many digits as it needs.
func theirs(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339Nano)
	return &s
}

// SessionList is a page of sessions.
type SessionList struct {
	Sessions []Session `json:"sessions"`
	Next     *string   `json:"next"`
}

// EventList is a page of events; Next is the cursor to continue from.
type EventList struct {
	Events []Event `json:"events"`
	Next   int64   `json:"next"`
	Store  string  `json:"store"`
}

// Expectation is the body of an expectation; all fields are optional but where it is a line
// of a list, which names its session.
type Expectation struct {
	SessionID   string          `json:"session_id,omitempty"`
	Account     string          `json:"account,omitempty"`
	JobID       string          `json:"job_id,omitempty"`
	GracePeriod string          `json:"grace_period,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Again       bool            `json:"again,omitempty"`
}

// LineResult is the answer to one line of a list.
type LineResult struct {
	Line      int      `json:"line"`
	SessionID string   `json:"session_id,omitempty"`
	Account   string   `json:"account,omitempty"`
	Status    int      `json:"status"`
	State     string   `json:"state,omitempty"`
	Problem   *Problem `json:"problem,omitempty"`
}
