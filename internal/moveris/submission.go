package moveris

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/moverisd/moverisd/internal/verdict"
)

// ParseSubmission reads a synchronous result that the application hands over: the form
// of the webhook's data with an optional session_id, bare or in the API's envelope. The
// id is empty if none is named. An error is an [*Unusable].
//
// The application posts what it got, so what Moveris would not have called a finished
// result must not become one here: a body without the key verdict, with a status other
// than complete, with success false or an error set is refused rather than read as a
// null verdict.
//
// Digest is set, over raw; the caller adds ObservedAt, RepeatAfter and WebhookDueAt.
func ParseSubmission(raw []byte) (sessionID string, o verdict.Observation, err error) {
	if !json.Valid(raw) {
		return "", o, &Unusable{ReasonNotJSON}
	}
	data, _, ok := unwrap(raw)
	if !ok {
		return "", o, &Unusable{ReasonNotAResult}
	}
	var f facts
	if !members(data, f.set) {
		return "", o, &Unusable{ReasonWrongTypes}
	}
	var t typed
	o = f.observation(&t)
	sessionID = t.text(f.sessionID)
	if reason := submissionProblem(&f, &t, sessionID, o.Status); reason != "" {
		return "", verdict.Observation{}, &Unusable{reason}
	}
	if job := t.text(f.jobID); verdict.ValidID(job) {
		o.JobID = job
	}
	o.Source = verdict.Submitted
	o.Form = verdict.FormSubmitted
	o.AsOf = o.CreatedAt
	o.Digest = sha256.Sum256(raw)
	return sessionID, o, nil
}

func submissionProblem(f *facts, t *typed, id, status string) string {
	switch {
	case t.wrong:
		return ReasonWrongTypes
	case id != "" && !verdict.ValidID(id):
		return ReasonBadSessionID
	case f.failed():
		return ReasonNotAResult
	case status != "" && status != "complete" && status != "completed":
		return ReasonNotFinished
	case !f.verdictNamed:
		return ReasonNoVerdict
	}
	return ""
}

// unwrap returns what an answer is about: its data if both data and success are there,
// else the whole body (contract section 4). It is not ok if success is anything but
// true, or data null. raw must be valid JSON; what is no object is returned as it is.
func unwrap(raw []byte) (data []byte, enveloped, ok bool) {
	var success []byte
	var hasData, hasSuccess bool
	members(raw, func(key, value []byte) {
		switch string(key) {
		case "data":
			data, hasData = value, true
		case "success":
			success, hasSuccess = value, true
		}
	})
	if hasSuccess && string(success) != "true" {
		return nil, hasData, false
	}
	if !hasData || !hasSuccess {
		return raw, false, true
	}
	return data, true, !isNull(data)
}
