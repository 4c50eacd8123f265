package verdict

import "testing"

// TestEnds is rule 4 for one observation.
func TestEnds(t *testing.T) {
	null := Ending{Null: true}
	ends := func(x Outcome) Ending { return Ending{Outcome: x} }
	unknown := func(w string) Ending { return Ending{Unknown: w} }
	for _, tt := range []struct {
		name string
		o    Observation
		want Ending
	}{
		{"webhook live", webhook(0, "live"), ends(Live)},
		{"webhook fake", webhook(0, "fake"), ends(Fake)},
		{"webhook inconclusive", webhook(0, "inconclusive"), ends(Inconclusive)},
		{"webhook null", webhook(0, ""), null},
		{"webhook unknown", webhook(0, "suspicious"), unknown("suspicious")},
		{"upper case is another word", webhook(0, "LIVE"), unknown("LIVE")},
		{"webhook failed", failedHook(0), ends(Failed)},
		{"webhook failed, verdict beside it", seen(Observation{Source: Webhook, Form: FormFailed, Verdict: "live"}, 0, nil), ends(Failed)},
		{"submitted", submitted(0, "fake"), ends(Fake)},
		{"submitted null", submitted(0, ""), null},
		{"job complete", job(0, "complete", "live"), ends(Live)},
		{"job completed", job(0, "completed", "fake"), ends(Fake)},
		{"job complete null", job(0, "complete", ""), null},
		{"job complete unknown", job(0, "complete", "maybe"), unknown("maybe")},
		{"job failed", job(0, "failed", ""), ends(Failed)},
		{"job queued", job(0, "queued", ""), Ending{}},
		{"job processing, verdict early", job(0, "processing", "live"), Ending{}},
		{"job expired is no word of a job", job(0, "expired", ""), unknown("expired")},
		{"job cancelled is no word of a job", job(0, "cancelled", ""), unknown("cancelled")},
		{"job without status", job(0, "", "live"), unknown("no status")},
		{"session completed", session(0, "completed", "live"), ends(Live)},
		{"session complete", session(0, "complete", "live"), ends(Live)},
		{"session failed: the user did not pass", session(0, "failed", "fake"), ends(Fake)},
		{"session failed without verdict is not failed", session(0, "failed", ""), null},
		{"session expired", session(0, "expired", ""), ends(Expired)},
		{"session cancelled", session(0, "cancelled", ""), ends(Cancelled)},
		{"session created", session(0, "created", ""), Ending{}},
		{"session pending", session(0, "pending", ""), Ending{}},
		{"session in_progress", session(0, "in_progress", "live"), Ending{}},
		{"session unknown", session(0, "on_hold", "live"), unknown("on_hold")},
		{"unavailable", job(0, "complete", "live", unavailable), Ending{}},
		{"unavailable failed", job(0, "failed", "", unavailable), Ending{}},
		{"unavailable unknown", job(0, "odd", "", unavailable), Ending{}},
		{"a score makes no verdict", webhook(0, "", scored(99, .99, "VERY HIGH")), null},
		{"a score changes no verdict", webhook(0, "fake", scored(99, .99, "VERY HIGH")), ends(Fake)},
		{"unknown form", seen(Observation{Source: Webhook, Form: "ping", Verdict: "live"}, 0, nil), unknown("ping")},
	} {
		if got := tt.o.Ends(); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRepeatedNull(t *testing.T) {
	timed := span(0, 1)
	for _, tt := range []struct {
		name  string
		parts []any
		want  Outcome
	}{
		{"once", []any{job(0, "complete", "", timed)}, ""},
		{"the same answer heard twice at once", []any{job(0, "complete", "", timed), job(0, "complete", "", timed)}, ""},
		{"too early", []any{job(0, "complete", "", timed), job(14.999, "complete", "", timed)}, ""},
		{"in time", []any{job(0, "complete", "", timed), job(15, "complete", "", timed)}, Inconclusive},
		{"too early twice, in time together", []any{job(0, "complete", "", timed), job(8, "complete", "", timed), job(16, "complete", "", timed)}, Inconclusive},
		{"untimed", []any{job(0, "complete", ""), job(15, "complete", "")}, Inconclusive},
		{"of another created_at", []any{job(0, "complete", "", timed), job(60, "complete", "", span(0.001, 1))}, ""},
		{"of another model", []any{job(0, "complete", "", timed, model("a")), job(60, "complete", "", timed, model("b"))}, ""},
		{"a missing model matches", []any{webhook(0, "", created(0), model("a")), job(60, "complete", "", timed)}, Inconclusive},
		{"no backoff known: any later answer", []any{job(0, "complete", "", timed, wait(0)), job(.001, "complete", "", timed, wait(0))}, Inconclusive},
		{"the longer backoff of two", []any{job(0, "complete", "", timed, wait(1)), job(15, "complete", "", timed, wait(30))}, ""},
		{"a webhook, asked later", []any{webhook(0, "", created(0)), job(15, "complete", "", timed)}, Inconclusive},
		{"a redelivery says nothing again", []any{webhook(0, "", created(0)), webhook(9000, "", created(0))}, ""},
		{"a late delivery says nothing again", []any{job(0, "complete", "", timed), webhook(9000, "", created(0))}, ""},
		{"a late submission says nothing again", []any{webhook(0, "", created(0)), submitted(9000, "", created(0))}, ""},
		{"session failed twice", []any{session(0, "failed", "", timed), session(15, "failed", "", timed)}, Inconclusive},
		{"a score makes no verdict", []any{job(0, "complete", "", timed, scored(1, .01, "VERY LOW"))}, ""},
		{"unavailable is never terminal", []any{job(0, "complete", "", timed, unavailable), job(60, "complete", "", timed, unavailable)}, ""},
		{"a verdict after all", []any{job(0, "complete", "", timed), job(15, "complete", "", timed), job(30, "complete", "live", timed)}, Live},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, tt.parts...)
			if s.Outcome != tt.want || s.Verdict != "" && tt.want == Inconclusive || s.Conflict {
				t.Errorf("got %q, verdict %q, conflict %v; want %q", s.Outcome, s.Verdict, s.Conflict, tt.want)
			}
		})
	}
}

