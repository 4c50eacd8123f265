package moveris

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moverisd/moverisd/internal/verdict"
)

func TestParseSubmission(t *testing.T) {
	at := time.Date(2026, 2, 10, 15, 26, 42, 0, time.UTC)
	for _, raw := range []string{
		`{"session_id":"s","verdict":"LIVE","score":94.0,"model":"m","type":"HIGH","created_at":"2026-02-10T15:26:42Z","extra":{}}`,
		`{"data":{"session_id":"s","verdict":"live","score":94,"model":"m","type":"HIGH","created_at":"2026-02-10T15:26:42Z"},"success":true,"message":"OK"}`,
	} {
		id, o, err := ParseSubmission([]byte(raw))
		if err != nil || id != "s" {
			t.Fatalf("%s: %q, %v", raw, id, err)
		}
		want := verdict.Observation{
			Source: verdict.Submitted, Form: verdict.FormSubmitted, Verdict: "live", CreatedAt: at, AsOf: at,
			Model: "m", Type: "HIGH", Score: new(94.0), Digest: sha256.Sum256([]byte(raw)),
		}
		if diff := cmp.Diff(want, o); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSubmissionEndings(t *testing.T) {
	for raw, want := range map[string]verdict.Ending{
		`{"verdict":"live"}`: {Outcome: "live"},
		`{"verdict":"fake","status":"complete","job_id":"j"}`: {Outcome: "fake"},
		`{"verdict":null}`: {Null: true},
		`{"verdict":"inconclusive","status":"completed"}`: {Outcome: "inconclusive"},
		`{"verdict":"odd"}`:                                      {Unknown: "odd"},
		`{"verdict":"live","available":false}`:                   {},
		`{"verdict":"live","error":null}`:                        {Outcome: "live"},
		`{"verdict":"live","error":""}`:                          {Outcome: "live"},
		`{"data":{"verdict":"live"},"verdict":"fake"}`:           {Outcome: "fake"},
		`{"success":true,"verdict":"fake"}`:                      {Outcome: "fake"},
		`{"data":{"verdict":"live"},"success":true,"other":[1]}`: {Outcome: "live"},
	} {
		id, o, err := ParseSubmission([]byte(raw))
		if err != nil || id != "" || o.Ends() != want {
			t.Errorf("%s: %q %+v, %v", raw, id, o.Ends(), err)
		}
	}
}

func TestUnusableSubmissions(t *testing.T) {
	for raw, reason := range map[string]string{
		``:                                              ReasonNotJSON,
		`{"verdict":"live"} x`:                          ReasonNotJSON,
		`[{"verdict":"live"}]`:                          ReasonWrongTypes,
		`{"data":[],"success":true}`:                    ReasonWrongTypes,
		`{"verdict":1}`:                                 ReasonWrongTypes,
		`{"verdict":"live","score":"94"}`:               ReasonWrongTypes,
		`{"verdict":"live","session_id":5}`:             ReasonWrongTypes,
		`{"verdict":"live","session_id":".."}`:          ReasonBadSessionID,
		`{}`:                                            ReasonNoVerdict,
		`{"session_id":"s","score":99}`:                 ReasonNoVerdict,
		`{"data":{"verdict":"live"}}`:                   ReasonNoVerdict,
		`{"verdict":null,"status":"processing"}`:        ReasonNotFinished,
		`{"verdict":"live","status":"queued"}`:          ReasonNotFinished,
		`{"verdict":"live","error":"x"}`:                ReasonNotAResult,
		`{"verdict":"live","error":{"code":1}}`:         ReasonNotAResult,
		`{"data":{"verdict":"live"},"success":false}`:   ReasonNotAResult,
		`{"data":{"verdict":"live"},"success":"true"}`:  ReasonNotAResult,
		`{"verdict":"live","success":false}`:            ReasonNotAResult,
		`{"data":null,"success":true,"verdict":"live"}`: ReasonNotAResult,
	} {
		id, o, err := ParseSubmission([]byte(raw))
		var u *Unusable
		if !errors.As(err, &u) || u.Reason != reason || id != "" || o.Source != "" {
			t.Errorf("%s: %q %v, want %s", raw, id, err, reason)
		}
	}
}
