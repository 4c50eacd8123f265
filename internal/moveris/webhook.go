package moveris

import (
	"encoding/json"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Delivery is what a signed webhook body says.
type Delivery struct {
	Event     string
	SessionID string    // empty if an unknown event names none that is usable
	Timestamp time.Time // the delivery's own time, UTC, zero if absent

	// Known is true for verification.completed and verification.failed. Only then
	// Observation is set; the caller adds ObservedAt, Label, Digest, RepeatAfter and
	// HeaderMismatch.
	Known       bool
	Observation verdict.Observation

	// TestID is the "test_id" of an unknown event: moverisd signs such a delivery to
	// itself to see whether it arrives. Moveris is not known to send one.
	TestID string
}

// Unusable is a body that is signed or handed over and yet cannot be used.
type Unusable struct {
	Reason string // one of the Reason constants: a short stable word
}

func (u *Unusable) Error() string { return "unusable body: " + u.Reason }

// Reasons why a body is unusable.
const (
	ReasonNotJSON       = "not_json" // also truncated, or with something behind it
	ReasonWrongTypes    = "wrong_types"
	ReasonNoEvent       = "no_event"
	ReasonNoSessionID   = "no_session_id"
	ReasonBadSessionID  = "bad_session_id" // refused by [verdict.ValidID]
	ReasonContradiction = "session_id_contradiction"
	ReasonNoVerdict     = "no_verdict"   // submissions: the key verdict is not there
	ReasonNotFinished   = "not_finished" // submissions: a status other than complete
	ReasonNotAResult    = "not_a_result" // submissions: success false, or an error
)

// envelopeRaw are the top-level members of a webhook (contract section 1).
type envelopeRaw struct {
	event, sessionID, timestamp, data, testID []byte
}

func (e *envelopeRaw) set(key, value []byte) {
	if isNull(value) {
		value = nil
	}
	switch string(key) {
	case "event":
		e.event = value
	case "session_id":
		e.sessionID = value
	case "timestamp":
		e.timestamp = value
	case "data":
		e.data = value
	case "test_id":
		e.testID = value
	}
}

// ParseWebhook reads the body of a delivery whose signature was checked. An error is an
// [*Unusable]: the delivery is a dead letter. An unknown event in a JSON object is no
// error, whatever else is in it.
func ParseWebhook(body []byte) (Delivery, error) {
	if !json.Valid(body) {
		return Delivery{}, &Unusable{ReasonNotJSON}
	}
	var e envelopeRaw
	if !members(body, e.set) {
		return Delivery{}, &Unusable{ReasonWrongTypes}
	}
	var t typed
	d := Delivery{Event: t.text(e.event)}
	switch {
	case t.wrong:
		return Delivery{}, &Unusable{ReasonWrongTypes}
	case d.Event == "":
		return Delivery{}, &Unusable{ReasonNoEvent}
	case d.Event == string(verdict.FormCompleted), d.Event == string(verdict.FormFailed):
		return e.known(d)
	}
	return e.unknown(d), nil
}

// known reads one of the two documented events.
func (e *envelopeRaw) known(d Delivery) (Delivery, error) {
	var t typed
	d.Known = true
	d.SessionID = t.text(e.sessionID)
	d.Timestamp = t.instant(e.timestamp)
	if t.wrong {
		return Delivery{}, &Unusable{ReasonWrongTypes}
	}
	if reason := idProblem(d.SessionID); reason != "" {
		return Delivery{}, &Unusable{reason}
	}
	said, reason := e.observe(&d)
	if reason == "" && said != "" && said != d.SessionID {
		reason = ReasonContradiction
	}
	if reason != "" {
		return Delivery{}, &Unusable{reason}
	}
	return d, nil
}

// observe reads data into d and returns the session id in it. The data of
// verification.failed is undocumented: the event alone says what happened, so data may
// have any shape and what is not of the expected type counts as absent. Turning the
// one word about a session into a dead letter for it would lose it.
func (e *envelopeRaw) observe(d *Delivery) (said, reason string) {
	var f facts
	var t typed
	if e.data != nil && !members(e.data, f.set) {
		t.wrong = true
	}
	d.Observation = f.observation(&t)
	said = t.text(f.sessionID)
	if t.wrong && d.Event == string(verdict.FormCompleted) {
		return "", ReasonWrongTypes
	}
	o := &d.Observation
	o.Source = verdict.Webhook
	o.Form = verdict.Form(d.Event)
	o.AsOf = firstTime(o.CreatedAt, d.Timestamp)
	return said, ""
}

// unknown reads what it can of an event that Moveris has not documented.
func (e *envelopeRaw) unknown(d Delivery) Delivery {
	var t typed
	if id := t.text(e.sessionID); verdict.ValidID(id) {
		d.SessionID = id
	}
	d.Timestamp = t.instant(e.timestamp)
	if id := t.text(e.testID); verdict.ValidID(id) {
		d.TestID = id
	}
	return d
}

func idProblem(id string) string {
	switch {
	case id == "":
		return ReasonNoSessionID
	case !verdict.ValidID(id):
		return ReasonBadSessionID
	}
	return ""
}

// HeadersAgree reports whether the unsigned headers X-Webhook-Event and
// X-Webhook-Session say what the signed body says. An absent header, passed as empty,
// agrees. They decide nothing (contract section 6, point 7).
func HeadersAgree(d Delivery, event, session string) bool {
	return (event == "" || event == d.Event) && (session == "" || session == d.SessionID)
}