// A null settles when it is repeated, not when it was first heard.
func TestRepeatedNullSettlesAtItsRepetition(t *testing.T) {
	s := foldAll(t, webhook(0, "", created(0)), job(20, "complete", "", span(0, 1)), job(40, "complete", "", span(0, 1)))
	if !s.SettledAt.Equal(at(20)) || s.FirstBy != Poll {
		t.Errorf("settled at %v by %s", s.SettledAt, s.FirstBy)
	}
}

func TestUnknownWordIsShown(t *testing.T) {
	s := foldAll(t, webhook(1, "maybe", created(0)), job(2, "odd", ""), webhook(3, "live", created(0)))
	if s.UnknownWord != "odd" || s.Outcome != Live {
		t.Errorf("unknown word %q, outcome %q", s.UnknownWord, s.Outcome)
	}
}

// The same bytes read as a job's and as a session's are two observations.
func TestSameBytesOfTwoForms(t *testing.T) {
	a, b := job(1, "expired", ""), session(1, "expired", "")
	b.Digest = a.Digest
	if s := foldAll(t, a, b); s.Outcome != Expired || s.UnknownWord != "expired" {
		t.Errorf("outcome %q, unknown word %q", s.Outcome, s.UnknownWord)
	}
	if !(evidence(a)).Adds(&b) {
		t.Error("the session's word adds nothing")
	}
	null, failed := session(700, "failed", ""), job(700, "failed", "")
	failed.Digest = null.Digest
	foldAll(t, submitted(0, "live"), null, failed)
}
