package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/moverisd/moverisd/internal/sim"
)

const listedMax = 20 // findings in the text form; the JSON form has all

// tally counts while the lives run.
type tally struct {
	mu                    sync.Mutex
	announced, finished   int
	sent, lost, delayed   int
	duplicated, reordered int
	forged                int
	open                  int            // during the wait for moverisd
	waiting               bool           // for moverisd
	answers               map[string]int // to all deliveries, by status code
}

func (c *tally) add(f func(*tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

func (c *tally) answer(status int) {
	name := "none"
	if status != 0 {
		name = fmt.Sprint(status)
	}
	c.add(func(c *tally) { c.sent++; c.answers[name]++ })
}

func (c *tally) setOpen(n int) { c.add(func(c *tally) { c.waiting, c.open = true, n }) }

// report is the result of a run, in the form of --output json.
type report struct {
	Accounted      bool          `json:"accounted"`
	Sessions       int           `json:"sessions"` // that finished
	Told           int           `json:"told"`     // by webhook, rightly
	Rescued        int           `json:"rescued"`  // by polling, rightly
	Wrong          int           `json:"wrong"`
	Absent         int           `json:"absent"`
	Unsettled      int           `json:"unsettled"`
	Unfinished     int           `json:"unfinished"` // checks without an end, rightly open
	Seed           uint64        `json:"seed"`
	RescuedExample string        `json:"rescued_example,omitempty"`
	Webhooks       webhookCounts `json:"webhooks"`
	Requests       requestCounts `json:"requests"`
	Findings       []finding     `json:"findings"`
}

type webhookCounts struct {
	Sent             int            `json:"sent"` // all that left the house
	Lost             int            `json:"lost"`
	Delayed          int            `json:"delayed"`
	Duplicated       int            `json:"duplicated"`
	Reordered        int            `json:"reordered"`
	Forged           int            `json:"forged"`
	ForgedNotRefused int            `json:"forged_not_refused"`
	Answers          map[string]int `json:"answers"`
}

// requestCounts is what moverisd asked of Moveris, over the life of serve.
type requestCounts struct {
	Total       int `json:"total"`
	MaxInMinute int `json:"max_in_any_60_seconds"`
}

func (t *traffic) report(findings []finding, stats sim.Stats) *report {
	c := &t.tally
	rep := &report{
		Seed:     t.cfg.seed,
		Requests: requestCounts{stats.Requests, stats.MaxInWindow},
		Webhooks: webhookCounts{c.sent, c.lost, c.delayed, c.duplicated, c.reordered, c.forged, 0, c.answers},
		Findings: []finding{},
	}
	for i, f := range findings {
		rep.count(f, t.records[i])
	}
	rep.Accounted = len(rep.Findings) == 0
	return rep
}

func (rep *report) count(f finding, rec *record) {
	if rec.forgeryTaken() != 0 {
		rep.Webhooks.ForgedNotRefused++
	}
	if f.open {
		rep.Unfinished++
		return
	}
	rep.Sessions++
	switch {
	case f.Problem == wrong:
		rep.Wrong++
	case f.Problem == absent:
		rep.Absent++
	case f.Problem == unsettled:
		rep.Unsettled++
	case f.firstBy == "poll":
		rep.Rescued++
		rep.example(f, rec)
		return
	default:
		rep.Told++
		return
	}
	rep.Findings = append(rep.Findings, f)
}

// example prefers a lost webhook with a plain verdict: the story of the demo.
func (rep *report) example(f finding, rec *record) {
	if rep.RescuedExample == "" && !rec.sent && rec.finished == sim.Live {
		rep.RescuedExample = f.SessionID
	}
}

func (rep *report) write(w io.Writer, form string) error {
	if form == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(rep)
	}
	_, err := io.WriteString(w, rep.text())
	return err
}

func (rep *report) text() string {
	var b strings.Builder
	wh := rep.Webhooks
	fmt.Fprintf(&b, "seed: %d\n", rep.Seed)
	fmt.Fprintf(&b, "webhooks: %d sent, %d lost, %d delayed, %d duplicated, %d reordered, %d forged (%d not refused)\n",
		wh.Sent, wh.Lost, wh.Delayed, wh.Duplicated, wh.Reordered, wh.Forged, wh.ForgedNotRefused)
	fmt.Fprintf(&b, "answers to webhooks: %s\n", answersText(wh.Answers))
	fmt.Fprintf(&b, "requests to Moveris: %d, at most %d in any 60 seconds\n", rep.Requests.Total, rep.Requests.MaxInMinute)
	if rep.Unfinished > 0 {
		fmt.Fprintf(&b, "checks that never finished: %d more, rightly without an outcome\n", rep.Unfinished)
	}
	if rep.RescuedExample != "" {
		fmt.Fprintf(&b, "rescued example: %s\n", rep.RescuedExample)
	}
	for _, f := range rep.Findings[:min(len(rep.Findings), listedMax)] {
		fmt.Fprintf(&b, "%s: session %d, %s: %s\n", f.Problem, f.Number, f.SessionID, f.Detail)
	}
	if more := len(rep.Findings) - listedMax; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	b.WriteString(rep.sentence() + "\n")
	return b.String()
}

// sentence is what scripts look for; its form is fixed.
func (rep *report) sentence() string {
	s := fmt.Sprintf("every session accounted for: %d sessions, %d told by webhook, %d rescued by polling, %d wrong, %d absent",
		rep.Sessions, rep.Told, rep.Rescued, rep.Wrong, rep.Absent)
	if rep.Accounted {
		return s
	}
	if rep.Unsettled > 0 {
		s += fmt.Sprintf(", %d unsettled", rep.Unsettled)
	}
	return "NOT " + s
}

func answersText(answers map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		label := name
		if name == fmt.Sprint(http.StatusUnauthorized) {
			label = name + " (refused)"
		}
		parts = append(parts, fmt.Sprintf("%d × %s", answers[name], label))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
