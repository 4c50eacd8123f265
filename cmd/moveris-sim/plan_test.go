package main

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

func someShares() shares {
	return shares{lose: 0.30, delay: 0.10, duplicate: 0.10, reorder: 0.05, fake: 0.30, inconclusive: 0.03, null: 0.02, failed: 0.05,
		forge: 0.05, withJobID: 0.5, again: 0.1, unfinished: 0.01}
}

func plansOf(s shares, seed uint64) []plan {
	cfg := timing{duration: 30 * time.Second, processingMax: 2 * time.Second, delay: 8 * time.Second}
	return s.sessions(300, cfg, rand.New(rand.NewPCG(seed, 0)))
}

func TestSharesAreExact(t *testing.T) {
	fates, outcomes := map[fate]int{}, map[sim.Outcome]int{}
	forged, jobs, again, open := 0, 0, 0, 0
	for _, p := range plansOf(someShares(), 1) {
		fates[p.fate]++
		outcomes[p.outcome]++
		if p.forge != sim.Genuine {
			forged++
		}
		if p.withJobID && p.again == "" {
			jobs++
		}
		if p.again != "" {
			again++
		}
		if p.unfinished {
			open++
		}
		if p.fate == delayed && (p.late < 4*time.Second || p.late > 12*time.Second) {
			t.Errorf("delayed by %s", p.late)
		}
		if (p.fate == duplicated) != (p.copies > 0) {
			t.Errorf("fate %d with %d copies", p.fate, p.copies)
		}
	}
	if fates[lost] != 90 || fates[delayed] != 30 || fates[duplicated] != 30 || fates[early]+fates[overtaken] != 15 || fates[told] != 135 {
		t.Errorf("fates %v", fates)
	}
	if outcomes[sim.Live] != 180 || outcomes[sim.Fake] != 90 || outcomes[sim.Inconclusive] != 9 || outcomes[sim.Null] != 6 || outcomes[sim.Failed] != 15 {
		t.Errorf("outcomes %v", outcomes)
	}
	if forged != 15 || again != 30 || open != 3 || jobs < 120 || jobs > 150 {
		t.Errorf("forged %d, again %d, unfinished %d, with job id %d", forged, again, open, jobs)
	}
}

func TestSeedRepeatsThePlan(t *testing.T) {
	if !reflect.DeepEqual(plansOf(someShares(), 7), plansOf(someShares(), 7)) {
		t.Error("the same seed plans otherwise")
	}
	if reflect.DeepEqual(plansOf(someShares(), 7), plansOf(someShares(), 8)) {
		t.Error("the seed has no effect")
	}
}

func TestSharesThatFillEverything(t *testing.T) {
	s := shares{lose: 0.1, delay: 0.2, duplicate: 0.3, reorder: 0.4}
	if err := s.check(); err != nil {
		t.Error(err)
	}
	for _, p := range plansOf(s, 3) {
		if p.fate == told {
			t.Fatal("a session without bad luck")
		}
	}
}
