package verdict

import "testing"

// TestCurrent is rule 2, told by the outcome and model that count.
func TestCurrent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		parts   []any
		outcome Outcome
		model   string
		n       int
	}{
		{"none", []any{job(1, "processing", "")}, "", "", 0},
		{"a null alone has not ended", []any{webhook(1, "", created(0))}, "", "", 0},
		{"the latest by Moveris' time, not by ours", []any{
			webhook(9, "live", created(0)), webhook(1, "fake", created(5))}, Fake, "", 2},
		{"a later one that has not ended does not count", []any{
			webhook(1, "live", created(0)), webhook(2, "", created(50))}, Live, "", 1},
		{"a later one that failed counts", []any{
			webhook(1, "live", created(0)), failedHook(2, created(50))}, Failed, "", 2},
		{"two models at one time: the last by name", []any{
			webhook(1, "live", created(0), model("m30")), webhook(2, "live", created(0), model("m60"))}, Live, "m60", 2},
		{"a stray one if there is no other", []any{submitted(1, "fake")}, Fake, "", 1},
		{"a stray one gives way, however late", []any{
			submitted(9000, "live"), webhook(1, "live", created(0), model("a"))}, Live, "a", 2},
		{"a stray end gives way too", []any{
			failedHook(9000), webhook(1, "live", created(0))}, Live, "", 2},
		{"the latest of strays by hearing", []any{
			submitted(0, "live"), submitted(700, "fake")}, Fake, "", 2},
		{"a poll without end gives way, though later", []any{
			job(1, "complete", "live", created(500)), webhook(1, "live", created(0), model("a"))}, Live, "a", 2},
		{"a poll with span does not", []any{
			job(1, "complete", "fake", span(500, 560)), webhook(1, "live", created(0))}, Fake, "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, tt.parts...)
			if s.Outcome != tt.outcome || s.Model != tt.model || s.Verifications != tt.n {
				t.Errorf("got %q %q %d, want %q %q %d", s.Outcome, s.Model, s.Verifications, tt.outcome, tt.model, tt.n)
			}
			if (s.State == Settled) != (tt.outcome != "") {
				t.Errorf("state %s with outcome %q", s.State, s.Outcome)
			}
		})
	}
}
