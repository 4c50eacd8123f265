package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// PUT: 201 new, 200 known and nothing changed, 409 where it differs; null fields are filled
// (product section 4).
func TestPut(t *testing.T) {
	r := newRig(t)
	var s, again Session
	r.call(201, "PUT", "/v1/sessions/a", `{"grace_period":"90s","metadata":{"b":1,"a":"<ü>"}}`, &s)
	if s.State != "awaiting" || s.Account != "production" || s.JobID != nil || string(s.Metadata) == "null" || s.Observations == nil {
		t.Fatalf("%+v", s)
	}
	r.clock.Store(time.Now().Add(10 * time.Second).UnixMilli())
	r.call(200, "PUT", "/v1/sessions/a", `{"grace_period":"5m","metadata":{"a":"<ü>","b":1}}`, &again)
	if *again.NextPollAt != *s.NextPollAt || *again.ExpectedAt != *s.ExpectedAt {
		t.Errorf("repeating it extends the grace period: %s, then %s", *s.NextPollAt, *again.NextPollAt)
	}
	r.call(200, "PUT", "/v1/sessions/a", ``, nil)
	r.call(200, "PUT", "/v1/sessions/a", `{"job_id":"j"}`, &s)
	if *s.JobID != "j" {
		t.Errorf("the job id is not filled: %+v", s)
	}
	r.refused(409, "PUT", "/v1/sessions/a", `{"job_id":"k"}`)
	r.refused(409, "PUT", "/v1/sessions/a", `{"metadata":{}}`)

	// A settled outcome is not touched, one more verification is expected when said so.
	r.deliver("production", "a", "live")
	r.call(200, "PUT", "/v1/sessions/a", `{"job_id":"j"}`, &s)
	if s.State != "settled" || s.AwaitingAgain {
		t.Errorf("expecting it once more has touched it: %+v", s)
	}
	r.call(200, "PUT", "/v1/sessions/a", `{"again":true}`, &s)
	if s.State != "settled" || *s.Outcome != "live" || !s.AwaitingAgain {
		t.Errorf("again: %+v", s)
	}
}

// On a missing session a new job id makes it due now (product section 4).
func TestPutNewJobOfAnOverdueOne(t *testing.T) {
	r := newRig(t)
	start := time.Now()
	r.clock.Store(start.UnixMilli())
	var s Session
	r.call(201, "PUT", "/v1/sessions/a", `{"grace_period":"1s"}`, nil)
	r.clock.Store(start.Add(10 * time.Second).UnixMilli())
	r.call(200, "PUT", "/v1/sessions/a", `{"job_id":"j"}`, &s)
	if at, err := time.Parse(time.RFC3339Nano, *s.NextPollAt); s.State != "overdue" || err != nil || at.After(r.now()) {
		t.Errorf("%s, due at %s, now %s", s.State, *s.NextPollAt, r.now().UTC())
	}
}

