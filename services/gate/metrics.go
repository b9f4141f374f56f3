package gate

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/net/transport"
)

// Metrics counts what a Gate does. It is a prometheus.Collector.
type Metrics struct {
	sessions                                                    prometheus.Gauge
	requests, failed, pushes, logins, denied, replaced, pushErr prometheus.Counter
	tooFast, tooSlow, dropped, coalesced, rehomed               prometheus.Counter
	resumes, moves                                              *prometheus.CounterVec
	ringBytes                                                   atomic.Int64
	times                                                       *routeTimes
	waiting                                                     func() int

	mu         sync.Mutex
	transports map[string]*transport.Stats
	descs      transportDescs
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

		tooFast:   counter("too_fast_total", "Requests and notifies that came faster than their route allows."),
		tooSlow:   counter("too_slow_total", "Clients that did not read what they were sent, while they were connected."),
		dropped:   counter("pushes_dropped_total", "Pushes that their class let drop, because the client was behind or away."),
		coalesced: counter("pushes_coalesced_total", "Pushes of class latest that a newer one replaced before they were sent."),
		resumes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "skua", Subsystem: "gate", Name: "resumes_total", Help: "Clients that came back to their session, by what became of it.",
		}, []string{"result"}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "skua", Subsystem: "gate", Name: "moves_total", Help: "Sessions that came from the gate of another node (in), or went there (out).",
		}, []string{"direction"}),
		rehomed: counter("rehomed_total", "Sessions that were given another agent, because the node of the one that they had was gone, or about to go."),
		times:   newRouteTimes(),
		waiting: func() int { return 0 },

		transports: map[string]*transport.Stats{}, descs: newTransportDescs(),
	}
}

// resume counts a client that came back; code is why it could not, or empty.
func (m *Metrics) resume(code string) {
	if code == "" {
		code = "resumed"
	}
	m.resumes.WithLabelValues(code).Inc()
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
	return []prometheus.Collector{m.sessions, m.requests, m.failed, m.pushes, m.pushErr, m.logins, m.denied, m.replaced, m.tooFast, m.tooSlow, m.dropped, m.coalesced, m.resumes, m.moves, m.rehomed, m.times.vec}
}

// transportDescs describe what is read from the transports' own counters.
type transportDescs struct {
	open, queued, accepted, refused, closed, bytes, acceptErr, panics, frames *prometheus.Desc

	waiting, ring *prometheus.Desc // of the gate itself
}

func newTransportDescs() transportDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("skua_transport_"+name, help, append([]string{"transport"}, labels...), nil)
	}
	return transportDescs{
		open:      desc("connections", "Connections that are open."),
		queued:    desc("queued_bytes", "Bytes that wait to be written to clients."),
		accepted:  desc("accepted_total", "Connections that were accepted."),
		refused:   desc("refused_total", "Connections that were refused.", "reason"),
		closed:    desc("closed_total", "Connections that ended.", "reason"),
		bytes:     desc("bytes_total", "Bytes of packets.", "direction"),
		acceptErr: desc("accept_errors_total", "Failures to accept that passed, such as having no file descriptors left."),
		panics:    desc("panics_total", "Panics of handlers, each of which closed a connection."),
		frames:    desc("packets_total", "Packets.", "direction"),

		waiting: prometheus.NewDesc("skua_gate_sessions_waiting", "Sessions that wait for their clients to come back.", nil, nil),
		ring:    prometheus.NewDesc("skua_gate_ring_bytes", "Bytes of packages that clients have not acknowledged; what many were sent counts for each.", nil, nil),
	}
}

// Describe is part of prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.own() {
		c.Describe(ch)
	}
	d := &m.descs
	for _, desc := range []*prometheus.Desc{d.open, d.queued, d.accepted, d.refused, d.closed, d.bytes, d.acceptErr, d.panics, d.frames, d.waiting, d.ring} {
		ch <- desc
	}
}

// Collect is part of prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.own() {
		c.Collect(ch)
	}
	ch <- prometheus.MustNewConstMetric(m.descs.waiting, prometheus.GaugeValue, float64(m.waiting()))
	ch <- prometheus.MustNewConstMetric(m.descs.ring, prometheus.GaugeValue, float64(m.ringBytes.Load()))
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, stats := range m.transports {
		m.descs.collect(ch, name, stats.Snapshot())
	}
}

func (d *transportDescs) collect(ch chan<- prometheus.Metric, name string, s transport.Snapshot) {
	gauge := func(desc *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, name)
	}
	count := func(desc *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), append([]string{name}, labels...)...)
	}
	gauge(d.open, float64(s.Open))
	gauge(d.queued, float64(s.Queued))
	count(d.accepted, s.Accepted)
	for reason, n := range s.Refused {
		count(d.refused, n, reason)
	}
	for reason, n := range s.Closed {
		count(d.closed, n, reason)
	}
	count(d.bytes, s.BytesIn, "in")
	count(d.bytes, s.BytesOut, "out")
	count(d.frames, s.FramesIn, "in")
	count(d.frames, s.FramesOut, "out")
	count(d.acceptErr, s.AcceptErr)
	count(d.panics, s.Panics)
}
