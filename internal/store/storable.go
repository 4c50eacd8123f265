package store

import (
	"fmt"
	"math"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// storable is an observation as it will be read back. It is folded in this form from the
// start, so that a session never depends on whether it was read from the file: our times
// are whole milliseconds, and one of Moveris' times that does not fit into nanoseconds
// (before 1678, after 2262) is no time at all; the body keeps it. It fails for an
// observation whose form is not one of its source.
func storable(o verdict.Observation) (verdict.Observation, error) {
	if kind := code(forms(), o.Form); kind == 0 || sourceOf(kind) != o.Source {
		return o, fmt.Errorf("form %q is none of source %q", o.Form, o.Source)
	}
	o.ObservedAt, o.WebhookDueAt = whole(o.ObservedAt), whole(o.WebhookDueAt)
	o.CreatedAt, o.CompletedAt, o.AsOf = representable(o.CreatedAt), representable(o.CompletedAt), representable(o.AsOf)
	if o.AsOf.IsZero() {
		o.AsOf = o.CreatedAt
	}
	if o.RepeatAfter = o.RepeatAfter.Truncate(time.Millisecond); !o.Ends().Null {
		o.RepeatAfter = 0 // it means something for those only
	}
	o.Score, o.RealScore, o.Confidence = finite(o.Score), finite(o.RealScore), finite(o.Confidence)
	return o, nil
}

// whole is a time of ours as it will be read back.
func whole(t time.Time) time.Time { return at(millis(t)) }

// representable is a time of Moveris' as it will be read back.
func representable(t time.Time) time.Time {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return time.Time{}
	}
	return time.Unix(0, t.UnixNano()).UTC()
}

// finite drops what is no number: a column cannot hold it.
func finite(f *float64) *float64 {
	if f == nil || math.IsNaN(*f) {
		return nil
	}
	return f
}
