package verdict

import (
	"bytes"
	"testing"
)

// TestSpeaker is rule 3, first half: all observations here are of one verification.
func TestSpeaker(t *testing.T) {
	c := created(0)
	for _, tt := range []struct {
		name     string
		parts    []any
		outcome  Outcome
		conflict bool
	}{
		{"webhook before poll", []any{job(1, "complete", "live", span(0, 1)), webhook(9, "fake", c)}, Fake, true},
		{"poll before submission", []any{submitted(1, "live", c), job(9, "complete", "fake", span(0, 1))}, Fake, true},
		{"webhook before submission", []any{submitted(1, "live", c), webhook(9, "fake", c)}, Fake, true},
		{"the earliest heard of one source", []any{webhook(2, "fake", c), webhook(1, "live", c)}, Live, true},
		{"agreement is no conflict", []any{
			submitted(1, "live", c), webhook(2, "live", c), job(3, "complete", "live", span(0, 1))}, Live, false},
		{"inconclusive said differs from live", []any{webhook(1, "live", c), job(2, "complete", "inconclusive", span(0, 1))}, Live, true},
		{"a null contradicts nothing", []any{webhook(1, "", c), job(2, "complete", "fake", span(0, 1))}, Fake, false},
		{"repeated nulls contradict nothing", []any{
			job(1, "complete", "", span(0, 1)), job(60, "complete", "", span(0, 1)), submitted(70, "live", c)}, Live, false},
		{"failed, then live", []any{failedHook(1, c), job(2, "complete", "live", span(0, 1))}, Live, false},
		{"live, then failed", []any{submitted(1, "live", c), failedHook(2, c)}, Live, false},
		{"failed of the webhook before failed of the job", []any{failedHook(3, c), job(2, "failed", "", span(0, 1))}, Failed, false},
		{"failed before a repeated null", []any{
			job(1, "complete", "", span(0, 1)), job(60, "complete", "", span(0, 1)), job(70, "failed", "", span(0, 1))}, Failed, false},
		{"cancelled and expired contradict nothing", []any{
			session(1, "cancelled", "", span(0, 1)), session(2, "expired", "", span(0, 1)), webhook(3, "fake", c)}, Fake, false},
		{"expired before cancelled if heard before", []any{
			session(1, "expired", "", span(0, 1)), session(2, "cancelled", "", span(0, 1))}, Expired, false},
		{"an unknown word contradicts nothing", []any{webhook(1, "maybe", c), webhook(2, "live", c)}, Live, false},
		{"an untimed one that joined contradicts", []any{webhook(1, "live", c), submitted(2, "fake")}, Live, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, tt.parts...)
			if s.Outcome != tt.outcome || s.Conflict != tt.conflict || s.Verifications != 1 {
				t.Errorf("got %q, conflict %v, %d verifications, want %q, %v, 1",
					s.Outcome, s.Conflict, s.Verifications, tt.outcome, tt.conflict)
			}
			if want := string(tt.outcome); tt.outcome.IsVerdict() && s.Verdict != want || !tt.outcome.IsVerdict() && s.Verdict != "" {
				t.Errorf("verdict %q with outcome %q", s.Verdict, tt.outcome)
			}
		})
	}
}

func TestSpeakerBySmallestDigest(t *testing.T) {
	a, b := webhook(1, "live", created(0)), webhook(1, "fake", created(0))
	want := Outcome(a.Verdict)
	if bytes.Compare(b.Digest[:], a.Digest[:]) < 0 {
		want = Outcome(b.Verdict)
	}
	if s := foldAll(t, a, b); s.Outcome != want || !s.Conflict {
		t.Errorf("got %q, conflict %v, want %q, true", s.Outcome, s.Conflict, want)
	}
}

// What the speaker does not carry stays empty, even if another source of the same
// verification carries it.
func TestSpeakerFieldsStayNull(t *testing.T) {
	s := foldAll(t, submitted(1, "live", created(0), model("m"), scored(94, .94, "VERY HIGH")),
		job(2, "complete", "live", span(0, 1)))
	if s.Score != nil || s.Model != "" || s.Type != "" || !s.AsOf.Equal(at(1)) {
		t.Errorf("fields of another source: %+v", s)
	}
	s = foldAll(t, webhook(1, "live", created(0), model("m"), scored(94, .94, "VERY HIGH")),
		job(2, "complete", "live", span(0, 1)))
	if s.Score == nil || *s.Score != 94 || *s.RealScore != .94 || s.Confidence != nil || s.Model != "m" || s.Type != "VERY HIGH" {
		t.Errorf("fields of the speaker are lost: %+v", s)
	}
}

func TestTold(t *testing.T) {
	s := foldAll(t, job(3, "complete", "live", span(0, 1)), webhook(5, "live", created(0)), submitted(4, "live", created(0)))
	if s.FirstBy != Poll || !s.SettledAt.Equal(at(3)) || len(s.ToldAt) != 3 ||
		!s.ToldAt[Webhook].Equal(at(5)) || !s.ToldAt[Submitted].Equal(at(4)) {
		t.Errorf("told: %+v", s)
	}
	if s = foldAll(t, job(3, "complete", "live", span(0, 1)), webhook(3, "live", created(0))); s.FirstBy != Webhook {
		t.Errorf("in the same millisecond %s was first", s.FirstBy)
	}
}
