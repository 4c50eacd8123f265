package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"
)

func scanIn(pieces int, text string) string {
	s := scanner{key: "session_id"}
	for len(text) > 0 {
		n := min(pieces, len(text))
		s.feed([]byte(text[:n]))
		text = text[n:]
	}
	return s.value
}

// The id is found wherever it stands at the top, in whatever pieces it comes, and nowhere
// else.
func TestScan(t *testing.T) {
	big := strings.Repeat("A", 5000)
	for _, c := range []struct{ text, want string }{
		{`{"session_id":"s"}`, "s"},
		{" \n{ \"a\" : 1 , \"session_id\" :\t\"s\" }", "s"},
		{`{"frames":[{"session_id":"no","pixels":"` + big + `"}],"session_id":"s"}`, "s"},
		{`{"a":"session_id","b":{"session_id":"no"},"session_id":"s"}`, "s"},
		{`{"a":"\"session_id\":\"no\"","session_id":"s"}`, "s"},
		{`{"a":"\\","session_id":"s"}`, "s"},
		{`{"a":"\\\"","session_id":"s"}`, "s"},
		{`{"session\u005fid":"\u0073\/\"\\"}`, `s/"\`},
		{`{"session_id":"ü"}`, "ü"},
		{`{"session_id":7,"a":"no"}`, ""},
		{`{"session_id":null}`, ""},
		{`{"session_id":{"a":"no"},"b":"no"}`, ""},
		{`{"session_id":["no"]}`, ""},
		{`{"session_id":"` + big + `"}`, ""},
		{`{"` + big + `session_id":"no"}`, ""},
		{`{"session_id_":"no","xsession_id":"no"}`, ""},
		{`["session_id","no"]`, ""},
		{`"session_id"`, ""},
		{`--boundary {"session_id":"no"}`, ""},
		{`{}{"session_id":"no"}`, ""},
		{``, ""},
		{`{"session_id":"s`, ""},
	} {
		for _, pieces := range []int{1, 2, 3, 7, 4096} {
			if got := scanIn(pieces, c.text); got != c.want {
				t.Errorf("%.60s in pieces of %d: %q, want %q", c.text, pieces, got, c.want)
			}
		}
	}
}

// Whatever is valid JSON is read as encoding/json reads it.
func FuzzScan(f *testing.F) {
	f.Add(`{"a":["\"",{"session_id":1}],"session_id":"s"}`, 3)
	f.Fuzz(func(t *testing.T, text string, pieces int) {
		if pieces < 1 || len(text) > valueMax {
			return
		}
		dec := json.NewDecoder(iotest.OneByteReader(strings.NewReader(text)))
		var got map[string]json.RawMessage
		if dec.Decode(&got) != nil || got == nil || strings.Count(text, "session") != 1 || strings.Contains(text, `\`) {
			return // of a key said twice either may be meant; escaped keys are in TestScan
		}
		var want string
		if raw := got["session_id"]; len(raw) > 0 && raw[0] == '"' {
			_ = json.Unmarshal(raw, &want)
		}
		if value := scanIn(pieces, text); value != want {
			t.Errorf("%q, want %q", value, want)
		}
	})
}

// Six megabytes whose id stands at the very end, in the pieces that a proxy reads.
func BenchmarkScan(b *testing.B) {
	body := []byte(`{"frames":["` + strings.Repeat(strings.Repeat("A", 200<<10)+`","`, 30) + `"],"session_id":"s"}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		s := scanner{key: "session_id"}
		for r := bytes.NewReader(body); r.Len() > 0; {
			var p [32 << 10]byte
			n, _ := r.Read(p[:])
			s.feed(p[:n])
		}
		if s.value != "s" {
			b.Fatal(s.value)
		}
	}
}
