package reload

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	changes  *prometheus.CounterVec
	seconds  prometheus.Histogram
	canaries *prometheus.CounterVec
	trying   prometheus.Gauge
	refused  prometheus.Counter
	behind   prometheus.Gauge
	fellBack prometheus.Gauge
	refusing prometheus.GaugeFunc
}

// newMetrics makes them. refusing counts the actors that can't go back.
func newMetrics(refusing func() int) *metrics {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_reload_changes_total", Help: "Changes of versions that this node was asked for, by action (reload, rollback) and outcome (done, undone).",
		}, []string{"action", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "skua_reload_seconds", Help: "Time of changes of versions that this node was asked for, on all nodes.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
		}),
		canaries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_reload_canaries_total", Help: "Canaries that this node was asked for, by outcome: passed, or why they were taken back (errors, time, few, node, ended, failed).",
		}, []string{"outcome"}),
		trying: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skua_reload_canary", Help: "1 while a canary goes on that this node was asked for.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skua_reload_refused_total", Help: "Orders of other nodes about versions that were not taken.",
		}),
		behind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skua_reload_behind", Help: "1 while this node can't come over to the version of the cluster.",
		}),
		fellBack: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skua_reload_fallback", Help: "1 while this node runs an older version, as it could not begin with the current one.",
		}),
		refusing: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "skua_reload_stragglers", Help: "Actors of this node that stay on a version that was undone, since their hook refuses to go back.",
		}, func() float64 { return float64(refusing()) }),
	}
	// All are there from the start: of a series that begins with 1 no alert sees an increase.
	for _, action := range []string{"reload", "rollback"} {
		for _, outcome := range []string{Done, Undone} {
			m.changes.WithLabelValues(action, outcome)
		}
	}
	for _, outcome := range []string{outcomePassed, outcomeErrors, outcomeTime, outcomeFew, outcomeNode, outcomeEnded, outcomeFailed} {
		m.canaries.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) register(to prometheus.Registerer) error {
	return errors.Join(to.Register(m.changes), to.Register(m.seconds), to.Register(m.canaries), to.Register(m.trying), to.Register(m.refused), to.Register(m.behind), to.Register(m.fellBack), to.Register(m.refusing))
}

func (m *metrics) ended(c *Change) {
	m.changes.WithLabelValues(c.Action, c.State).Inc()
	m.seconds.Observe((time.Duration(c.Took) * time.Millisecond).Seconds())
}

func set(g prometheus.Gauge, on bool) {
	if on {
		g.Set(1)
	} else {
		g.Set(0)
	}
}

func (m *metrics) isBehind(on bool) { set(m.behind, on) }
func (m *metrics) fallback(on bool) { set(m.fellBack, on) }
func (m *metrics) canary(on bool)   { set(m.trying, on) }
