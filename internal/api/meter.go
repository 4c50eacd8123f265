package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Meter measures what no report holds: how long things take, and how many share a commit. All
// else that the metrics show is read from the report when they are asked for, see collector.
type Meter struct {
	registry *prometheus.Registry
	ack      prometheus.Histogram
	batch    prometheus.Histogram
	commit   prometheus.Histogram
	sweeps   *prometheus.CounterVec
}

// NewMeter returns a meter that has measured nothing.
func NewMeter() *Meter {
	// A delivery is answered after an fsync: from 1 ms on a good disk up to its timeout of 6 s.
	seconds := prometheus.ExponentialBuckets(0.001, 2, 14)
	m := &Meter{registry: prometheus.NewRegistry(),
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "moverisd_delivery_ack_seconds", Buckets: seconds,
			Help: "Time from the header of a delivery to its 204, which goes out after the commit."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "moverisd_commit_batch_operations",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 250}, Help: "Operations that shared a commit."}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "moverisd_commit_seconds", Buckets: seconds,
			Help: "Time of a transaction, its fsync included."}),
		sweeps: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "moverisd_sweeps_total",
			Help: "Sweeps over the due sessions, by result."}, []string{"result"})}
	m.sweeps.WithLabelValues("ok")
	m.sweeps.WithLabelValues("failed")
	m.registry.MustRegister(m.ack, m.batch, m.commit, m.sweeps,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Acked measures the answer to a delivery.
func (m *Meter) Acked(took time.Duration) { m.ack.Observe(took.Seconds()) }

// Committed measures a commit.
func (m *Meter) Committed(operations int, took time.Duration) {
	m.batch.Observe(float64(operations))
	m.commit.Observe(took.Seconds())
}

// Swept counts a sweep.
func (m *Meter) Swept(err error) {
	if err != nil {
		m.sweeps.WithLabelValues("failed").Inc()
		return
	}
	m.sweeps.WithLabelValues("ok").Inc()
}
