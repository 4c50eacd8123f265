package moveris

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moverisd/moverisd/internal/verdict"
)

func concluded(route string, status int, body string, header ...string) (RouteAnswer, *Told) {
	resp := says(status, body, header...)
	x := &exchange{status: status, header: resp.Header, body: []byte(body), requests: 1}
	a := Asked{SessionID: "s", JobID: "j", Backoff: time.Minute}
	return conclude(route, a, x, time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC), 15*time.Minute)
}

func TestConcludeReadsAJob(t *testing.T) {
	body := `{"data":{"job_id":"j","session_id":"s","status":"complete","verdict":"Fake","confidence":0.2,"real_score":0.1,` +
		`"created_at":"2026-02-10T15:26:41Z","completed_at":"2026-02-10T16:26:42.5+01:00","available":true,"warning":null,"error":null},"success":true}`
	ans, told := concluded(byJob, 200, body, "Date", "Mon, 23 Nov 2026 10:00:05 GMT")
	want := &Told{Route: byJob, Body: []byte(body), Observation: verdict.Observation{
		Source: verdict.Poll, Form: verdict.FormJob, Status: "complete", Verdict: "fake", Route: byJob, JobID: "j",
		CreatedAt:   time.Date(2026, 2, 10, 15, 26, 41, 0, time.UTC),
		CompletedAt: time.Date(2026, 2, 10, 15, 26, 42, 5e8, time.UTC),
		AsOf:        time.Date(2026, 2, 10, 15, 26, 42, 5e8, time.UTC),
		ObservedAt:  time.Date(2026, 11, 23, 10, 0, 0, 123e6, time.UTC),
		Confidence:  new(0.2), RealScore: new(0.1), RepeatAfter: time.Minute, Digest: sha256.Sum256([]byte(body)),
	}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if ans.Conclusion != Settles || ans.Word != "complete" || ans.Shape != "enveloped" || len(ans.Fields) != 11 || ans.Err != nil {
		t.Errorf("%+v", ans)
	}
	if ans.Date.Second() != 5 {
		t.Errorf("Date = %v", ans.Date)
	}
}

func TestConclude200(t *testing.T) {
	const s = `"session_id":"s"`
	for _, tc := range []struct{ route, body, want string }{
		{byJob, `{"session_id":"s","status":"complete","verdict":"live"}`, Settles}, // bare
		{byJob, `{"session_id":"s","status":"completed","verdict":"inconclusive"}`, Settles},
		{byJob, `{"job_id":"j","status":"complete","verdict":"live"}`, Settles}, // job alone
		{byJob, `{"job_id":"s","status":"complete","verdict":"live"}`, Settles}, // job id is the session id
		{byJob, `{"session_id":null,"job_id":"j","status":"failed","error":"ml"}`, Settles},
		{byJob, `{"session_id":"s","status":"complete","verdict":null}`, NullVerdict},
		{byJob, `{"session_id":"s","status":"queued"}`, Unfinished},
		{byJob, `{"session_id":"s","status":"processing","verdict":"live"}`, Unfinished},
		{byJob, `{"session_id":"s","status":"complete","verdict":"live","available":false}`, Unfinished},
		{byJob, `{"session_id":"s","status":"expired"}`, UnknownWord},
		{byJob, `{"session_id":"s","verdict":"live"}`, UnknownWord}, // no status
		{byJob, `{"session_id":"s","status":"complete","verdict":"maybe"}`, UnknownWord},
		{bySession, `{"session_id":"s","status":"expired"}`, Settles},
		{bySession, `{"session_id":"s","status":"in_progress"}`, Unfinished},
		{bySession, `{"session_id":"s","status":"failed"}`, NullVerdict},
		{bySession, `{"session_id":"s","job_id":"j","status":"failed","verdict":"fake"}`, Settles},
		{bySession, `{"session_id":"s","status":"archived"}`, UnknownWord},
		{bySession, `{"data":{"session_id":"s","status":"expired"},"success":true}`, Settles},

		{byJob, `{"session_id":"other","job_id":"j","status":"complete","verdict":"live"}`, WrongSession},
		{byJob, `{"job_id":"k","status":"complete","verdict":"live"}`, WrongSession},
		{byJob, `{"session_id":"S","status":"complete","verdict":"live"}`, WrongSession},
		{byJob, `{"status":"complete","verdict":"live"}`, NotAResult},
		{byJob, `{"data":{"session_id":"s","status":"complete","verdict":"live"}}`, NotAResult}, // data without success
		{byJob, `{"data":{"session_id":"s","status":"complete","verdict":"live"},"success":false}`, NotAResult},
		{byJob, `{"data":{"session_id":"s","status":"complete","verdict":"live"},"success":null}`, NotAResult},
		{byJob, `{"data":null,"success":true,"session_id":"s","status":"complete","verdict":"live"}`, NotAResult},
		{byJob, `{"success":false,"session_id":"s","status":"complete","verdict":"live"}`, NotAResult},
		{byJob, `{"data":{` + s + `,"status":"complete","verdict":"live","error":"x"},"success":true}`, NotAResult},
		{byJob, `{"data":[{` + s + `}],"success":true}`, NotAResult},
		{byJob, `{` + s + `,"status":"complete","verdict":"live"`, NotAResult},
		{byJob, `{` + s + `,"status":"complete","verdict":"live"}}`, NotAResult},
		{byJob, `{` + s + `,"status":"complete","verdict":true}`, NotAResult},
		{byJob, `{` + s + `,"status":1,"verdict":"live"}`, NotAResult},
		{byJob, `{` + s + `,"status":"complete","verdict":"live","available":"no"}`, NotAResult},
		{byJob, `{` + s + `,"status":"complete","verdict":"live","completed_at":5}`, NotAResult},
		{byJob, `{` + s + `,"status":"complete","verdict":"live","real_score":"0.9"}`, NotAResult},
		{byJob, `{"session_id":5,"status":"complete","verdict":"live"}`, NotAResult},
		{byJob, ``, NotAResult}, {byJob, `null`, NotAResult}, {byJob, `"live"`, NotAResult}, {byJob, `<html>live</html>`, NotAResult},
	} {
		ans, told := concluded(tc.route, 200, tc.body)
		if ans.Conclusion != tc.want {
			t.Errorf("%s: %s (%v), want %s", tc.body, ans.Conclusion, ans.Err, tc.want)
		}
		if wantTold := tc.want == Settles || tc.want == NullVerdict || tc.want == UnknownWord; (told != nil) != wantTold {
			t.Errorf("%s: told = %v", tc.body, told)
		}
		if (ans.Err != nil) == bears(ans.Conclusion) {
			t.Errorf("%s: %s with error %v", tc.body, ans.Conclusion, ans.Err)
		}
	}
}

// A session's "failed" means that the user did not pass; a job's that processing failed.
func TestFourMeaningsOfFailedStayApart(t *testing.T) {
	for route, want := range map[string]verdict.Outcome{bySession: "fake", byJob: "failed", "/jobs/{job_id}": "failed"} {
		_, told := concluded(route, 200, `{"session_id":"s","job_id":"j","status":"failed","verdict":"fake"}`)
		if got := told.Observation.Ends().Outcome; got != want {
			t.Errorf("%s: %s, want %s", route, got, want)
		}
	}
	if _, told := concluded("/v2/{session_id}", 200, `{"session_id":"s","job_id":null,"status":"expired"}`); told.Observation.Form != verdict.FormSession {
		t.Errorf("form = %s", told.Observation.Form)
	}
}

func TestConcludeByStatus(t *testing.T) {
	for _, tc := range []struct {
		status     int
		body, want string
	}{
		{404, `{"session_id":"s","status":"complete","verdict":"live"}`, NotFound}, {404, ``, NotFound}, {410, ``, NotFound},
		{401, `{"error":"session_not_found"}`, Denied}, {403, ``, Denied}, {402, ``, NoCredits},
		{429, `{"error":"rate_limited"}`, RateLimited}, {408, ``, ServerError}, {500, ``, ServerError}, {503, `<html>`, ServerError}, {599, ``, ServerError},
		{500, `{"error":"http_error","message":"{'error': 'session_not_found'}"}`, ServerError},
		{301, ``, NotAResult}, {304, ``, NotAResult}, {204, ``, NotAResult},
		{202, `{"session_id":"s","status":"complete","verdict":"live"}`, NotAResult},
		{400, ``, Refused}, {405, ``, Refused}, {422, `{"error":"validation_error"}`, Refused},
		{400, `{"error":"session_expired"}`, NotFound},
		{422, `{"error":"http_error","message":"{'error': 'invalid_session'}"}`, NotFound},
	} {
		ans, told := concluded(byJob, tc.status, tc.body)
		if ans.Conclusion != tc.want || told != nil {
			t.Errorf("%d %s: %s, %v, want %s", tc.status, tc.body, ans.Conclusion, told, tc.want)
		}
		var e *AnswerError
		if tc.want != NotFound && (!errors.As(ans.Err, &e) || e.Status != tc.status) {
			t.Errorf("%d: error %v", tc.status, ans.Err)
		}
	}
}

func TestConcludeMedia(t *testing.T) {
	body := `{"session_id":"s","status":"complete","verdict":"live"}`
	for media, want := range map[string]string{
		"application/json; charset=utf-8": Settles, "application/problem+json": Settles, "": Settles, "APPLICATION/JSON": Settles,
		"text/html": NotAResult, "text/plain": NotAResult, "application/jsonp": NotAResult, ";": NotAResult,
	} {
		if ans, _ := concluded(byJob, 200, body, "Content-Type", media); ans.Conclusion != want {
			t.Errorf("%q: %s, want %s", media, ans.Conclusion, want)
		}
	}
}

func TestShapes(t *testing.T) {
	for body, want := range map[string]string{
		"": "empty", "  \n": "empty", "<!doctype html>": "html", " <html>": "html", "text": "other", "[1]": "other", "{": "other",
		`{"a":1}`: "bare", `{"data":1}`: "bare", `{"data":null,"success":false}`: "enveloped", `{"data":{},"success":true}`: "enveloped",
	} {
		if got := shape([]byte(body)); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
}

func TestShownFieldsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(`,"` + strings.Repeat("k", 100) + string(rune('a'+i%26)) + `":1`)
	}
	ans, _ := concluded(byJob, 200, `{"session_id":"s","status":"queued"`+b.String()+`}`)
	if len(ans.Fields) != fieldsMax || len(ans.Fields[20]) > 64 {
		t.Errorf("%d fields, %d bytes", len(ans.Fields), len(ans.Fields[20]))
	}
}

func TestWaitIsCapped(t *testing.T) {
	ans, _ := concluded(byJob, http.StatusTooManyRequests, "", "Retry-After", "9223372036854775807")
	if ans.RetryAfter != 15*time.Minute {
		t.Errorf("RetryAfter = %v", ans.RetryAfter)
	}
}
