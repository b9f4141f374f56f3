package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/secure"
)

// doorMetrics are the counters of what happens before a gate sees a connection: TLS, PROXY headers, certificates, KCP.
type doorMetrics struct {
	l *listeners

	pending, passed, headers, handshakes, refused *prometheus.Desc
	expires, renewed, broken, stale               *prometheus.Desc
	kcp                                           []kcpMetric
	kcpRefused, kcpEnded                          *prometheus.Desc
}

// kcpMetric is one number of KCP's counters.
type kcpMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s *kcp.Snapshot) float64
}

func newDoorMetrics(l *listeners) *doorMetrics {
	door := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("skua_door_"+name, help, append([]string{"gate", "listener"}, labels...), nil)
	}
	cert := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("skua_tls_"+name, help, []string{"cert"}, nil)
	}
	of := func(name, help string, kind prometheus.ValueType, value func(s *kcp.Snapshot) float64) kcpMetric {
		return kcpMetric{prometheus.NewDesc("skua_kcp_"+name, help, []string{"gate"}, nil), kind, value}
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return &doorMetrics{
		l:          l,
		pending:    door("pending", "Connections whose TLS handshake or PROXY header is not finished."),
		passed:     door("passed_total", "Connections that went on to their gate."),
		headers:    door("proxy_headers_total", "PROXY headers that were read."),
		handshakes: door("tls_handshakes_total", "TLS handshakes that succeeded."),
		refused:    door("refused_total", "Connections that were closed before their gate saw them.", "reason"),
		expires:    cert("certificate_expires_timestamp_seconds", "When the certificate that is served ends."),
		renewed:    cert("certificate_loads_total", "Times that a certificate was taken from its files, the first included."),
		broken:     cert("certificate_failures_total", "Changed certificates that could not be used."),
		stale:      cert("certificate_stale", "1 while the files are not what is served, because they can't be used."),
		kcp: []kcpMetric{
			of("sessions", "KCP sessions.", gauge, func(s *kcp.Snapshot) float64 { return float64(s.Sessions) }),
			of("raw_sessions", "KCP sessions without a handshake.", gauge, func(s *kcp.Snapshot) float64 { return float64(s.Raw) }),
			of("accepted_total", "KCP sessions that began.", counter, func(s *kcp.Snapshot) float64 { return float64(s.Accepted) }),
			of("hellos_total", "Datagrams that asked for a cookie.", counter, func(s *kcp.Snapshot) float64 { return float64(s.Hellos) }),
			of("bad_cookies_total", "Datagrams with a bad or old cookie.", counter, func(s *kcp.Snapshot) float64 { return float64(s.BadCookie) }),
			of("roams_total", "Sessions whose client's address has changed.", counter, func(s *kcp.Snapshot) float64 { return float64(s.Roams) }),
			of("forged_total", "Control datagrams with a wrong signature, and wrong answers to challenges.", counter,
				func(s *kcp.Snapshot) float64 { return float64(s.Forged + s.BadProof) }),
			of("malformed_total", "Datagrams that are not KCP's, or that the key does not fit.", counter,
				func(s *kcp.Snapshot) float64 { return float64(s.Malformed + s.Undecryptable) }),
			of("datagrams_in_total", "Datagrams received.", counter, func(s *kcp.Snapshot) float64 { return float64(s.DatagramsIn) }),
			of("datagrams_out_total", "Datagrams sent.", counter, func(s *kcp.Snapshot) float64 { return float64(s.DatagramsOut) }),
			of("resent_total", "Segments sent again.", counter, func(s *kcp.Snapshot) float64 { return float64(s.Resent) }),
			of("repeated_total", "Small segments sent once more along with newer ones.", counter, func(s *kcp.Snapshot) float64 { return float64(s.Repeated) }),
			of("dropped_total", "Datagrams that the sockets could not take.", counter, func(s *kcp.Snapshot) float64 { return float64(s.DroppedOut + s.SendErrors) }),
		},
		kcpRefused: prometheus.NewDesc("skua_kcp_refused_total", "Clients that got no KCP session.", []string{"gate", "reason"}, nil),
		kcpEnded:   prometheus.NewDesc("skua_kcp_ended_total", "KCP sessions that ended.", []string{"gate", "reason"}, nil),
	}
}

// Describe is part of prometheus.Collector.
func (m *doorMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.pending, m.passed, m.headers, m.handshakes, m.refused, m.expires, m.renewed, m.broken, m.stale, m.kcpRefused, m.kcpEnded,
	} {
		ch <- d
	}
	for _, k := range m.kcp {
		ch <- k.desc
	}
}

// Collect is part of prometheus.Collector.
func (m *doorMetrics) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, v, labels...)
	}
	reasons := func(desc *prometheus.Desc, by map[string]uint64, labels ...string) {
		for reason, n := range by {
			send(desc, prometheus.CounterValue, float64(n), append(labels, reason)...)
		}
	}
	for name, stats := range m.l.stats {
		s := stats.Snapshot()
		send(m.pending, prometheus.GaugeValue, float64(s.Pending), name.gate, name.listener)
		send(m.passed, prometheus.CounterValue, float64(s.Passed), name.gate, name.listener)
		send(m.headers, prometheus.CounterValue, float64(s.Headers), name.gate, name.listener)
		send(m.handshakes, prometheus.CounterValue, float64(s.Handshakes), name.gate, name.listener)
		reasons(m.refused, s.Refused, name.gate, name.listener)
	}
	for gate, stats := range m.l.kcpStats {
		s := stats.Snapshot()
		for _, k := range m.kcp {
			send(k.desc, k.kind, k.of(&s), gate)
		}
		reasons(m.kcpRefused, s.Refused, gate)
		reasons(m.kcpEnded, s.Ended, gate)
	}
	var states []secure.CertificateState
	if m.l.certs != nil {
		states = m.l.certs.States()
	}
	for _, s := range states {
		stale := 0.0
		if s.Err != nil {
			stale = 1
		}
		send(m.expires, prometheus.GaugeValue, float64(s.NotAfter.Unix()), s.Cert)
		send(m.renewed, prometheus.CounterValue, float64(s.Loaded), s.Cert)
		send(m.broken, prometheus.CounterValue, float64(s.Failed), s.Cert)
		send(m.stale, prometheus.GaugeValue, stale, s.Cert)
	}
}
