package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// dashboardPage is the report with its charts.
type dashboardPage struct {
	Report     status.Report
	Now        string
	Deliveries chart
	Rescues    chart
	Lag        chart
	States     []stateBar
}

// chart is a row of bars in a box of chartWidth by chartHeight.
type chart struct {
	Title string
	Top   string // what the full height means
	From  string // labels below its ends
	To    string
	Bars  []bar
	Empty bool
}

type bar struct {
	X, Y, Width, Height float64
	Label               string // for a pointer, and for who cannot see it
}

// stateBar is a number of sessions with its share, in percent.
type stateBar struct {
	State string
	Count int64
	Share float64
}

const (
	chartWidth  = 480.0
	chartHeight = 120.0
	dayStep     = 30 * time.Minute
	daySteps    = 48
)

// dashboard shows how it is: the judgement, then the figures of the last day.
func (p *page) dashboard(w http.ResponseWriter, r *http.Request) error {
	report, now := p.server.Status(r.Context()), p.server.Now()
	bins, err := p.server.store.Series(r.Context(), now, dayStep, daySteps)
	if err != nil {
		return err
	}
	day, err := p.server.store.Figures(r.Context(), now.Add(-status.WindowLength), now)
	if err != nil {
		return err
	}
	data := dashboardPage{Report: report, Now: now.UTC().Format("2006-01-02 15:04:05 UTC"),
		Deliveries: dayChart("Deliveries, last 24 h", bins, deliveriesOf),
		Rescues:    dayChart("Rescues by polling, last 24 h", bins, func(f store.Figures) int64 { return f[verdict.SettledFirstByPoll] }),
		Lag:        lagChart(day), States: states(report.Sessions)}
	p.render(w, http.StatusOK, "dashboard.html", frameOf(r, p, "moverisd: "+string(report.Level)), data)
	return nil
}

func states(s status.Sessions) []stateBar {
	list := []stateBar{{State: "awaiting", Count: s.Awaiting}, {State: "overdue", Count: s.Overdue}, {State: "settled", Count: s.Settled},
		{State: "missing", Count: s.Missing}, {State: "withdrawn", Count: s.Withdrawn}}
	var total int64
	for _, b := range list {
		total += b.Count
	}
	for i := range list {
		if total > 0 {
			list[i].Share = float64(list[i].Count) / float64(total) * 100
		}
	}
	return list
}

// dayChart shows a figure over the last day.
func dayChart(title string, bins []store.Bin, of func(store.Figures) int64) chart {
	var values []int64
	var labels []string
	for _, b := range bins {
		values = append(values, of(b.Figures))
		labels = append(labels, b.At.Format("15:04")+"–"+b.At.Add(dayStep).Format("15:04"))
	}
	c := bars(title, values, labels)
	c.From, c.To = bins[0].At.Format("15:04 UTC"), "now"
	return c
}

// lagChart shows how late webhooks are, in steps that double.
func lagChart(day store.Figures) chart {
	const first, last = 4, 18 // powers of two in milliseconds: 16 ms to 4 min
	values := make([]int64, last-first+2)
	var labels []string
	for f, n := range day {
		if f < verdict.WebhookLagFigures || f >= verdict.WebhookLagFigures+1000 {
			continue
		}
		power := (int(f-verdict.WebhookLagFigures) + 7) / 8 // the cell ends at or below 2^power
		values[min(max(power-first, 0), len(values)-1)] += n
	}
	for i := range values {
		until := time.Duration(1<<(first+i)) * time.Millisecond
		if i == len(values)-1 {
			labels = append(labels, "later than "+short(until/2))
			continue
		}
		labels = append(labels, "within "+short(until))
	}
	c := bars("Webhook lag, last 24 h", values, labels)
	c.From, c.To = "at once", "over 4 min"
	return c
}

func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// bars scales values to the box.
func bars(title string, values []int64, labels []string) chart {
	var top int64
	for _, v := range values {
		top = max(top, v)
	}
	c := chart{Title: title, Top: fmt.Sprint(top), Empty: top == 0}
	each := chartWidth / float64(len(values))
	for i, v := range values {
		height := 0.0
		if top > 0 {
			height = float64(v) / float64(top) * chartHeight
		}
		if v > 0 {
			height = max(height, 1.5) // a single one among thousands is to be seen
		}
		c.Bars = append(c.Bars, bar{X: float64(i)*each + 0.5, Y: chartHeight - height, Width: each - 1, Height: height,
			Label: fmt.Sprintf("%s: %d", labels[i], v)})
	}
	return c
}
