package moveris

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// spelled reports whether a word stands in the raw bytes, in any case or with any of
// its letters escaped.
func spelled(raw []byte, word string) bool {
	var pattern strings.Builder
	for _, r := range word {
		pattern.WriteString(`(?:` + string(r) + `|` + strings.ToUpper(string(r)))
		for _, c := range []rune{r, r - 'a' + 'A'} {
			pattern.WriteString(`|\\u00` + `(?i:` + strings.ToLower(hex2(byte(c))) + `)`)
		}
		pattern.WriteString(`)`)
	}
	return regexp.MustCompile(pattern.String()).Match(raw)
}

func hex2(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// notOutOfNothing is promise 3: an outcome was spelled out by somebody.
func notOutOfNothing(t *testing.T, raw []byte, o verdict.Observation) {
	t.Helper()
	if out := o.Ends().Outcome; out != "" && !spelled(raw, string(out)) {
		t.Errorf("%q out of %q", out, raw)
	}
	if o.CreatedAt.Location() != time.UTC || o.AsOf.Location() != time.UTC {
		t.Errorf("times not in UTC: %v, %v", o.CreatedAt, o.AsOf)
	}
}

func FuzzParseWebhook(f *testing.F) {
	for _, s := range []string{guideBody, delivery(`{"verdict":"\u0066AKE"}`), delivery(`{"verdict":null}`), `{"event":"verification.failed","session_id":"s","data":[1]}`, `{"event":"ping"}`, `[]`, ``, `{"a":[{"b":"\""}],"event":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := ParseWebhook(body)
		if err != nil {
			if d.Known || d.Observation.Ends().Outcome != "" {
				t.Errorf("%+v beside %v", d, err)
			}
			return
		}
		if d.Known {
			if !verdict.ValidID(d.SessionID) {
				t.Errorf("session id %q", d.SessionID)
			}
			notOutOfNothing(t, body, d.Observation)
		}
	})
}

func FuzzSubmission(f *testing.F) {
	for _, s := range []string{`{"session_id":"s","verdict":"live"}`, `{"data":{"verdict":"FAKE"},"success":true}`, `{"verdict":null,"status":"complete"}`, `{"data":null,"success":true}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, o, err := ParseSubmission(raw)
		if err == nil {
			if id != "" && !verdict.ValidID(id) {
				t.Errorf("session id %q", id)
			}
			notOutOfNothing(t, raw, o)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{job("complete", "live"), `{"session_id":"s","status":"expired"}`, `{"job_id":"j","status":"failed","error":"x"}`, `{"data":{"session_id":"s","status":"complete","verdict":"fake"},"success":true}`, `{"error":"http_error","message":"{'error': 'x'}"}`, `{"errors":[{"a":["b"]}]}`} {
		f.Add(200, s, true)
		f.Add(404, s, false)
		f.Add(429, s, false)
	}
	f.Fuzz(func(t *testing.T, status int, body string, session bool) {
		route := byJob
		if session {
			route = bySession
		}
		x := &exchange{status: status, header: http.Header{}, body: []byte(body), requests: 1}
		ans, told := conclude(route, Asked{SessionID: "s", JobID: "j"}, x, time.Now(), time.Minute)
		if ans.Conclusion == "" || ans.RetryAfter < 0 || ans.RetryAfter > time.Minute || len(ans.Code) > 64 {
			t.Errorf("%+v", ans)
		}
		if told == nil {
			return
		}
		if status != 200 {
			t.Errorf("told by status %d", status)
		}
		notOutOfNothing(t, []byte(body), told.Observation)
	})
}

func FuzzSignatureHeader(f *testing.F) {
	f.Add(guideSignature)
	f.Add("sha256=")
	f.Add(strings.ToUpper(guideSignature))
	v := guideVerifier()
	f.Fuzz(func(t *testing.T, header string) {
		if _, ok := v.Match([]byte(guideBody), header); ok != (header == guideSignature) {
			t.Errorf("%q: %v", header, ok)
		}
	})
}