// What is refused, and with what.
func TestRefused(t *testing.T) {
	r := newRig(t)
	r.call(201, "PUT", "/v1/sessions/known", "", nil)
	long := strings.Repeat("x", 201)
	for _, c := range []struct {
		want                 int
		method, target, body string
	}{
		{400, "PUT", "/v1/sessions/" + long, ""},
		{400, "PUT", "/v1/sessions/a%00b", ""},
		{400, "PUT", "/v1/sessions/a%ff", ""},
		{404, "PUT", "/v1/sessions/..", ""}, // never /v1, where a redirect would lead
		{404, "DELETE", "/v1/sessions/known/../known", ""},
		{404, "PUT", "/v1//sessions/a", ""},
		{400, "PUT", "/v1/sessions/%2e%2e", ""},
		{400, "PUT", "/v1/sessions/a", `{"job":"j"}`},
		{400, "PUT", "/v1/sessions/a", `{"session_id":"b"}`},
		{400, "PUT", "/v1/sessions/a", `{} {}`},
		{400, "PUT", "/v1/sessions/a", `{}}`},
		{400, "PUT", "/v1/sessions/a", `{"again":"yes"}`},
		{400, "PUT", "/v1/sessions/a", "{\"job_id\":\"\xff\"}"},
		{400, "PUT", "/v1/sessions/a", `{"grace_period":"0s"}`},
		{400, "PUT", "/v1/sessions/a", `{"grace_period":"31d"}`},
		{400, "PUT", "/v1/sessions/a", `{"grace_period":"213503982335d"}`}, // overflows into a small one
		{400, "PUT", "/v1/sessions/a", `{"metadata":[1]}`},
		{413, "PUT", "/v1/sessions/a", `{"metadata":{"a":"` + strings.Repeat("x", metadataMax) + `"}}`},
		{400, "PUT", "/v1/sessions/a", `{"metadata":{"a":` + strings.Repeat("[", metadataDepthMax) + strings.Repeat("]", metadataDepthMax) + `}}`},
		{400, "PUT", "/v1/sessions/a", `{"metadata":` + strings.Repeat(`{"a":`, metadataDepthMax) + "{}" + strings.Repeat("}", metadataDepthMax) + `}`},
		{413, "PUT", "/v1/sessions/a", `{"job_id":"` + strings.Repeat("x", bodyMax) + `"}`},
		{400, "PUT", "/v1/sessions/a?account=staging", ""},
		{400, "PUT", "/v1/sessions/a?account=production", `{"account":"staging"}`},
		{400, "PUT", "/v1/sessions/a?acount=production", ""},
		{400, "PUT", "/v1/sessions/a?account=production&account=production", ""},
		{404, "GET", "/v1/sessions/unknown", ""},
		{404, "GET", "/v1/sessions/unknown?wait=30s", ""},
		{404, "DELETE", "/v1/sessions/unknown", ""},
		{404, "POST", "/v1/sessions/unknown/poll", ""},
		{400, "GET", "/v1/sessions/known?wait=soon", ""},
		{400, "GET", "/v1/sessions/known?wait=-1s", ""},
		{400, "GET", "/v1/sessions/known?raw=yes", ""},
		{400, "GET", "/v1/sessions?state=done", ""},
		{400, "GET", "/v1/sessions?outcome=good", ""},
		{400, "GET", "/v1/sessions?source=mail", ""},
		{400, "GET", "/v1/sessions?conflict=maybe", ""},
		{400, "GET", "/v1/sessions?limit=0", ""},
		{400, "GET", "/v1/sessions?limit=1001", ""},
		{400, "GET", "/v1/sessions?since=later", ""},
		{400, "GET", "/v1/sessions?after=x", ""},
		{400, "GET", "/v1/sessions?a;b", ""},
		{400, "GET", "/v1/events?after=-1", ""},
		{400, "GET", "/v1/events?after=x", ""},
		{400, "GET", "/v1/events?after=" + r.st.ID() + "_", ""},
		{400, "GET", "/v1/events?limit=1001", ""},
		{400, "GET", "/v1/status?verbose=1", ""},
		{400, "POST", "/v1/sessions/known/observations", `{"score":94}`},
		{400, "POST", "/v1/sessions/known/observations", `not JSON`},
		{400, "POST", "/v1/sessions/known/observations", `{"session_id":"other","verdict":"live"}`},
		{400, "POST", "/v1/sessions/known/observations", `{"status":"processing","verdict":null}`},
		{413, "POST", "/v1/sessions/known/observations", `{"verdict":"live","x":"` + strings.Repeat("x", bodyMax) + `"}`},
		{404, "GET", "/v1/nothing", ""},
		{404, "GET", "/", ""},
		{405, "PATCH", "/v1/sessions/known", ""},
		{405, "POST", "/livez", ""},
	} {
		p := r.refused(c.want, c.method, c.target, c.body)
		if c.want == 405 && r.do(c.method, c.target, "").Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.target)
		}
		if p.Detail == "" {
			t.Errorf("%s %s: says nothing", c.method, c.target)
		}
	}
	var list SessionList
	r.call(200, "GET", "/v1/sessions", "", &list)
	if len(list.Sessions) != 1 {
		t.Errorf("something was made of what was refused: %+v", list.Sessions)
	}
}

