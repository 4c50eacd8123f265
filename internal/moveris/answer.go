package moveris

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// What an answer of one route is concluded to be.
const (
	Settles     = "settles"      // an outcome
	NullVerdict = "null_verdict" // finished, without a verdict
	UnknownWord = "unknown_word" // a status or verdict that moverisd does not know
	Unfinished  = "unfinished"
	NotFound    = "not_found" // 404 and 410, or a 4xx that says so by its code

	WrongSession = "wrong_session" // a 200 for another session
	NotAResult   = "not_a_result"  // a 200 that is none, a redirect, a body too big
	Denied       = "denied"        // 401, 403
	NoCredits    = "no_credits"    // 402
	RateLimited  = "rate_limited"  // 429
	Refused      = "refused"       // any other 4xx
	ServerError  = "server_error"  // 5xx, 408
	Transport    = "transport"     // no answer at all

	GivenUp           = "given_up" // the caller's context ended, or no token came in time
	SkippedBreaker    = "skipped_breaker"
	SkippedRetryAfter = "skipped_retry_after" // this route, or the account, was told to wait
	SkippedStopped    = "skipped_stopped"
	SkippedNoJobID    = "skipped_no_job_id" // Probe only
)

// RouteAnswer is what one route said.
type RouteAnswer struct {
	Route      string // the template
	URL        string // without the key, which is never in it
	Status     int    // 0 without an answer
	Err        error  // why this is no word about the session; nil if it is one
	Conclusion string // one of the constants above
	Word       string // the status, or failing that the verdict, as said
	Shape      string // enveloped, bare, html, empty, other
	Fields     []string
	Code       string        // of an error body
	Requests   int           // quick retries included
	RetryAfter time.Duration // as asked for, capped
	Date       time.Time     // the server's clock
}

// AnswerError says why an answer is no word about the session.
type AnswerError struct {
	Status   int
	Code     string // of the error body, if it has one
	Requests int
	Reason   string
}

func (e *AnswerError) Error() string {
	text := fmt.Sprintf("status %d", e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Told is an answer that says something about the session.
type Told struct {
	Observation verdict.Observation
	Body        []byte // as received; Observation.Digest is over it
	Route       string // the template
}

// conclude reads what one route answered when it was asked about a. It is pure: the
// status decides first, the body second (contract section 4).
func conclude(template string, a Asked, x *exchange, now time.Time, waitMax time.Duration) (RouteAnswer, *Told) {
	ans := RouteAnswer{Route: template, Status: x.status, Requests: x.requests}
	if x.err != nil {
		ans.Conclusion, ans.Err = Transport, x.err
		if isWithdrawn(x.err) {
			ans.Conclusion = GivenUp
		}
		return ans, nil
	}
	ans.Date, _ = http.ParseTime(x.header.Get("Date"))
	ans.Shape = shape(x.body)
	if x.status == http.StatusOK {
		told, reason := ans.result(a, x, now)
		if reason != "" {
			ans.Err = &AnswerError{x.status, "", x.requests, reason}
		}
		return ans, told
	}
	ans.Code = errorCode(x.body)
	ans.RetryAfter = min(retryAfter(x.header, x.body, now), waitMax)
	ans.Conclusion = byStatus(x.status, ans.Code)
	if ans.Conclusion != NotFound {
		ans.Err = &AnswerError{x.status, ans.Code, x.requests, ""}
	}
	return ans, nil
}

// byStatus concludes every status but 200. The status comes first; only a 4xx without a
// meaning of its own here is looked at closer.
func byStatus(status int, code string) string {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return NotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Denied
	case status == http.StatusPaymentRequired:
		return NoCredits
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusRequestTimeout, status >= 500:
		return ServerError
	case status < 400:
		return NotAResult
	case code == "session_not_found", code == "session_expired", code == "invalid_session":
		return NotFound
	}
	return Refused
}

// result reads a 200. The reason is empty if it is a word about the session.
func (ans *RouteAnswer) result(a Asked, x *exchange, now time.Time) (*Told, string) {
	ans.Conclusion = NotAResult
	switch {
	case x.tooBig:
		return nil, "body too big"
	case !isJSON(x.header.Get("Content-Type")):
		return nil, "not the media type application/json"
	case !json.Valid(x.body):
		return nil, "not JSON"
	}
	data, _, ok := unwrap(x.body)
	if !ok {
		return nil, "success is not true, or data is null"
	}
	var f facts
	var t typed
	if !members(data, func(key, value []byte) { f.set(key, value); ans.name(key) }) {
		return nil, "not an object"
	}
	o := f.polled(ans.Route, &t)
	session, job := t.text(f.sessionID), t.text(f.jobID)
	ans.Word = orText(o.Status, o.Verdict)
	switch {
	case t.wrong:
		return nil, "a field of the wrong type"
	case session == "" && job == "":
		return nil, "names no session"
	case !verdict.Concerns(a.SessionID, a.JobID, session, job):
		ans.Conclusion = WrongSession
		return nil, "names another session"
	case f.failed() && o.Status != "failed":
		return nil, "an error is set"
	}
	if verdict.ValidID(job) {
		o.JobID = job
	}
	o.ObservedAt = now.UTC().Truncate(time.Millisecond)
	o.RepeatAfter = a.Backoff
	o.Digest = sha256.Sum256(x.body)
	ans.Conclusion = byEnding(o.Ends())
	if ans.Conclusion == Unfinished {
		return nil, ""
	}
	return &Told{Observation: o, Body: x.body, Route: ans.Route}, ""
}

func byEnding(e verdict.Ending) string {
	switch {
	case e.Unknown != "":
		return UnknownWord
	case e.Outcome != "":
		return Settles
	case e.Null:
		return NullVerdict
	}
	return Unfinished
}

// polled is the observation of an answer of the API.
func (f *facts) polled(template string, t *typed) verdict.Observation {
	o := f.observation(t)
	o.Source = verdict.Poll
	o.Form = f.form(template)
	o.CompletedAt = t.instant(f.completedAt)
	o.AsOf = firstTime(o.CompletedAt, o.CreatedAt)
	o.Route = template
	return o
}

// form tells the two forms of answers apart, in which "failed" means different things
// (contract section 5). The route decides where it can: an answer of the session route
// may well name its job, and read as a job's its "failed" would hide the verdict beside
// it and its "expired" would be an unknown word.
func (f *facts) form(template string) verdict.Form {
	switch {
	case strings.Contains(template, "/result/"):
		return verdict.FormJob
	case strings.Contains(template, "/sessions/"):
		return verdict.FormSession
	case f.jobNamed:
		return verdict.FormJob
	}
	return verdict.FormSession
}

// fieldsMax bounds the names that are kept to be shown.
const fieldsMax = 40

func (ans *RouteAnswer) name(key []byte) {
	if len(ans.Fields) < fieldsMax {
		ans.Fields = append(ans.Fields, strings.ToValidUTF8(string(key[:min(len(key), 64)]), ""))
	}
}

// shape says what a body looks like, for a person.
func shape(body []byte) string {
	text := strings.TrimSpace(string(body[:min(len(body), 64)]))
	switch {
	case text == "":
		return "empty"
	case text[0] == '<':
		return "html"
	case text[0] != '{' || !json.Valid(body):
		return "other"
	}
	if _, enveloped, _ := unwrap(body); enveloped {
		return "enveloped"
	}
	return "bare"
}

// isJSON accepts JSON and its relatives, and an answer that names no type at all.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
