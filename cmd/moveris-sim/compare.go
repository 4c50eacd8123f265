package main

import (
	"fmt"
	"net/http"

	"github.com/moverisd/moverisd/internal/sim"
)

// problem is how moverisd's answer about one session differs.
type problem string

const (
	right     problem = ""
	wrong     problem = "wrong"     // it says something else than Moveris decided
	absent    problem = "absent"    // it does not know the session
	unsettled problem = "unsettled" // it knows the session and has no outcome
)

// finding is the judgement on one session.
type finding struct {
	SessionID string  `json:"session_id"`
	Number    int     `json:"number"`
	Problem   problem `json:"problem"`
	Detail    string  `json:"detail"`
	firstBy   string
	open      bool // rightly without an outcome
}

// resolved says whether waiting longer can change nothing. A session with a
// second verification is settled after the first, so there it must fit.
func (rec *record) resolved(got *daemonSession) bool {
	switch {
	case got == nil:
		return false
	case rec.finished == "":
		return true
	case rec.plan.again != "":
		return rec.judge(got, nil).Problem == right
	}
	return got.State == "settled"
}

// judge compares moverisd's answer (nil: unknown id) with what was decided.
// Order matters: what was believed wrongly comes before what is missing.
func (rec *record) judge(got *daemonSession, err error) finding {
	f := finding{SessionID: rec.id, Number: rec.number}
	say := func(p problem, format string, args ...any) finding {
		f.Problem, f.Detail = p, fmt.Sprintf(format, args...)
		return f
	}
	if status := rec.forgeryTaken(); status != 0 {
		return say(wrong, "a forged delivery was answered %d, not 401", status)
	}
	if err != nil {
		return say(unsettled, "%v", err)
	}
	if got == nil {
		if rec.announceErr != nil {
			return say(absent, "moverisd does not know it; %v", rec.announceErr)
		}
		return say(absent, "moverisd does not know it")
	}
	if got.State != "settled" {
		if rec.finished == "" {
			f.open = true
			return f
		}
		return say(unsettled, "moverisd says %s, Moveris decided %s", got.State, rec.expected())
	}
	f.firstBy = text(got.FirstBy)
	return rec.judgeSettled(f, got, say)
}

func (rec *record) judgeSettled(f finding, got *daemonSession, say func(problem, string, ...any) finding) finding {
	outcome, verdict := text(got.Outcome), text(got.Verdict)
	expected := rec.expected()
	isVerdict := expected == string(sim.Live) || expected == string(sim.Fake)
	switch {
	case rec.finished == "":
		return say(wrong, "moverisd says %s, but the check never finished", outcome)
	case outcome != expected:
		return say(wrong, "moverisd says %s, Moveris decided %s", outcome, expected)
	case isVerdict && verdict != expected:
		return say(wrong, "the outcome is %s, but the verdict says %s", outcome, verdict)
	case !isVerdict && (verdict == string(sim.Live) || verdict == string(sim.Fake)):
		return say(wrong, "the outcome is %s, but the verdict says %s", outcome, verdict)
	case !rec.sent && f.firstBy != "poll":
		return say(wrong, "first_by is %s, but the webhook was lost", f.firstBy)
	case f.firstBy != "poll" && f.firstBy != "webhook":
		return say(wrong, "first_by is %s", f.firstBy)
	case got.Conflict:
		return say(wrong, "moverisd says conflict, Moveris never contradicted itself")
	}
	return f
}

// expected is the outcome in moverisd's words: a null verdict is inconclusive.
func (rec *record) expected() string {
	if rec.finished == sim.Null {
		return string(sim.Inconclusive)
	}
	return string(rec.finished)
}

// forgeryTaken returns the answer to a forged delivery that was not refused.
// No answer and 503 are neither: moverisd was not able to say.
func (rec *record) forgeryTaken() int {
	for _, status := range rec.forgeries {
		if status != 0 && status != http.StatusUnauthorized && status != http.StatusServiceUnavailable {
			return status
		}
	}
	return 0
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}
