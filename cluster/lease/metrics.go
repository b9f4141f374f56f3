package lease

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what becomes of leases.
type metrics struct {
	registry         prometheus.Registerer // nil leaves them out
	taken, takenOver prometheus.Counter
	lost             *prometheus.CounterVec
	failed, refused  *prometheus.CounterVec
	collectors       []prometheus.Collector
}

func newMetrics(l *Leases) *metrics {
	m := &metrics{
		taken: prometheus.NewCounter(prometheus.CounterOpts{Name: "skua_lease_taken_total", Help: "Leases that this node has taken."}),
		takenOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skua_lease_taken_over_total", Help: "Those of them that were taken from a node that is gone.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_lease_lost_total", Help: "Leases that ended before they were released, by reason.",
		}, []string{"reason"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_lease_failed_total", Help: "Writes and watches that did not work and are tried again, by what they were for.",
		}, []string{"what"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_lease_refused_total", Help: "What was refused, by reason: too many held, too many waiting, wants of other nodes that are bad or too many.",
		}, []string{"reason"}),
	}
	m.collectors = []prometheus.Collector{
		m.taken, m.takenOver, m.lost, m.failed, m.refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skua_lease_held", Help: "Leases that this node holds."}, func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return float64(len(l.held))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skua_lease_waiting", Help: "How many wait for leases on this node."}, func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return float64(l.waiting)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skua_lease_wanted", Help: "Other nodes that have said that they wait for a lease of this one."}, func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			sum := 0
			for x := range l.held {
				if ln := l.lines[x.key]; ln != nil {
					sum += len(ln.wants)
				}
			}
			return float64(sum)
		}),
	}
	if l.cfg.Metrics != nil {
		m.registry = prometheus.WrapRegistererWith(prometheus.Labels{"bucket": l.cfg.Bucket}, l.cfg.Metrics)
	}
	return m
}

func (m *metrics) register() error {
	if m.registry == nil {
		return nil
	}
	for _, c := range m.collectors {
		if err := m.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.collectors {
		m.registry.Unregister(c)
	}
}
