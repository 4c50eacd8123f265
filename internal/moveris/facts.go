package moveris

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/moverisd/moverisd/internal/verdict"
)

// facts are the members of a webhook's data, a submission or an answer that moverisd
// reads, as raw JSON; nil is absent or null. The three forms have different subsets of
// them (contract sections 1 and 2) and no name with two meanings.
type facts struct {
	sessionID, jobID        []byte
	status, verdict         []byte
	available, failure      []byte
	score, realScore        []byte
	confidence, kind, model []byte
	createdAt, completedAt  []byte

	verdictNamed bool // the key "verdict" is there, null or not
	jobNamed     bool // the key "job_id" is there with a value
}

// set takes over one member. Of a repeated key the last one counts, null included.
func (f *facts) set(key, value []byte) {
	if isNull(value) {
		value = nil
	}
	switch string(key) {
	case "session_id":
		f.sessionID = value
	case "job_id":
		f.jobID, f.jobNamed = value, value != nil
	case "status":
		f.status = value
	case "verdict":
		f.verdict, f.verdictNamed = value, true
	case "available":
		f.available = value
	case "error":
		f.failure = value
	case "score":
		f.score = value
	case "real_score":
		f.realScore = value
	case "confidence":
		f.confidence = value
	case "type":
		f.kind = value
	case "model":
		f.model = value
	case "created_at":
		f.createdAt = value
	case "completed_at":
		f.completedAt = value
	}
}

// failed reports whether an error is set: anything but null and an empty string.
func (f *facts) failed() bool { return f.failure != nil && string(f.failure) != `""` }

// observation reads what all forms have in common. What is not of its type stays zero
// and is remembered in t.
func (f *facts) observation(t *typed) verdict.Observation {
	return verdict.Observation{
		Status:      t.word(f.status),
		Verdict:     t.word(f.verdict),
		Unavailable: t.no(f.available),
		CreatedAt:   t.instant(f.createdAt),
		Model:       t.text(f.model),
		Type:        t.text(f.kind),
		Score:       t.number(f.score),
		RealScore:   t.number(f.realScore),
		Confidence:  t.number(f.confidence),
	}
}

// typed reads raw members by type and remembers whether one was of another type.
type typed struct{ wrong bool }

func (t *typed) text(raw []byte) string {
	if raw == nil {
		return ""
	}
	s, ok := unquote(raw)
	if !ok {
		t.wrong = true
	}
	return s
}

// wordMax is far above any known word; an unknown one is shown to people.
const wordMax = 100

// word reads a word in lower case. Only ASCII is lowered: Unicode has letters, such as
// the Kelvin sign, that become ASCII ones, and a verdict must have been spelled out.
// What is cut or replaced to be shown safely is no known word before and none after.
func (t *typed) word(raw []byte) string {
	s := strings.TrimSpace(t.text(raw))
	if len(s) > wordMax {
		s = strings.ToValidUTF8(s[:wordMax], "")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// no reports whether raw is an explicit false.
func (t *typed) no(raw []byte) bool {
	switch string(raw) {
	case "false":
		return true
	case "true", "":
		return false
	}
	t.wrong = true
	return false
}

func (t *typed) number(raw []byte) *float64 {
	if raw == nil {
		return nil
	}
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		t.wrong = true
		return nil
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(n, 0) { // a number too large for any score
		t.wrong = true
		return nil
	}
	return &n
}

// instant reads an RFC 3339 time with any offset and any number of fractional digits
// (contract section 1), of which nine are kept.
func (t *typed) instant(raw []byte) time.Time {
	if raw == nil {
		return time.Time{}
	}
	s, ok := unquote(raw)
	var at time.Time
	// UnmarshalText keeps to the RFC; time.Parse takes a comma and one-digit hours.
	if !ok || at.UnmarshalText([]byte(s)) != nil {
		t.wrong = true
		return time.Time{}
	}
	return at.UTC()
}

func firstTime(times ...time.Time) time.Time {
	for _, at := range times {
		if !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}
