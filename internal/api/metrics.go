package api

import (
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moverisd/moverisd/internal/status"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// metrics answers with the metrics in Prometheus' text form.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	c := collector{report: s.Status(r.Context()), counters: s.store.Counters(), queue: s.store.Disk().QueueDepth}
	now := prometheus.NewRegistry()
	if err := now.Register(c); err != nil {
		return err
	}
	from := prometheus.Gatherers{now}
	if s.Meter != nil {
		from = append(from, s.Meter.registry)
	}
	promhttp.HandlerFor(from, promhttp.HandlerOpts{DisableCompression: true,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError)}).ServeHTTP(w, r)
	return nil
}

// collector turns one report into metrics. Every label has a closed set of values: words of
// ours, or names from the configuration. No id of a session is among them.
type collector struct {
	report   status.Report
	counters store.Figures
	queue    int
}

// Describe implements prometheus.Collector. It describes nothing: which series there are
// depends on the configuration.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	m := metricWriter{ch}
	c.health(m)
	c.sessions(m)
	c.deliveries(m)
	for _, a := range c.report.Accounts {
		c.account(m, a)
	}
	for _, f := range c.report.Forward {
		m.gauge("forward_pending", "Results that wait to be handed over.", float64(f.Pending), "forward", f.Name)
		m.gauge("forward_oldest_seconds", "How long the oldest of them waits.", float64(f.OldestSeconds), "forward", f.Name)
		m.gauge("forward_dead_letters", "Results that could not be handed over.", float64(f.DeadLetters), "forward", f.Name)
	}
	c.store(m)
}

func (c collector) health(m metricWriter) {
	r := c.report
	m.gauge("build_info", "Always 1.", 1, "version", r.Version, "go_version", runtime.Version())
	if as := status.Time(r.AsOf); !as.IsZero() {
		m.gauge("start_time_seconds", "When the daemon started, in Unix time.", unixTime(as)-float64(r.UptimeSeconds))
	}
	for _, l := range []status.Level{status.OK, status.Degraded, status.Failing} {
		m.gauge("level", "1 for the level of the judgement, 0 for the others.", truth(r.Level == l), "level", string(l))
	}
	for _, code := range status.Codes() {
		up := slices.ContainsFunc(r.Reasons, func(r status.Reason) bool { return r.Code == code })
		m.gauge("reason", "1 while the reason is up; moverisd status says what to do.", truth(up), "code", code)
	}
	m.stamp("sweep_last_timestamp_seconds", "When the last sweep began, in Unix time.", r.Poll.LastSweepAt)
	m.gauge("sweep_last_success", "Whether the last sweep found nothing wrong.", truth(r.Poll.LastSweepOK))
	m.gauge("sessions_due", "Sessions that are to be asked about now.", float64(r.Poll.Due))
}

func (c collector) sessions(m metricWriter) {
	s := c.report.Sessions
	for state, n := range map[verdict.State]int64{verdict.Awaiting: s.Awaiting, verdict.Overdue: s.Overdue,
		verdict.Settled: s.Settled, verdict.Missing: s.Missing, verdict.Withdrawn: s.Withdrawn} {
		m.gauge("sessions", "Sessions in the store, by state.", float64(n), "state", string(state))
	}
	m.gauge("sessions_conflicting", "Sessions whose sources contradict each other.", float64(s.Conflicts))
	m.gauge("sessions_oldest_overdue_seconds", "How long the oldest overdue session is overdue.", float64(s.OldestOverdueSeconds))
	for source, f := range map[verdict.Source]verdict.Figure{verdict.Webhook: verdict.SettledFirstByWebhook,
		verdict.Poll: verdict.SettledFirstByPoll, verdict.Submitted: verdict.SettledFirstBySubmitted} {
		m.counter("sessions_settled_total", "Sessions that were settled, by who told first.", c.counters[f], "first_by", string(source))
	}
	if ratio := c.report.Window.WebhookMissRatio; ratio != nil {
		m.gauge("webhook_miss_ratio", "Share of the sessions of the last 24 h whose webhook never came.", *ratio)
	}
	m.lags("webhook_lag_seconds", "From Moveris' time of a verdict to its delivery.", c.counters, verdict.WebhookLagFigures)
	m.lags("rescue_lag_seconds", "From Moveris' time of a verdict to the poll that told it first.", c.counters, verdict.RescueLagFigures)
}

func (c collector) deliveries(m metricWriter) {
	const help = "Signed deliveries, by what became of them."
	for result, n := range map[string]int64{
		"accepted":      c.counters[store.FigureAccepted] - c.counters[store.FigureUnknownEvent],
		"unknown_event": c.counters[store.FigureUnknownEvent],
		"duplicate":     c.counters[store.FigureDuplicate], "dead_letter": c.counters[store.FigureDeadLetter]} {
		m.counter("deliveries_total", help, n, "result", result)
	}
	rejected := c.counters.Rejected()
	for _, reason := range store.Rejections() {
		m.counter("deliveries_rejected_total", "Deliveries that were refused, by reason.", rejected[reason], "reason", reason)
	}
	m.counter("deliveries_header_mismatch_total", "Deliveries whose unsigned headers contradicted the signed body.",
		c.counters[store.FigureHeaderMismatch])
	m.stamp("delivery_last_timestamp_seconds", "When the newest signed delivery came, in Unix time.", c.report.Deliveries.LastAt)
}

