package mongodb

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what scripts do with MongoDB. It is a prometheus.Collector.
type Metrics struct {
	clients, calls, cursors, queued prometheus.Gauge
	failed, refused, lost, evicted  prometheus.Counter
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "skua", Subsystem: "mongodb", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	return &Metrics{
		clients: gauge("clients", "Deployments, or users of them, that scripts are connected to."),
		calls:   gauge("calls", "Calls of scripts that are under way."),
		cursors: gauge("cursors", "Cursors of scripts that are open on servers."),
		queued:  gauge("queued_writes", "Writes of scripts that tell nobody what became of them and have not been answered yet."),
		failed:  counter("failed_total", "Calls that got no answer from a server."),
		refused: counter("refused_total", "Calls and clients that were refused, for there are too many."),
		lost:    counter("lost_writes_total", "Writes that tell nobody what became of them and that were refused, or not answered."),
		evicted: counter("evicted_cursors_total", "Cursors that were closed, for their service has too many."),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.clients, m.calls, m.cursors, m.queued, m.failed, m.refused, m.lost, m.evicted}
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
