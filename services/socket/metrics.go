package socket

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what sockets do. It is a prometheus.Collector.
type Metrics struct {
	open, held              prometheus.Gauge
	read, written           prometheus.Counter
	refused, cut, datagrams prometheus.Counter
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "skua", Subsystem: "socket", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	return &Metrics{
		open:      gauge("open", "Sockets of scripts."),
		held:      gauge("held_bytes", "Bytes that were not read by scripts yet, or not taken by their peers."),
		read:      counter("read_bytes_total", "Bytes that came from peers."),
		written:   counter("written_bytes_total", "Bytes that went to peers."),
		refused:   counter("refused_total", "Sockets that were not opened, for there are too many."),
		cut:       counter("cut_total", "Sockets that were closed since they passed a bound of bytes."),
		datagrams: counter("datagrams_dropped_total", "Datagrams that were not sent, for too many waited."),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.open, m.held, m.read, m.written, m.refused, m.cut, m.datagrams}
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
