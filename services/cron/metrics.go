package cron

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what a Service does. It is a prometheus.Collector.
type Metrics struct {
	jobs          prometheus.Gauge
	ticks, missed prometheus.Counter
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "skua", Subsystem: "cron", Name: name, Help: help})
	}
	return &Metrics{
		jobs:   prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "cron", Name: "jobs", Help: "Jobs that wait for their time."}),
		ticks:  counter("ticks_total", "Messages that jobs have sent."),
		missed: counter("missed_total", "Times at which a job was due and sent nothing: the node was suspended or too busy, or nobody was there."),
	}
}

// Describe is part of prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.jobs, m.ticks, m.missed} {
		c.Describe(ch)
	}
}

// Collect is part of prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.jobs, m.ticks, m.missed} {
		c.Collect(ch)
	}
}
