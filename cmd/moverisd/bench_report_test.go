package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// values are what the rounds have measured of one thing.
type values []float64

func (v values) median() float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// benchReport is the result of a run. Its JSON has every value, so that nothing of it has to be
// believed.
type benchReport struct {
	Machine string            `json:"machine"`
	Rounds  int               `json:"rounds"`
	Seconds float64           `json:"seconds_per_load"`
	Rows    []benchRow        `json:"rows"`
	Values  map[string]values `json:"values"` // by round
	Notes   []string          `json:"notes,omitempty"`

	order []string // names of loads as they came
}

// benchRow is a comparison. A bound of 0 is none.
type benchRow struct {
	Name    string  `json:"name"`
	Median  float64 `json:"median"`
	Least   float64 `json:"min"`
	Most    float64 `json:"max"`
	Bound   float64 `json:"bound"`
	Goal    float64 `json:"goal"`
	AtMost  bool    `json:"at_most"` // the bound is an upper one
	Met     bool    `json:"met"`
	Unit    string  `json:"unit,omitempty"`
	Figures string  `json:"of,omitempty"`
}

func (r *benchReport) add(name string, v float64) { r.Values[name] = append(r.Values[name], v) }

// load enters what a load came to under a name.
func (r *benchReport) load(name string, l loadResult) {
	if !slices.Contains(r.order, name) {
		r.order = append(r.order, name)
	}
	r.add(name+" acked_per_second", l.PerSecond)
	r.add(name+" p50_ms", l.Latency.P50)
	r.add(name+" p99_ms", l.Latency.P99)
	r.add(name+" max_ms", l.Latency.Max)
	r.add(name+" cpu_us", l.Server.CPU)
	r.add(name+" memory_peak_mib", l.Server.Peak)
}

// ratio enters a row of the ratios of the rounds, which is to be at least a bound.
func (r *benchReport) ratio(name, of, by string, bound, goal float64) {
	r.compare(name, of, by, bound, goal, false)
}

// ratioMax is ratio, to be at most a bound.
func (r *benchReport) ratioMax(name, of, by string, bound, goal float64) {
	r.compare(name, of, by, bound, goal, true)
}

func (r *benchReport) compare(name, of, by string, bound, goal float64, atMost bool) {
	var ratios values
	for i := range min(len(r.Values[of]), len(r.Values[by])) {
		if b := r.Values[by][i]; b > 0 {
			ratios = append(ratios, r.Values[of][i]/b)
		}
	}
	r.row(name, ratios, bound, goal, atMost, "")
	r.Rows[len(r.Rows)-1].Figures = fmt.Sprintf("%s ÷ %s", short(r.Values[of].median()), short(r.Values[by].median()))
}

// row enters a row of values that are no ratios.
func (r *benchReport) row(name string, v values, bound, goal float64, atMost bool, unit string) {
	row := benchRow{Name: name, Median: v.median(), Bound: bound, Goal: goal, AtMost: atMost, Unit: unit}
	if len(v) > 0 {
		row.Least, row.Most = slices.Min(v), slices.Max(v)
	}
	row.Met = len(v) > 0 && (bound == 0 || atMost && row.Median <= bound || !atMost && row.Median >= bound)
	r.Rows = append(r.Rows, row)
}

func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func (r *benchReport) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s; %d rounds of %.1f s, medians, and in parentheses the least and the most\n\n", r.Machine, r.Rounds, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\tacked/s\t\tp50 ms\tp99 ms\tmax ms\tµs of processor each\tpeak MiB\t")
	for _, name := range r.order {
		v := func(what string) values { return r.Values[name+" "+what] }
		acked := v("acked_per_second")
		fmt.Fprintf(t, "%s\t%.0f\t(%.0f … %.0f)\t%s\t%s\t%s\t%s\t%.0f\t\n", name, acked.median(), slices.Min(acked), slices.Max(acked),
			short(v("p50_ms").median()), short(v("p99_ms").median()), short(v("max_ms").median()), short(v("cpu_us").median()), v("memory_peak_mib").median())
	}
	t.Flush()
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tmeasured\t\tbound\tgoal\t\tof")
	for _, row := range r.Rows {
		bound, goal, verdict := "", "", ""
		if row.Bound > 0 {
			sign := map[bool]string{true: "≤ ", false: "≥ "}[row.AtMost]
			bound, goal = sign+short(row.Bound), sign+short(row.Goal)
			if verdict = "short"; row.Met {
				verdict = "met"
			}
		}
		fmt.Fprintf(t, "%s\t%s%s\t(%s … %s)\t%s\t%s\t%s\t%s\n", row.Name, short(row.Median), row.Unit, short(row.Least), short(row.Most), bound, goal, verdict, row.Figures)
	}
	t.Flush()
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	if shorts := r.short(); len(shorts) > 0 {
		fmt.Fprintf(w, "\nshort of the bound: %s\n", strings.Join(shorts, "; "))
	}
}

// short lists the rows that miss their bounds.
func (r *benchReport) short() []string {
	names := map[string]bool{}
	for _, row := range r.Rows {
		if !row.Met {
			names[row.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
