package moveris

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moverisd/moverisd/internal/verdict"
)

func delivery(data string) string {
	return `{"event":"verification.completed","session_id":"s","timestamp":"2026-02-10T15:26:43Z","data":` + data + `}`
}

func TestParseWebhookReadsTheSample(t *testing.T) {
	d, err := ParseWebhook([]byte(guideBody))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 2, 10, 15, 26, 42, 123456000, time.UTC)
	want := Delivery{
		Event: "verification.completed", SessionID: testID, Timestamp: at, Known: true,
		Observation: verdict.Observation{
			Source: verdict.Webhook, Form: verdict.FormCompleted, Verdict: "live",
			CreatedAt: at, AsOf: at, Model: "mixed-10-v2", Type: "VERY HIGH",
			Score: new(94.0), RealScore: new(0.94), Confidence: new(0.94),
		},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestWebhookOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       verdict.Ending
	}{
		{"live", delivery(`{"verdict":"live"}`), verdict.Ending{Outcome: "live"}},
		{"case and blanks", delivery(`{"verdict":" FaKe\n "}`), verdict.Ending{}},
		{"escaped", delivery(`{"verdict":"\u0066a\u006be"}`), verdict.Ending{Outcome: "fake"}},
		{"escaped key", delivery(`{"\u0076erdict":"fake"}`), verdict.Ending{Outcome: "fake"}},
		{"key of another case", delivery(`{"Verdict":"fake"}`), verdict.Ending{Null: true}},
		{"Kelvin sign", delivery(`{"verdict":"fa` + "\u212a" + `e"}`), verdict.Ending{Unknown: "fa\u212ae"}},
		{"null", delivery(`{"verdict":null}`), verdict.Ending{Null: true}},
		{"data null", delivery(`null`), verdict.Ending{Null: true}},
		{"data empty", delivery(`{}`), verdict.Ending{Null: true}},
		{"no data", `{"event":"verification.completed","session_id":"s"}`, verdict.Ending{Null: true}},
		{"unknown word", delivery(`{"verdict":"maybe"}`), verdict.Ending{Unknown: "maybe"}},
		{"a score alone", delivery(`{"verdict":null,"score":99.0,"type":"VERY HIGH"}`), verdict.Ending{Null: true}},
		{"the last of two", delivery(`{"verdict":"live","verdict":"fake"}`), verdict.Ending{Outcome: "fake"}},
		{"null after a verdict", delivery(`{"verdict":"live","verdict":null}`), verdict.Ending{Null: true}},
		{"verdict outside data", `{"event":"verification.completed","session_id":"s","verdict":"live","data":{}}`, verdict.Ending{Null: true}},
		{"verdict deeper", delivery(`{"x":{"verdict":"live"},"y":[{"verdict":"fake"}]}`), verdict.Ending{Null: true}},
		{"failed", `{"event":"verification.failed","session_id":"s","data":{"error":"ml"}}`, verdict.Ending{Outcome: "failed"}},
		{"failed with a verdict", `{"event":"verification.failed","session_id":"s","data":{"verdict":"live"}}`, verdict.Ending{Outcome: "failed"}},
		{"failed, data of any shape", `{"event":"verification.failed","session_id":"s","data":"pipeline"}`, verdict.Ending{Outcome: "failed"}},
		{"failed, fields of any type", `{"event":"verification.failed","session_id":"s","data":{"type":{"a":1},"model":7,"created_at":5,"session_id":[]}}`, verdict.Ending{Outcome: "failed"}},
		{"blanks between", " {\n\"event\" :\t\"verification.completed\" , \"session_id\" : \"s\" , \"data\" : { \"verdict\" : \"live\" } } \n", verdict.Ending{Outcome: "live"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "case and blanks" {
				tc.body, tc.want = strings.ReplaceAll(tc.body, "\n", `\n`), verdict.Ending{Outcome: "fake"}
			}
			d, err := ParseWebhook([]byte(tc.body))
			if err != nil || !d.Known || d.SessionID != "s" {
				t.Fatalf("%+v, %v", d, err)
			}
			if got := d.Observation.Ends(); got != tc.want {
				t.Errorf("Ends = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestUnusableDeliveries(t *testing.T) {
	long := strings.Repeat("x", verdict.SessionIDMax+1)
	for _, tc := range []struct{ body, reason string }{
		{``, ReasonNotJSON},
		{`{`, ReasonNotJSON},
		{`{"event":"x"}garbage`, ReasonNotJSON},
		{`{"event":"x"}{}`, ReasonNotJSON},
		{"\ufeff{}", ReasonNotJSON},
		{`{'event':'x'}`, ReasonNotJSON},
		{`{"event":"verification.completed","session_id":"s","data":{"score":NaN}}`, ReasonNotJSON},
		{guideBody[:len(guideBody)-1], ReasonNotJSON},
		{`[]`, ReasonWrongTypes},
		{`null`, ReasonWrongTypes},
		{`"text"`, ReasonWrongTypes},
		{`7`, ReasonWrongTypes},
		{`{}`, ReasonNoEvent},
		{`{"event":null,"session_id":"s"}`, ReasonNoEvent},
		{`{"event":"","session_id":"s"}`, ReasonNoEvent},
		{`{"event":7,"session_id":"s"}`, ReasonWrongTypes},
		{`{"event":"verification.completed"}`, ReasonNoSessionID},
		{`{"event":"verification.completed","session_id":null}`, ReasonNoSessionID},
		{`{"event":"verification.failed","session_id":""}`, ReasonNoSessionID},
		{`{"event":"verification.completed","session_id":7}`, ReasonWrongTypes},
		{`{"event":"verification.completed","session_id":".."}`, ReasonBadSessionID},
		{`{"event":"verification.completed","session_id":"a\nb"}`, ReasonBadSessionID},
		{`{"event":"verification.completed","session_id":"` + long + `"}`, ReasonBadSessionID},
		{`{"event":"verification.completed","session_id":"s","timestamp":7}`, ReasonWrongTypes},
		{`{"event":"verification.completed","session_id":"s","timestamp":"soon"}`, ReasonWrongTypes},
		{delivery(`[]`), ReasonWrongTypes},
		{delivery(`"live"`), ReasonWrongTypes},
		{delivery(`{"verdict":true}`), ReasonWrongTypes},
		{delivery(`{"verdict":["live"]}`), ReasonWrongTypes},
		{delivery(`{"score":"94"}`), ReasonWrongTypes},
		{delivery(`{"score":true}`), ReasonWrongTypes},
		{delivery(`{"score":1e999}`), ReasonWrongTypes},
		{delivery(`{"model":3}`), ReasonWrongTypes},
		{delivery(`{"created_at":1770000000}`), ReasonWrongTypes},
		{delivery(`{"created_at":"2026-02-10 15:26:42"}`), ReasonWrongTypes},
		{delivery(`{"created_at":"2026-02-10T15:26:42"}`), ReasonWrongTypes},
		{delivery(`{"created_at":"2026-13-10T15:26:42Z"}`), ReasonWrongTypes},
		{delivery(`{"created_at":""}`), ReasonWrongTypes},
		{delivery(`{"session_id":7}`), ReasonWrongTypes},
		{delivery(`{"session_id":"other","verdict":"live"}`), ReasonContradiction},
		{`{"event":"verification.failed","session_id":"s","data":{"session_id":"t"}}`, ReasonContradiction},
		{strings.Repeat("[", 20000), ReasonNotJSON},
	} {
		d, err := ParseWebhook([]byte(tc.body))
		var u *Unusable
		if !errors.As(err, &u) || u.Reason != tc.reason {
			t.Errorf("%.80s: %v, want %s", tc.body, err, tc.reason)
		}
		if d.Known {
			t.Errorf("%.80s: known all the same", tc.body)
		}
	}
}

func TestUnknownEventsAreNoErrors(t *testing.T) {
	for body, want := range map[string]Delivery{
		`{"event":"ping"}`: {Event: "ping"},
		`{"event":"verification.expired","session_id":"s","data":{"verdict":"live"}}`: {Event: "verification.expired", SessionID: "s"},
		`{"event":"Verification.Completed","session_id":"s"}`:                         {Event: "Verification.Completed", SessionID: "s"},
		`{"event":"ping","session_id":7,"timestamp":[],"data":5}`:                     {Event: "ping"},
		`{"event":"moverisd.test","test_id":"abc"}`:                                   {Event: "moverisd.test", TestID: "abc"},
		`{"event":"ping","session_id":"a\u0000"}`:                                     {Event: "ping"},
	} {
		d, err := ParseWebhook([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestTimes(t *testing.T) {
	base := time.Date(2026, 2, 10, 15, 26, 42, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"2026-02-10T15:26:42Z":                base,
		"2026-02-10T15:26:42.1Z":              base.Add(100 * time.Millisecond),
		"2026-02-10T15:26:42.123456Z":         base.Add(123456 * time.Microsecond),
		"2026-02-10T15:26:42.123456789Z":      base.Add(123456789),
		"2026-02-10T17:26:42+02:00":           base,
		"2026-02-10T09:56:42.000000000-05:30": base,
		"2026-02-10T15:26:42+00:00":           base,
	} {
		d, err := ParseWebhook([]byte(delivery(`{"created_at":"` + s + `"}`)))
		if err != nil || !d.Observation.CreatedAt.Equal(want) || d.Observation.CreatedAt.Location() != time.UTC {
			t.Errorf("%s: %v, %v", s, d.Observation.CreatedAt, err)
		}
	}
	d, err := ParseWebhook([]byte(delivery(`{"verdict":"live"}`)))
	if err != nil || !d.Observation.CreatedAt.IsZero() || !d.Observation.AsOf.Equal(base.Add(time.Second)) {
		t.Errorf("without created_at: %+v, %v; AsOf is to be the timestamp", d.Observation, err)
	}
}

func TestHeadersAgree(t *testing.T) {
	d := Delivery{Event: "verification.completed", SessionID: "s"}
	for _, tc := range []struct {
		event, session string
		want           bool
	}{
		{"", "", true}, {d.Event, "s", true}, {d.Event, "", true}, {"", "s", true},
		{"verification.failed", "s", false}, {d.Event, "t", false}, {d.Event, "S", false},
	} {
		if got := HeadersAgree(d, tc.event, tc.session); got != tc.want {
			t.Errorf("HeadersAgree(%q, %q) = %v", tc.event, tc.session, got)
		}
	}
}
