package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func post(t *testing.T, m *Moveris, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("X-API-Key", "key")
	m.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func frames(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"index":%d,"timestamp_ms":%d,"pixels":"aGk="}`, i, i*33))
	}
	return strings.Join(list, ",")
}

// A check ends a verification, its answer holds the verdict, and the same bytes once more are
// the same check.
func TestFastCheck(t *testing.T) {
	m := New(Config{APIKey: "key"})
	body := `{"session_id":"s","model":"mixed-10-v2","frames":[` + frames(10) + `]}`
	code, first := post(t, m, "/api/v1/fast-check", body)
	var res struct{ Data checkResult }
	if err := json.Unmarshal([]byte(first), &res); err != nil || code != 200 || *res.Data.Verdict != "live" || res.Data.SessionID != "s" ||
		res.Data.FramesProcessed != 10 {
		t.Fatalf("%d %s", code, first)
	}
	if _, again := post(t, m, "/api/v1/fast-check", body); again != first {
		t.Errorf("the same again: %s", again)
	}
	if err := m.SetCheckOutcome(Null); err != nil {
		t.Fatal(err)
	}
	if code, text := post(t, m, "/api/v1/fast-check", strings.Replace(body, "aGk=", "aGo=", 1)); code != 200 || !strings.Contains(text, `"verdict":null`) {
		t.Errorf("%d %s", code, text)
	}
	if s, _ := m.Session("s"); s.Verification != 2 {
		t.Errorf("%+v", s)
	}
	for body, want := range map[string]string{
		`{"session_id":"s","model":"mixed-10-v2","frames":[` + frames(9) + `]}`: "insufficient_frames",
		`{"frames":[]}`: "validation_error",
		`nonsense`:      "validation_error",
	} {
		if code, text := post(t, m, "/api/v1/fast-check", body); code != http.StatusUnprocessableEntity || !strings.Contains(text, want) {
			t.Errorf("%d %s", code, text)
		}
	}
}

// A stream buffers until it has as many different frames as the model needs.
func TestFastCheckStream(t *testing.T) {
	m := New(Config{APIKey: "key"})
	frame := func(n int) string {
		code, text := post(t, m, "/api/v1/fast-check-stream",
			fmt.Sprintf(`{"session_id":"s","model":"mixed-3-v2","frame":{"index":%d,"pixels":"aGk="}}`, n))
		if code != 200 {
			t.Fatalf("%d %s", code, text)
		}
		return text
	}
	frame(0)
	frame(0)
	if text := frame(2); !strings.Contains(text, `"status":"buffering"`) || !strings.Contains(text, `"frames_received":2`) {
		t.Error(text)
	}
	last := frame(1)
	if !strings.Contains(last, `"status":"complete"`) || !strings.Contains(last, `"verdict":"live"`) {
		t.Error(last)
	}
	if frame(1) != last {
		t.Error("the same frame once more begins another stream")
	}
	if code, text := post(t, m, "/api/v1/fast-check-stream", `{"session_id":"s"}`); code != 422 {
		t.Errorf("%d %s", code, text)
	}
}
