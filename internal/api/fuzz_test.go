package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// Whatever comes as a list of expectations, each line is answered, nothing panics, and no
// session gets a verdict out of it.
func FuzzExpectLines(f *testing.F) {
	for _, seed := range []string{
		`{"session_id":"a"}`, "{\"session_id\":\"a\",\"job_id\":\"j\",\"again\":true}\n\n{\"session_id\":\"b\",\"metadata\":{\"x\":1}}",
		`{"session_id":"..","grace_period":"1s"}`, `{"session_id":"a","metadata":[1]}`, `{"verdict":"live","session_id":"a"}`,
		`{"session_id":"a","account":"nobody"}`, "{", "null", "\xff\n{}", `{"session_id":"a","grace_period":"99999999999d"}`,
	} {
		f.Add([]byte(seed))
	}
	r := newRig(f)
	f.Fuzz(func(t *testing.T, lines []byte) {
		req := httptest.NewRequest(http.MethodPost, "/v1/sessions", bytes.NewReader(lines))
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		for dec := json.NewDecoder(w.Body); dec.More(); {
			var line LineResult
			if err := dec.Decode(&line); err != nil {
				t.Fatalf("an answer cannot be read: %v", err)
			}
			if line.Status < 200 || (line.Status >= 400) != (line.Problem != nil) {
				t.Fatalf("line %d: status %d, problem %v", line.Line, line.Status, line.Problem)
			}
		}
		views, _, err := r.st.List(t.Context(), store.Filter{Limit: 1, State: verdict.Settled})
		if err != nil || len(views) > 0 {
			t.Fatalf("settled sessions %v, error %v", views, err)
		}
	})
}
