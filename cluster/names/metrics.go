package names

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what is refused and missed.
type metrics struct {
	missed     prometheus.Counter
	refused    *prometheus.CounterVec
	collectors []prometheus.Collector
	logged     atomic.Int64
}

func newMetrics(x *Names) *metrics {
	m := &metrics{
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skua_names_missed_total", Help: "How often changes of another node did not get through, so that its whole list was asked for again.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_names_refused_total", Help: "Registrations that were not taken, by reason: too many of this node, too many of another, or bad ones of another.",
		}, []string{"reason"}),
	}
	m.collectors = []prometheus.Collector{m.missed, m.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "skua_names_known", Help: "Names of the cluster that somebody has.",
	}, func() float64 { return float64(x.Known()) })}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range m.collectors {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.collectors {
		r.Unregister(c)
	}
}

// logEach is the least time between two lines on what is left out.
const logEach = 5 * time.Second

func (m *metrics) mayLog() bool {
	now, last := time.Now().UnixNano(), m.logged.Load()
	return now-last > int64(logEach) && m.logged.CompareAndSwap(last, now)
}
