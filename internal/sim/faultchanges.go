package sim

import (
	"fmt"
	"net/http"
	"time"
)

const dripPause = 200 * time.Millisecond

// resultFaults change a result before it is put into its envelope. They leave
// everything alone that is no good answer of a result route.
func resultFaults() []faultKind {
	on := func(f func(call, *jobStatus)) func(call, *answer) {
		return func(c call, a *answer) {
			if js := a.result(); js != nil {
				f(c, js)
			}
		}
	}
	return []faultKind{
		{name: "wrong-session", change: on(wrongSession)},
		{name: "null-verdict", change: on(func(_ call, js *jobStatus) {
			js.Status, js.Available = "complete", true
			js.Verdict, js.RealScore, js.Confidence = nil, nil, nil
		})},
		{name: "unknown-status", change: on(func(_ call, js *jobStatus) { js.Status = "finalizing" })},
		{name: "data-error", change: on(func(_ call, js *jobStatus) {
			js.Verdict, js.RealScore, js.Confidence = nil, nil, nil
			js.Error = new("internal_error")
		})},
		{name: "clock-skew", form: "=DURATION", valid: validDuration, change: clockSkew},
		{name: "wrong-types", change: wrongTypes},
	}
}

// wrongSession answers for somebody else, with the opposite verdict where
// there is one, so that a mix-up shows.
func wrongSession(_ call, js *jobStatus) {
	js.SessionID, js.JobID = NewID(), NewID()
	if js.Verdict != nil {
		js.Verdict = verdictOf(Outcome(*js.Verdict).opposite())
	}
}

func validDuration(value string) error {
	if _, err := time.ParseDuration(value); err != nil {
		return fmt.Errorf("the value is a duration such as 90s or -2h")
	}
	return nil
}

// clockSkew moves Moveris' clock: the Date of every answer and the times of a
// result. Deliveries are moved where they are made.
func clockSkew(c call, a *answer) {
	skew, _ := time.ParseDuration(c.value) // checked by ParseFault
	a.header.Set("Date", c.now.Add(skew).UTC().Format(http.TimeFormat))
	if js := a.result(); js != nil {
		js.CreatedAt.shift(skew)
		js.StartedAt.shift(skew)
		js.CompletedAt.shift(skew)
	}
}

// wrongTypes keeps the ids right: only then is the rest looked at.
func wrongTypes(_ call, a *answer) {
	js := a.result()
	if js == nil {
		return
	}
	a.envelope().Data = map[string]any{
		"job_id": js.JobID, "session_id": js.SessionID,
		"status": []string{js.Status}, "verdict": 1, "confidence": "high", "real_score": true,
		"processing_ms": "845ms", "frames_processed": map[string]int{"n": 10},
		"created_at": 1770737202, "completed_at": false, "available": "yes", "error": 0,
	}
}

// envelopeFaults change what is around the data of any good answer.
func envelopeFaults() []faultKind {
	on := func(f func(*answer, *envelope)) func(call, *answer) {
		return func(_ call, a *answer) {
			if e := a.envelope(); e != nil {
				f(a, e)
			}
		}
	}
	return []faultKind{
		{name: "success-false", change: on(func(_ *answer, e *envelope) { e.Success, e.Message = false, "Request failed" })},
		{name: "data-null", change: on(func(_ *answer, e *envelope) { e.Data = nil })},
		{name: "bare", change: on(func(a *answer, e *envelope) { a.body = e.Data })},
	}
}

// transportFaults spoil any answer on its way.
func transportFaults() []faultKind {
	return []faultKind{
		{name: "truncated-json", change: func(_ call, a *answer) { a.cut = true }},
		{name: "content-type", change: func(_ call, a *answer) { a.header.Set("Content-Type", "text/html") }},
		{name: "half-body", change: func(_ call, a *answer) { a.unless(half) }},
		{name: "drip", form: "[=PAUSE]", valid: validDuration, change: func(c call, a *answer) {
			a.pause = dripPause
			if d, err := time.ParseDuration(c.value); err == nil {
				a.pause = d
			}
			a.unless(drip)
		}},
	}
}

// unless sets the manner of an answer that has no bad one yet.
func (a *answer) unless(m manner) {
	if a.manner == whole {
		a.manner = m
	}
}
