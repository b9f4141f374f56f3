package login

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a Service does. It is a prometheus.Collector.
type Metrics struct {
	attempts                  *prometheus.CounterVec
	fetches                   *prometheus.CounterVec
	standings, keys, remember prometheus.Gauge
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "login", Name: name, Help: help})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "skua", Subsystem: "login", Name: name, Help: help}, labels)
	}
	return &Metrics{
		attempts:  counter("attempts_total", "Logins, by the way and by what became of them: ok, or the code that the client got.", "method", "result"),
		fetches:   counter("jwks_fetches_total", "Readings of the keys for JWTs.", "result"),
		standings: gauge("standings", "Players with a ban or revoked tokens."),
		keys:      gauge("jwt_keys", "Keys that JWTs are checked with."),
		remember:  gauge("jwt_remembered", "JWTs that are remembered so that they can't be used twice."),
	}
}

// codes are those that are labels; a hook's own are "refused".
var codes = []Code{ //nolint:gochecknoglobals // a constant
	Denied, BadRequest, BadName, BadPassword, BadToken, Expired, Revoked, Banned, Maintenance, TooMany, Busy, Unavailable,
}

func (m *Metrics) attempt(method Method, err error) {
	result := "ok"
	var e *Error
	switch {
	case errors.As(err, &e) && slices.Contains(codes, e.Code):
		result = string(e.Code)
	case errors.As(err, &e):
		result = "refused"
	case err != nil:
		result = "failed"
	}
	if method == "" {
		method = "none_fits"
	}
	m.attempts.WithLabelValues(string(method), result).Inc()
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.attempts, m.fetches, m.standings, m.keys, m.remember}
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
