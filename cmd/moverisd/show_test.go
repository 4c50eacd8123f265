package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/verdict"
)

// The side that counts comes first, whoever was heard first; what says nothing is no side.
func TestSides(t *testing.T) {
	live, fake := verdict.Live, verdict.Fake
	at, label := "2026-01-01T00:00:00.000Z", "one"
	got := sides("fake", []api.Observation{
		{Source: verdict.Poll, ObservedAt: &at},
		{Source: verdict.Submitted, Outcome: &live, ObservedAt: &at},
		{Source: verdict.Webhook, Outcome: &fake, ObservedAt: &at, Label: &label},
		{Source: verdict.Poll, Outcome: &live, ObservedAt: &at},
	})
	want := []string{"fake, said by webhook (one) at " + at, "live, said by submitted at " + at + "; poll at " + at}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
