package gate

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/skua-go/skua/net/transport"
)

// Metrics counts what a Gate does. It is a prometheus.Collector.
type Metrics struct {
	sessions                                                    prometheus.Gauge
	requests, failed, pushes, logins, denied, replaced, pushErr prometheus.Counter

	mu         sync.Mutex
	transports map[string]*transport.Stats
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "skua", Subsystem: "gate", Name: name, Help: help})
	}
	return &Metrics{
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "gate", Name: "sessions", Help: "Clients that have shaken hands."}),
		requests: counter("requests_total", "Requests and notifies of clients."),
		failed:   counter("request_errors_total", "Requests that were answered with an error."),
		pushes:   counter("pushes_total", "Pushes to clients."),
		pushErr:  counter("push_errors_total", "Pushes that could not be encoded."),
		logins:   counter("logins_total", "Logins that succeeded."),
		denied:   counter("logins_denied_total", "Logins that failed."),
		replaced: counter("sessions_replaced_total", "Sessions that ended because their player logged in elsewhere."),

		transports: map[string]*transport.Stats{},
	}
}

// transport gives the counters of one listener's connections.
func (m *Metrics) transport(name string) *transport.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.transports[name] == nil {
		m.transports[name] = &transport.Stats{}
	}
	return m.transports[name]
}

func (m *Metrics) own() []prometheus.Collector {
	return []prometheus.Collector{m.sessions, m.requests, m.failed, m.pushes, m.pushErr, m.logins, m.denied, m.replaced}
}

// Descriptions of what is read from the transports' own counters.
var ( //nolint:gochecknoglobals // constants
	descOpen      = prometheus.NewDesc("skua_transport_connections", "Connections that are open.", []string{"transport"}, nil)
	descQueued    = prometheus.NewDesc("skua_transport_queued_bytes", "Bytes that wait to be written to clients.", []string{"transport"}, nil)
	descAccepted  = prometheus.NewDesc("skua_transport_accepted_total", "Connections that were accepted.", []string{"transport"}, nil)
	descRefused   = prometheus.NewDesc("skua_transport_refused_total", "Connections that were refused.", []string{"transport", "reason"}, nil)
	descClosed    = prometheus.NewDesc("skua_transport_closed_total", "Connections that ended.", []string{"transport", "reason"}, nil)
	descBytes     = prometheus.NewDesc("skua_transport_bytes_total", "Bytes of packets.", []string{"transport", "direction"}, nil)
	descAcceptErr = prometheus.NewDesc("skua_transport_accept_errors_total", "Failures to accept that passed, such as having no file descriptors left.", []string{"transport"}, nil)
	descPanics    = prometheus.NewDesc("skua_transport_panics_total", "Panics of handlers, each of which closed a connection.", []string{"transport"}, nil)
	descFrames    = prometheus.NewDesc("skua_transport_packets_total", "Packets.", []string{"transport", "direction"}, nil)
)

// Describe is part of prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.own() {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{descOpen, descQueued, descAccepted, descRefused, descClosed, descBytes, descFrames, descAcceptErr, descPanics} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.own() {
		c.Collect(ch)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, stats := range m.transports {
		collect(ch, name, stats.Snapshot())
	}
}

func collect(ch chan<- prometheus.Metric, name string, s transport.Snapshot) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{name}, labels...)...)
	}
	gauge(descOpen, float64(s.Open))
	gauge(descQueued, float64(s.Queued))
	count(descAccepted, s.Accepted)
	for reason, n := range s.Refused {
		count(descRefused, n, reason)
	}
	for reason, n := range s.Closed {
		count(descClosed, n, reason)
	}
	count(descBytes, s.BytesIn, "in")
	count(descBytes, s.BytesOut, "out")
	count(descFrames, s.FramesIn, "in")
	count(descFrames, s.FramesOut, "out")
	count(descAcceptErr, s.AcceptErr)
	count(descPanics, s.Panics)
}
