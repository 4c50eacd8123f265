package main

import (
	"bytes"
	"strings"
	"testing"
)

// The ratio of a row is the median of the ratios of the rounds, not that of the medians: what is
// compared was measured side by side.
func TestBenchReport(t *testing.T) {
	r := &benchReport{Values: map[string]values{}, Rounds: 3}
	for i, bare := range []float64{100, 1000, 10} {
		for name, factor := range map[string]float64{"bare": 1, "moverisd": []float64{0.5, 0.6, 0.9}[i]} {
			var l loadResult
			l.PerSecond, l.Latency.P99 = bare*factor, 2/factor
			r.load(name, l)
		}
	}
	r.ratio("acked", "moverisd acked_per_second", "bare acked_per_second", 0.55, 0.65)
	r.ratio("too high", "moverisd acked_per_second", "bare acked_per_second", 0.61, 0.65)
	r.ratioMax("p99", "moverisd p99_ms", "bare p99_ms", 1.7, 1)
	r.ratioMax("too low", "moverisd p99_ms", "bare p99_ms", 1.6, 1)
	r.ratio("never measured", "moverisd x", "bare x", 0.1, 1)
	for i, want := range []struct {
		median float64
		met    bool
	}{{0.6, true}, {0.6, false}, {1 / 0.6, true}, {1 / 0.6, false}, {0, false}} {
		row := r.Rows[i]
		if diff := row.Median - want.median; diff > 1e-9 || diff < -1e-9 || row.Met != want.met {
			t.Errorf("%s: %+v", row.Name, row)
		}
	}
	if row := r.Rows[0]; row.Least != 0.5 || row.Most != 0.9 {
		t.Errorf("%+v", row)
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{"0.60", "≥ 0.55", "(0.50 … 0.90)", "short of the bound: never measured; too high; too low\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if even := (values{4, 1, 3, 2}).median(); even != 2.5 {
		t.Errorf("the median is %v", even)
	}
}