func (c collector) account(m metricWriter, a status.Account) {
	m.gauge("api_budget_requests", "Requests that an account may make in any minute.", float64(a.BudgetPerMinute), "account", a.Name)
	m.gauge("api_rate_requests", "Requests a minute that it makes at most now, fewer after a 429.", a.RatePerMinute, "account", a.Name)
	m.gauge("api_used_requests", "Requests that it made in the last minute.", float64(a.UsedLastMinute), "account", a.Name)
	m.gauge("api_drain_seconds", "How long the backlog takes at this rate.", float64(a.DrainSeconds), "account", a.Name)
	for _, state := range []string{"closed", "half-open", "open", "stopped"} {
		m.gauge("api_breaker", "1 for the state of the account's breaker, 0 for the others.", truth(a.Breaker == state),
			"account", a.Name, "state", state)
	}
	if a.ClockSkew != nil {
		m.gauge("api_clock_skew_seconds", "The API's clock minus ours.", *a.ClockSkew, "account", a.Name)
	}
	for _, r := range a.Routes {
		counts := map[string]int64{}
		for answer, n := range r.Answers {
			counts[statusLabel(answer)] += n
		}
		for answer, n := range counts {
			m.counter("api_requests_total", "Answers of the API to questions about sessions, by route and status.", n,
				"account", a.Name, "route", r.Route, "status", answer)
		}
	}
	for _, s := range a.Secrets {
		if at := status.Time(s.LastUsedAt); !at.IsZero() {
			m.gauge("webhook_secret_last_used_timestamp_seconds", "When a webhook secret last signed a delivery, in Unix time.",
				unixTime(at), "account", a.Name, "label", s.Label)
		}
	}
}

// statusLabel closes the set of statuses: those that are met with at Moveris, and the class of
// any other.
func statusLabel(answer string) string {
	switch answer {
	case "200", "400", "401", "402", "403", "404", "408", "422", "429", "500", "502", "503", "504",
		"error", "wrong_session", "not_a_result":
		return answer
	}
	if len(answer) == 3 && answer[0] >= '1' && answer[0] <= '5' {
		return answer[:1] + "xx"
	}
	return "other"
}

func (c collector) store(m metricWriter) {
	s := c.report.Store
	m.gauge("store_size_bytes", "Size of the database file.", float64(s.Bytes))
	m.gauge("store_wal_bytes", "Size of its write-ahead log.", float64(s.WALBytes))
	m.gauge("store_free_bytes", "What is left on its disk.", float64(s.FreeBytes))
	m.gauge("store_queue_operations", "Operations that wait for a commit.", float64(c.queue))
	m.stamp("store_last_commit_timestamp_seconds", "When the last commit ended, in Unix time.", s.LastCommitAt)
}

// metricWriter sends metrics, all of whose names begin with the program's.
type metricWriter struct{ ch chan<- prometheus.Metric }

func (m metricWriter) send(kind prometheus.ValueType, name, help string, value float64, pairs []string) {
	var labels, values []string
	for i := 0; i+1 < len(pairs); i += 2 {
		labels, values = append(labels, pairs[i]), append(values, pairs[i+1])
	}
	desc := prometheus.NewDesc("moverisd_"+name, help, labels, nil)
	metric, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(desc, err) // the scrape fails with it, and is logged
	}
	m.ch <- metric
}

func (m metricWriter) gauge(name, help string, value float64, pairs ...string) {
	m.send(prometheus.GaugeValue, name, help, value, pairs)
}

func (m metricWriter) counter(name, help string, value int64, pairs ...string) {
	m.send(prometheus.CounterValue, name, help, float64(value), pairs)
}

// stamp sends a time, unless it never was.
func (m metricWriter) stamp(name, help string, at *string) {
	if t := status.Time(at); !t.IsZero() {
		m.gauge(name, help, unixTime(t))
	}
}

// lagBuckets are the upper bounds of the lag histograms as powers of two, in milliseconds: from
// 64 ms to 18 hours. Each is the edge of a cell, so that nothing is counted in the wrong one.
func lagBuckets() []int { return []int{6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26} }

// lags sends a histogram made of the cells of verdict.LagCell. Its sum is that of the cells'
// middles.
func (m metricWriter) lags(name, help string, figures store.Figures, base verdict.Figure) {
	buckets := map[float64]uint64{}
	var count uint64
	var sum float64
	for f, n := range figures {
		if f < base || f >= base+1000 {
			continue
		}
		cell := f - base
		count += uint64(n)
		sum += verdict.CellLag(cell).Seconds() * float64(n)
	}
	for _, power := range lagBuckets() {
		var below uint64
		for f, n := range figures {
			// Cell c ends at 2^(c/8) milliseconds.
			if f >= base && f < base+1000 && int(f-base) <= 8*power {
				below += uint64(n)
			}
		}
		buckets[math.Exp2(float64(power))/1e3] = below
	}
	m.ch <- prometheus.MustNewConstHistogram(prometheus.NewDesc("moverisd_"+name, help, nil, nil), count, sum, buckets)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unixTime(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }
