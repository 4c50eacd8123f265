package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// operations are the documented calls as the mux writes them.
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	ops := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			ops[method+" "+path] = op
		}
	}
	return ops
}

// Every call that applications make is documented, every documented one is answered, and
// both know the same parameters.
func TestDocumentNamesTheCalls(t *testing.T) {
	r, doc := newRig(t), loadDocument(t)
	ops := operations(doc)
	for pattern := range r.calls() {
		if !strings.Contains(pattern, " "+adminPrefix) && ops[pattern] == nil {
			t.Errorf("%s is not in openapi.yaml", pattern)
		}
	}
	for pattern, op := range ops {
		if r.calls()[pattern] == nil {
			t.Errorf("%s is in openapi.yaml and is no call", pattern)
		}
		_, path, _ := strings.Cut(pattern, " ")
		var names []string
		for _, list := range []openapi3.Parameters{op.Parameters, doc.Paths.Find(path).Parameters} {
			for _, p := range list {
				if p.Value.In == "query" {
					names = append(names, p.Value.Name)
				}
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, parameters()[pattern]) {
			t.Errorf("%s: openapi.yaml has the parameters %v, the call %v", pattern, names, parameters()[pattern])
		}
	}
	for pattern := range parameters() {
		if ops[pattern] == nil {
			t.Errorf("%s has parameters and is no call", pattern)
		}
	}
}

// conversation makes calls over HTTP and holds each answer against the document.
type conversation struct {
	t       *testing.T
	doc     *openapi3.T
	ops     map[string]*openapi3.Operation
	server  string
	token   string
	answers map[string]bool // "PUT /v1/sessions/{id} 201"
}

// closed makes every schema refuse what it does not name, so that an answer with a field
// that is not documented fails.
func closed(doc *openapi3.T) {
	no := false
	for _, s := range doc.Components.Schemas {
		if v := s.Value; len(v.Properties) > 0 && v.AdditionalProperties.Has == nil {
			v.AdditionalProperties.Has = &no
		}
	}
}

func (c *conversation) call(pattern, target, body string, header http.Header) []byte {
	c.t.Helper()
	method, _, _ := strings.Cut(pattern, " ")
	req, err := http.NewRequest(method, c.server+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var raw []byte
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		raw = make([]byte, 1)
		_, err = io.ReadFull(resp.Body, raw)
	} else {
		raw, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.check(pattern, target, resp, raw)
	return raw
}

func (c *conversation) check(pattern, target string, resp *http.Response, raw []byte) {
	c.t.Helper()
	op := c.ops[pattern]
	if op == nil {
		c.t.Errorf("%s is not documented", pattern)
		return
	}
	c.answers[fmt.Sprintf("%s %d", pattern, resp.StatusCode)] = true
	ref := op.Responses.Value(strconv.Itoa(resp.StatusCode))
	if ref == nil {
		c.t.Errorf("%s %s: %d is not documented: %s", pattern, target, resp.StatusCode, raw)
		return
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	content := ref.Value.Content[media]
	if content == nil {
		c.t.Errorf("%s %s: %d has the type %q, which is not documented", pattern, target, resp.StatusCode, media)
		return
	}
	switch media {
	case "application/json", "application/problem+json", "application/x-ndjson":
		for dec := json.NewDecoder(bytes.NewReader(raw)); ; {
			var v any
			if err := dec.Decode(&v); err == io.EOF {
				return
			} else if err != nil {
				c.t.Errorf("%s %s: %v", pattern, target, err)
				return
			}
			if err := content.Schema.Value.VisitJSON(v, openapi3.EnableFormatValidation(), openapi3.MultiErrors()); err != nil {
				c.t.Errorf("%s %s: %d is not as documented: %v\n%s", pattern, target, resp.StatusCode, err, raw)
			}
		}
	}
}

// Real answers of every call, with every status that can be brought about, are as the
// document says: all that is required is there, and nothing that is not documented.
func TestDocumentDescribesTheAnswers(t *testing.T) {
	r, doc := newRig(t, "one", "two"), loadDocument(t)
	closed(doc)
	const token = "a-token-of-the-local-api"
	srv := httptest.NewServer(r.Guarded(func() []byte { return []byte(token) }))
	t.Cleanup(srv.Close)
	c := &conversation{t: t, doc: doc, ops: operations(doc), server: srv.URL, answers: map[string]bool{}}

	// Without the token each call is answered 401, but for those that need none.
	for pattern, op := range c.ops {
		method, path, _ := strings.Cut(pattern, " ")
		if op.Security != nil && len(*op.Security) == 0 {
			continue
		}
		c.call(method+" "+path, strings.ReplaceAll(path, "{id}", "a"), "", nil)
		if !c.answers[pattern+" 401"] {
			t.Errorf("%s is answered without a token", pattern)
		}
	}
	c.call("GET /livez", "/livez", "", nil)
	c.call("GET /readyz", "/readyz", "", nil)
	c.token = token
	for pattern, op := range c.ops {
		if op.Responses.Value("400") != nil {
			_, path, _ := strings.Cut(pattern, " ")
			c.call(pattern, strings.ReplaceAll(path, "{id}", "a")+"?misspelt=1", "", nil)
		}
	}
	c.sessions(r)
	c.events(r)
	for _, path := range []string{"/v1/status", "/v1/openapi.yaml", "/metrics"} {
		if c.ops["GET "+path] != nil {
			c.call("GET "+path, path, "", nil)
		}
	}
	r.broken.Store(true)
	c.call("GET /readyz", "/readyz", "", nil)
	_ = r.st.Close()
	for _, call := range [][2]string{{"PUT /v1/sessions/{id}", "/v1/sessions/z?account=one"}, {"DELETE /v1/sessions/{id}", "/v1/sessions/a?account=one"},
		{"POST /v1/sessions/{id}/observations", "/v1/sessions/a/observations?account=one"}} {
		c.call(call[0], call[1], bodyOf(call[0]), nil)
	}
	for pattern, op := range c.ops {
		for code := range op.Responses.Map() {
			// A store that cannot be read is a broken disk; its problem is one of the same kind.
			if !c.answers[pattern+" "+code] && code != "503" {
				t.Errorf("%s: nothing brought about the documented %s", pattern, code)
			}
		}
	}
}

func bodyOf(pattern string) string {
	if strings.HasSuffix(pattern, "observations") {
		return `{"verdict":"live"}`
	}
	return ""
}

func (c *conversation) sessions(r *rig) {
	const one, put, del = "GET /v1/sessions/{id}", "PUT /v1/sessions/{id}", "DELETE /v1/sessions/{id}"
	const poll, submit, list, bulk = "POST /v1/sessions/{id}/poll", "POST /v1/sessions/{id}/observations", "GET /v1/sessions", "POST /v1/sessions"
	c.call(put, "/v1/sessions/a", `{"account":"one","metadata":{"customer":17},"job_id":"j"}`, nil)
	c.call(put, "/v1/sessions/a", ``, nil)
	c.call(put, "/v1/sessions/a", `{"job_id":"k"}`, nil)
	c.call(put, "/v1/sessions/a", `{"metadata":{"x":"`+strings.Repeat("x", metadataMax)+`"}}`, nil)
	c.call(one, "/v1/sessions/a", "", nil)
	c.call(one, "/v1/sessions/unknown", "", nil)
	c.call(put, "/v1/sessions/b?account=one", ``, nil)
	c.call(put, "/v1/sessions/b?account=two", ``, nil)
	for _, call := range [][2]string{{one, ""}, {del, ""}, {poll, "/poll"}, {submit, "/observations"}} {
		c.call(call[0], "/v1/sessions/b"+call[1], bodyOf(call[0]), nil) // 409
	}
	c.call(submit, "/v1/sessions/a/observations", `{"verdict":"live","score":94.0,"real_score":0.94,"confidence":0.94,"type":"VERY HIGH","model":"m"}`, nil)
	c.call(submit, "/v1/sessions/a/observations", `{"verdict":"live","score":94.0,"real_score":0.94,"confidence":0.94,"type":"VERY HIGH","model":"m"}`, nil)
	c.call(submit, "/v1/sessions/a/observations", `{"verdict":"`+strings.Repeat("x", bodyMax)+`"}`, nil)
	r.deliver("one", "a", "fake")
	r.deliver("two", "c", "perhaps")
	c.call(one, "/v1/sessions/a?raw=1", "", nil)
	c.call(one, "/v1/sessions/c", "", nil)
	c.call(poll, "/v1/sessions/a/poll", "", nil)
	c.call(poll, "/v1/sessions/unknown/poll", "", nil)
	c.call(del, "/v1/sessions/b?account=two", "", nil)
	c.call(del, "/v1/sessions/unknown", "", nil)
	c.call(list, "/v1/sessions?limit=2", "", nil)
	c.call(list, "/v1/sessions", "", nil)
	c.call(bulk, "/v1/sessions?account=one", "{\"session_id\":\"d\"}\n{\"session_id\":\"\"}\n{\"session_id\":\"b\",\"account\":\"nobody\"}", nil)
}

func (c *conversation) events(r *rig) {
	const events = "GET /v1/events"
	c.call(events, "/v1/events", "", nil)
	c.call(events, "/v1/events?after=9999", "", nil)
	c.call(events, "/v1/events", "", http.Header{"Accept": {"text/event-stream"}})
	before := r.now()
	r.clock.Store(before.Add(2 * time.Minute).UnixMilli())
	c.call("GET /v1/sessions", "/v1/sessions?state=overdue", "", nil)
}

// The document is what is served.
func TestDocumentIsServed(t *testing.T) {
	w := newRig(t).do("GET", "/v1/openapi.yaml", "")
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), document) {
		t.Errorf("%d", w.Code)
	}
}
