package verdict

import (
	"slices"
	"strings"
	"testing"
)

// TestVerifications is rule 1. The expectation names the observations of each
// verification by their letters, in the order in which they are given.
func TestVerifications(t *testing.T) {
	for _, tt := range []struct {
		name string
		obs  []Observation
		want string
	}{
		{"nothing", nil, ""},
		{"unfinished and unknown words form none", []Observation{
			job(1, "processing", ""), session(2, "pending", ""), webhook(3, "maybe", created(0)),
			job(4, "exploded", ""), job(5, "complete", "live", unavailable)}, ""},
		{"one time, one model", []Observation{
			webhook(1, "live", created(0), model("a")), submitted(2, "live", created(0), model("a"))}, "ab"},
		{"one time, two models", []Observation{
			webhook(1, "live", created(0), model("a")), webhook(1, "fake", created(0), model("b"))}, "a b"},
		{"two times, one model", []Observation{
			webhook(1, "live", created(0), model("a")), webhook(1, "live", created(.001), model("a"))}, "a b"},
		{"missing model joins the only one", []Observation{
			submitted(1, "live", created(0)), webhook(2, "live", created(0), model("a"))}, "ab"},
		{"missing model joins the first by name", []Observation{
			webhook(1, "live", created(0), model("z")), webhook(2, "live", created(0), model("b")),
			submitted(3, "live", created(0))}, "a bc"},
		{"missing models are one", []Observation{
			submitted(1, "live", created(0)), webhook(2, "fake", created(0))}, "ab"},
		{"other zone, same time", []Observation{
			webhook(1, "live", created(0)), submitted(2, "live", func(o *Observation) { o.CreatedAt = t0.In(zone(3)) })}, "ab"},

		{"poll: 5 s before the span", []Observation{
			webhook(1, "live", created(-5)), job(2, "complete", "live", span(0, 60))}, "ab"},
		{"poll: more than 5 s before the span", []Observation{
			webhook(1, "live", created(-5.000001)), job(2, "complete", "live", span(0, 60))}, "a b"},
		{"poll: 5 s after the span", []Observation{
			webhook(1, "live", created(65)), job(2, "complete", "live", span(0, 60))}, "ab"},
		{"poll: more than 5 s after the span", []Observation{
			webhook(1, "live", created(65.000001)), job(2, "complete", "live", span(0, 60))}, "a b"},
		{"poll: amid a long span", []Observation{
			webhook(1, "live", created(1000)), job(2, "complete", "live", span(0, 3000))}, "ab"},
		{"poll: no end, 5 s", []Observation{
			webhook(1, "live", created(5)), job(2, "complete", "live", created(0))}, "ab"},
		{"poll: no end, more", []Observation{
			webhook(1, "live", created(5.001)), job(2, "complete", "live", created(0))}, "a b"},
		{"poll: an end before its beginning is none", []Observation{
			webhook(1, "live", created(-60)), job(2, "complete", "live", span(0, -60))}, "a b"},
		{"poll: the nearest to its end", []Observation{
			webhook(1, "live", created(20)), webhook(1, "fake", created(58)), job(2, "complete", "live", span(0, 60))}, "a bc"},
		{"poll: the nearest to its beginning", []Observation{
			webhook(1, "live", created(1)), webhook(1, "fake", created(58)), job(2, "complete", "live", span(0, 60))}, "ac b"},
		{"poll: equally near, the earlier", []Observation{
			webhook(1, "live", created(62)), webhook(1, "fake", created(-2)), job(2, "complete", "live", span(0, 60))}, "a bc"},
		{"poll: equally near, the first model", []Observation{
			webhook(1, "live", created(0), model("b")), webhook(1, "fake", created(0), model("a")),
			job(2, "complete", "live", span(0, 60))}, "a bc"},
		{"poll: another model does not fit", []Observation{
			webhook(1, "live", created(0), model("b")), job(2, "complete", "live", span(0, 60), model("a"))}, "a b"},
		{"poll: joins a submission", []Observation{
			submitted(1, "live", created(0)), job(2, "complete", "live", span(0, 60))}, "ab"},
		{"polls alone: one created_at", []Observation{
			job(1, "complete", "live", span(0, 60)), job(2, "complete", "fake", span(0, 61))}, "ab"},
		{"polls alone: two", []Observation{
			job(1, "complete", "live", span(0, 60)), job(2, "complete", "fake", span(1, 60))}, "a b"},
		{"polls do not join polls of another created_at, but a webhook joins both", []Observation{
			job(1, "complete", "live", span(0, 60)), job(2, "complete", "live", span(1, 60)), webhook(3, "live", created(60))}, "abc"},

		{"untimed: 10 min", []Observation{
			webhook(0, "live", created(0)), submitted(600, "live")}, "ab"},
		{"untimed: 10 min before", []Observation{
			webhook(600, "live", created(0)), submitted(0, "live")}, "ab"},
		{"untimed: more than 10 min", []Observation{
			webhook(0, "live", created(0)), submitted(600.001, "live")}, "a b"},
		{"untimed: the nearest", []Observation{
			webhook(0, "live", created(0)), webhook(500, "live", created(400)), submitted(300, "live")}, "a bc"},
		{"untimed: equally near, the earlier verification", []Observation{
			webhook(400, "live", created(400)), webhook(0, "live", created(0)), submitted(200, "live")}, "a bc"},
		{"untimed: nearest to a joined poll", []Observation{
			webhook(0, "live", created(0)), job(900, "complete", "live", span(0, 1)), submitted(1400, "live")}, "abc"},
		{"untimed ones are no stepping stones", []Observation{
			webhook(0, "live", created(0)), submitted(500, "live"), submitted(900, "fake")}, "ab c"},
		{"untimed alone: together within 10 min of the first", []Observation{
			submitted(0, "live"), session(600, "completed", "live"), session(601, "completed", "fake")}, "ab c"},
		{"untimed null joins however late", []Observation{
			webhook(0, "live", created(0)), job(90000, "complete", "")}, "ab"},
		{"untimed null joins the strays", []Observation{
			submitted(0, "live"), job(90000, "complete", "")}, "ab"},
		{"untimed failed alone", []Observation{
			webhook(0, "live", created(0)), failedHook(601)}, "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parts := make([]any, len(tt.obs))
			for i := range tt.obs {
				parts[i] = tt.obs[i]
			}
			foldAll(t, parts...)
			if got := letters(tt.obs); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func letters(obs []Observation) string {
	obs = slices.Clone(obs)
	var words []string
	for _, v := range verifications(obs) {
		var b []byte
		for i := range obs {
			if slices.Contains(v.obs, &obs[i]) {
				b = append(b, byte('a'+i))
			}
		}
		words = append(words, string(b))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestStray(t *testing.T) {
	for _, tt := range []struct {
		name string
		obs  Observation
		want bool
	}{
		{"webhook with time", webhook(0, "live", created(0)), false},
		{"webhook without time", webhook(0, "live"), true},
		{"poll with span", job(0, "complete", "live", span(0, 1)), false},
		{"poll without end", job(0, "complete", "live", created(0)), true},
		{"poll with an impossible end", job(0, "complete", "live", span(0, -1)), true},
		{"poll without time", job(0, "complete", "live"), true},
	} {
		if got := verifications([]Observation{tt.obs})[0].stray; got != tt.want {
			t.Errorf("%s: stray %v, want %v", tt.name, got, tt.want)
		}
	}
}
