package store

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what a Service does. It is a prometheus.Collector.
type Metrics struct {
	saves, commits, writes, retries, refused prometheus.Counter
	pending, down                            prometheus.Gauge
	batch, size                              prometheus.Histogram
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "skua", Subsystem: "store", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "store", Name: name, Help: help})
	}
	return &Metrics{
		saves:   counter("saves_total", "Changes that were handed in to be written later."),
		commits: counter("commits_total", "Changes whose owner waited until they were durable."),
		writes:  counter("writes_total", "Documents written."),
		retries: counter("retries_total", "Writes that failed because the database was not available, and are tried again."),
		refused: counter("refused_total", "Writes that the database refused for good: fenced, in conflict, or not valid for it."),
		pending: gauge("pending_documents", "Documents with changes that are not written yet."),
		down:    gauge("database_down", "1 while the database can't be reached."),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "skua", Subsystem: "store", Name: "batch_seconds", Help: "Time of one batch of writes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "skua", Subsystem: "store", Name: "batch_documents", Help: "Documents in one batch of writes.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.saves, m.commits, m.writes, m.retries, m.refused, m.pending, m.down, m.batch, m.size}
}

// Describe is part of prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect is part of prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}
