package verdict

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestConcerns is rule 5.
func TestConcerns(t *testing.T) {
	for _, tt := range []struct {
		name                                       string
		askedSession, askedJob, saidSession, saidJ string
		want                                       bool
	}{
		{"its session", "s", "j", "s", "", true},
		{"its session, whatever the job", "s", "j", "s", "other", true},
		{"another session", "s", "j", "x", "j", false},
		{"another session, though the job fits", "s", "j", "x", "s", false},
		{"no session, its job", "s", "j", "", "j", true},
		{"no session, the job is the session asked for", "s", "", "", "s", true},
		{"no session, another job", "s", "j", "", "x", false},
		{"no session, no job known, a job said", "s", "", "", "j", false},
		{"nothing said", "s", "j", "", "", false},
		{"nothing said, nothing known", "", "", "", "", false},
		{"compared as it is", "S", "", "s", "", false},
	} {
		if got := Concerns(tt.askedSession, tt.askedJob, tt.saidSession, tt.saidJ); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"": false, ".": false, "..": false, "...": true, "my-session-id": true, "a b/c?": true, "é": true,
		"a\x00": false, "a\n": false, "a\x7f": false, "a\u0085": false, "\xff": false,
		strings.Repeat("a", 200): true, strings.Repeat("a", 201): false, strings.Repeat("é", 101): false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func FuzzValidID(f *testing.F) {
	for _, s := range []string{"", ".", "a", "550e8400-e29b-41d4-a716-446655440000", "a\x00", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !ValidID(id) {
			return
		}
		if id == "" || id == "." || id == ".." || len(id) > SessionIDMax || !utf8.ValidString(id) ||
			strings.ContainsAny(id, "\x00\r\n\t\x7f") {
			t.Errorf("%q is taken for an id", id)
		}
	})
}
