package verdict

import (
	"slices"
	"time"

	"pgregory.net/rapid"
)

// The generators draw from few values, so that ties, joins and the edges of the windows
// (5 s, 10 min, one backoff) come up all the time.

func drawTime(t *rapid.T, label string, seconds ...float64) time.Time {
	return at(rapid.SampledFrom(seconds).Draw(t, label))
}

func hearings() []float64 {
	return []float64{0, .001, 14.999, 15, 16, 300, 599.999, 600, 600.001, 900, 1200, 1201, 5000}
}

func moments() []float64 { return []float64{-60, -5.001, -5, -1, 0, .001, 5, 5.001, 60, 65, 600} }

// drawObservation makes any observation that a source could make, and a few more.
func drawObservation(t *rapid.T) Observation {
	o := Observation{ObservedAt: drawTime(t, "heard", hearings()...), RepeatAfter: 15 * time.Second,
		Verdict:     rapid.SampledFrom([]string{"live", "live", "fake", "fake", "", "inconclusive", "maybe"}).Draw(t, "verdict"),
		Unavailable: rapid.IntRange(0, 15).Draw(t, "unavailable") == 0,
	}
	if rapid.IntRange(0, 3).Draw(t, "timed") > 0 {
		o.CreatedAt = drawTime(t, "created", moments()...)
	}
	o.Source = rapid.SampledFrom(Sources()).Draw(t, "source")
	switch o.Source {
	case Webhook:
		o.Form = rapid.SampledFrom([]Form{FormCompleted, FormCompleted, FormCompleted, FormFailed}).Draw(t, "form")
	case Submitted:
		o.Form = FormSubmitted
		o.WebhookDueAt = o.ObservedAt.Add(time.Minute)
	case Poll:
		o.Form = rapid.SampledFrom([]Form{FormJob, FormSession}).Draw(t, "form")
		o.Status = rapid.SampledFrom([]string{"complete", "complete", "complete", "completed", "failed", "expired", "cancelled",
			"processing", "odd"}).Draw(t, "status")
		if rapid.IntRange(0, 3).Draw(t, "ended") > 0 {
			o.CompletedAt = drawTime(t, "completed", moments()...)
		}
	}
	if o.Source != Poll || rapid.IntRange(0, 3).Draw(t, "modelled") == 0 {
		o.Model = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "model")
	}
	o.AsOf = o.CreatedAt
	return digested(o)
}

func drawObservations(t *rapid.T) []Observation {
	return rapid.SliceOfN(rapid.Custom(drawObservation), 0, 7).Draw(t, "observations")
}

// drawMarks makes a plausible run of marks: rounds go up, as they do in the store.
func drawMarks(t *rapid.T) []Mark {
	var marks []Mark
	round, now := 0, rapid.SampledFrom(hearings()).Draw(t, "first mark")
	for range rapid.IntRange(0, 4).Draw(t, "marks") {
		kind := rapid.SampledFrom([]MarkKind{Expected, Expected, CalledOff, GaveUpMark}).Draw(t, "kind")
		m := Mark{Kind: kind, At: at(now)}
		if kind == Expected {
			if round == 0 || rapid.Bool().Draw(t, "again") {
				round++
			}
			m.Round, m.Verifications = round, rapid.IntRange(1, 3).Draw(t, "verifications")
			m.GraceUntil = m.At.Add(time.Minute)
		}
		marks = append(marks, m)
		now += rapid.SampledFrom([]float64{0, .001, 60, 5000}).Draw(t, "later")
	}
	return marks
}

// drawDuplicates repeats some observations, at the same or a later time of hearing. A
// polled null is repeated at its own time only: later it is another answer.
func drawDuplicates(t *rapid.T, obs []Observation) []Observation {
	var out []Observation
	for _, o := range obs {
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "duplicates") {
			if o.Source != Poll || !o.Ends().Null {
				o.ObservedAt = o.ObservedAt.Add(sec(rapid.SampledFrom([]float64{0, .001, 600, 9000}).Draw(t, "heard again")))
			}
			if o.Source == Submitted {
				o.WebhookDueAt = o.ObservedAt.Add(time.Minute)
			}
			o.Label = rapid.SampledFrom([]string{"", "x"}).Draw(t, "label")
			out = append(out, o)
		}
	}
	return out
}

// drawChain makes the parts of a session's life in the order of their hearing.
func drawChain(t *rapid.T) []any {
	var parts []any
	for _, o := range drawObservations(t) {
		parts = append(parts, o)
	}
	for _, m := range drawMarks(t) {
		parts = append(parts, m)
	}
	slices.SortStableFunc(parts, func(a, b any) int { return timeOf(a).Compare(timeOf(b)) })
	return parts
}

func timeOf(part any) time.Time {
	if o, ok := part.(Observation); ok {
		return o.ObservedAt
	}
	return part.(Mark).At
}
