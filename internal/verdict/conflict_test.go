package verdict

import "testing"

// TestConflict is rule 3, second half, between verifications.
func TestConflict(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []any
		want  bool
	}{
		{"an earlier verification is history", []any{webhook(1, "live", created(0)), webhook(2, "fake", created(9))}, false},
		{"two models at one time are two verifications", []any{
			webhook(1, "live", created(0), model("a")), webhook(2, "fake", created(0), model("b"))}, false},
		{"whole seconds: two runs in one second are one verification", []any{
			webhook(1, "live", created(0), model("a")), webhook(2, "fake", created(0), model("a"))}, true},
		{"a contradiction within history stays", []any{
			webhook(1, "live", created(0)), submitted(2, "fake", created(0)), webhook(3, "live", created(9))}, true},
		{"an untimed one far away contradicts", []any{webhook(1, "live", created(0)), submitted(9000, "fake")}, true},
		{"an untimed one far away agrees", []any{webhook(1, "live", created(0)), submitted(9000, "live")}, false},
		{"an untimed end far away contradicts nothing", []any{webhook(1, "live", created(0)), failedHook(9000)}, false},
		{"an ill-fitting poll contradicts", []any{webhook(1, "live", created(0)), job(2, "complete", "fake", created(60))}, true},
		{"a poll with a span of its own is another verification", []any{
			webhook(1, "live", created(0)), job(2, "complete", "fake", span(60, 90))}, false},
		{"two strays differ", []any{submitted(0, "live"), submitted(601, "fake")}, true},
		{"a failed verification has no verdict to be contradicted", []any{failedHook(1, created(0)), submitted(9000, "fake")}, false},
		{"a stray agrees with what counted when it was heard", []any{
			webhook(0, "live", created(0)), webhook(3600, "fake", created(3600)), submitted(7200, "fake")}, false},

		{"the flag stays when another verification counts", []any{
			webhook(0, "live", created(0)), submitted(3600, "fake"), webhook(7200, "fake", created(7200))}, true},
		{"the flag stays when a better fit explains it", []any{
			webhook(0, "live", created(0)), submitted(3600, "fake"), webhook(3602, "fake", created(3600))}, true},
		{"the flag stays when the strays lose to a failed one", []any{
			submitted(0, "live"), submitted(601, "fake"), failedHook(9000, created(8000))}, true},
		{"the flag stays when a missing model finds another home", []any{
			webhook(0, "fake", created(0), model("b")), submitted(1, "live", created(0)), webhook(2, "live", created(0), model("a"))}, true},
		{"the flag stays when a poll finds a nearer one", []any{
			webhook(0, "live", created(50)), job(1, "complete", "fake", span(0, 60)), webhook(2, "fake", created(60))}, true},
		{"nothing to stay: the better fit was heard first", []any{
			webhook(0, "live", created(50)), webhook(1, "fake", created(60)), job(2, "complete", "fake", span(0, 60))}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if s := foldAll(t, tt.parts...); s.Conflict != tt.want {
				t.Errorf("conflict %v, want %v", s.Conflict, tt.want)
			}
		})
	}
}

// A single id that is used for everything stays affordable, and a contradiction among
// its first hearings stays all the same.
func TestConflictOfManyVerifications(t *testing.T) {
	parts := []any{webhook(0, "live", created(0)), submitted(3600, "fake")}
	for i := range 2000 {
		parts = append(parts, webhook(float64(7200+10*i), []string{"live", "fake"}[i%2], created(float64(7200+10*i)), model("m")))
	}
	if s := Fold(evidence(parts...)); !s.Conflict || s.Verifications != 2002 {
		t.Errorf("conflict %v, %d verifications", s.Conflict, s.Verifications)
	}
}