// Calls take ?account=; without it, an id that several accounts know is answered 409 with
// their names (product section 4).
func TestAccounts(t *testing.T) {
	r := newRig(t, "one", "two")
	names := func(p Problem) {
		t.Helper()
		if !slices.Equal(p.Names, []string{"one", "two"}) {
			t.Errorf("names %v", p.Names)
		}
	}
	names(r.refused(409, "PUT", "/v1/sessions/a", ""))
	r.refused(404, "DELETE", "/v1/sessions/a", "")
	r.call(201, "PUT", "/v1/sessions/a?account=one", "", nil)
	r.call(200, "PUT", "/v1/sessions/a", "", nil) // known in one account only
	r.call(201, "PUT", "/v1/sessions/a", `{"account":"two"}`, nil)
	for _, c := range [][3]string{{"GET", "", ""}, {"PUT", "", ""}, {"DELETE", "", ""}, {"POST", "/poll", ""},
		{"POST", "/observations", `{"verdict":"live"}`}} {
		names(r.refused(409, c[0], "/v1/sessions/a"+c[1], c[2]))
	}
	var s Session
	r.call(201, "POST", "/v1/sessions/a/observations?account=two", `{"verdict":"live"}`, nil)
	r.call(200, "GET", "/v1/sessions/a?account=two", "", &s)
	if s.Account != "two" || s.State != "settled" {
		t.Errorf("%+v", s)
	}
	r.call(200, "DELETE", "/v1/sessions/a?account=one", "", &s)
	if s.Account != "one" || s.State != "withdrawn" {
		t.Errorf("%+v", s)
	}
	var list SessionList
	r.call(200, "GET", "/v1/sessions?account=two", "", &list)
	if len(list.Sessions) != 1 || list.Sessions[0].Account != "two" {
		t.Errorf("%+v", list)
	}
	w := r.do("POST", "/v1/sessions?account=one", `{"session_id":"b"}`+"\n"+`{"session_id":"c","account":"two"}`)
	if got := lines[LineResult](t, w.Body); len(got) != 1+0 && (got[0].Status != 201 || got[1].Status != 400) {
		t.Errorf("%+v", got)
	}
}

// Three sources can agree or contradict: a submission is one of them, and the same bytes
// twice are one.
func TestSubmit(t *testing.T) {
	r := newRig(t)
	at := time.Now().UTC().Format(time.RFC3339Nano)
	body := `{"data":{"verdict":"live","score":94.0,"model":"mixed-10-v2","created_at":"` + at + `"},"success":true,"message":"OK"}`
	var s Session
	r.call(201, "POST", "/v1/sessions/a/observations", body, &s)
	if s.State != "settled" || *s.Outcome != "live" || *s.FirstBy != "submitted" || len(s.Observations) != 1 || s.ExpectedAt != nil {
		t.Fatalf("%+v", s)
	}
	r.call(200, "POST", "/v1/sessions/a/observations", body, &s)
	if len(s.Observations) != 1 {
		t.Errorf("the same twice: %+v", s.Observations)
	}
	r.call(200, "GET", "/v1/sessions/a?raw=1", "", &s)
	if s.Observations[0].Body == nil || *s.Observations[0].Body != body {
		t.Errorf("raw: %+v", s.Observations[0])
	}
	r.call(200, "GET", "/v1/sessions/a", "", &s)
	s.Observations[0].Body = nil
	r.call(201, "POST", "/v1/sessions/a/observations", strings.Replace(body, `"live"`, `"fake"`, 1), &s)
	if !s.Conflict || *s.Outcome != "live" {
		t.Errorf("a contradiction: %+v", s)
	}
	// An answer that is none must not become a verdict.
	r.refused(400, "POST", "/v1/sessions/b/observations", `{"data":null,"success":false,"message":"no"}`)
	r.refused(404, "GET", "/v1/sessions/b", "")
}

// Lists leave out observations, go on by their cursor and select.
func TestList(t *testing.T) {
	r := newRig(t)
	for n := range 5 {
		r.call(201, "PUT", fmt.Sprintf("/v1/sessions/s%d", n), `{"metadata":{"n":1}}`, nil)
	}
	r.deliver("production", "s1", "live")
	r.deliver("production", "s2", "fake")
	var ids []string
	for after := ""; ; {
		w := r.do("GET", "/v1/sessions?limit=2"+after, "")
		if strings.Contains(w.Body.String(), "observations") {
			t.Errorf("a list with observations: %s", w.Body)
		}
		var page SessionList
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			ids = append(ids, s.SessionID)
		}
		if page.Next == nil {
			break
		}
		after = "&after=" + *page.Next
	}
	if !slices.Equal(ids, []string{"s4", "s3", "s2", "s1", "s0"}) {
		t.Errorf("%v", ids)
	}
	for query, want := range map[string]int{"state=settled": 2, "outcome=fake": 1, "state=awaiting": 3, "source=webhook": 2,
		"source=poll": 0, "conflict=1": 0, "conflict=0": 5, "since=1h": 5, "since=2100-01-01T00:00:00Z": 0, "state=missing": 0} {
		var page SessionList
		if r.call(200, "GET", "/v1/sessions?"+query, "", &page); len(page.Sessions) != want || page.Sessions == nil {
			t.Errorf("%s: %d, want %d", query, len(page.Sessions), want)
		}
	}
}
