package grain

import "github.com/prometheus/client_golang/prometheus"

// metrics counts what happens to grains.
type metrics struct {
	activated, failed, placed, found, again, retried, overloaded, lost, fenced, claimed, fencedNodes prometheus.Counter
	silences, inquired, inquiredFound                                                                prometheus.Counter

	closed *prometheus.CounterVec
	gauges []prometheus.Collector
}

func newMetrics(g *Grains) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "skua_grain_" + name, Help: help})
	}
	gauge := func(name, help string, f func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skua_grain_" + name, Help: help}, func() float64 { return float64(f()) })
	}
	return &metrics{
		activated:     counter("activations_total", "Grains that have started on this node."),
		failed:        counter("failed_activations_total", "Grains that could not start on this node."),
		placed:        counter("placements_total", "Grains that this node has had started, here or elsewhere, for shards that it keeps."),
		found:         counter("searches_total", "Grains that were found, or started, for senders of this node."),
		again:         counter("search_retries_total", "Searches that had to be tried again."),
		retried:       counter("request_retries_total", "Requests that were sent once more because no activation was where one had been."),
		overloaded:    counter("overloaded_total", "Messages and requests that were refused because too many waited."),
		lost:          counter("lost_total", "Messages to grains that have become dead letters."),
		fenced:        counter("fenced_total", "Messages that were not handled because this node could not prove that the grain is its own."),
		claimed:       counter("claims_total", "Shards that this node has taken."),
		fencedNodes:   counter("fenced_nodes_total", "Other nodes whose grains may be started elsewhere, since they can't act any more."),
		silences:      counter("silences_total", "Times that another node was asked where a grain is and gave no sign of life soon."),
		inquired:      counter("inquiries_total", "Grains that all nodes were asked for, because who keeps their shard was silent or did not know yet."),
		inquiredFound: counter("inquiries_found_total", "Those of them that a node had."),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_grain_ends_total", Help: "Grains of this node that have been ended, by reason.",
		}, []string{"reason"}),
		gauges: []prometheus.Collector{
			gauge("active", "Grains of this node.", g.active.Load),
			gauge("directory_entries", "Grains that this node's directories know.", g.entries.Load),
			gauge("shards", "Shards that this node keeps.", g.owned.Load),
			gauge("waiting", "Messages that wait for grains.", g.waiting.Load),
		},
	}
}

func (m *metrics) all() []prometheus.Collector {
	return append([]prometheus.Collector{
		m.activated, m.failed, m.placed, m.found, m.again, m.retried, m.overloaded, m.lost, m.fenced, m.claimed, m.fencedNodes, m.closed,
		m.silences, m.inquired, m.inquiredFound,
	}, m.gauges...)
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range m.all() {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil || m == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}
