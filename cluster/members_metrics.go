package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
)

// membersMetrics counts who comes and goes.
type membersMetrics struct {
	events, refused *prometheus.CounterVec
	members         *membersCollector
}

func newMembersMetrics(m *Members) *membersMetrics {
	return &membersMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_cluster_member_events_total", Help: "Changes of other nodes, by the state they are in then.",
		}, []string{"state"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_cluster_refused_heartbeats_total", Help: "Heartbeats that were not believed, by reason.",
		}, []string{"reason"}),
		members: &membersCollector{m, prometheus.NewDesc("skua_cluster_members", "Nodes of the cluster that this one knows, itself too, by state.", []string{"state"}, nil)},
	}
}

func (c *membersMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{c.events, c.refused, c.members}
}

func (c *membersMetrics) register(r prometheus.Registerer) error {
	for _, m := range c.all() {
		if err := r.Register(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *membersMetrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, m := range c.all() {
		r.Unregister(m)
	}
}

// membersCollector counts members by state when it is asked.
type membersCollector struct {
	members *Members
	desc    *prometheus.Desc
}

// Describe has one metric.
func (c *membersCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect counts.
func (c *membersCollector) Collect(ch chan<- prometheus.Metric) {
	counts := map[State]int{}
	for _, m := range c.members.List() {
		counts[m.State]++
	}
	for _, s := range []State{Alive, Suspect, Dead, Left} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(counts[s]), s.String())
	}
}
