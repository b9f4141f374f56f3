package cluster

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what happens to a node's connection.
type metrics struct {
	events     *prometheus.CounterVec
	collectors []prometheus.Collector

	mu       sync.Mutex
	slow     map[*nats.Subscription]int // what each subscription that ever was too slow had dropped when last asked
	dropped  int
	reported time.Time
}

func newMetrics(n *Node) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_cluster_connection_events_total", Help: "What happened to the node's NATS connection, by event.",
		}, []string{"event"}),
		slow: make(map[*nats.Subscription]int),
	}
	m.collectors = []prometheus.Collector{
		m.events,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "skua_cluster_dropped_messages_total", Help: "Messages lost because a subscription was too slow for its pending limits.",
		}, func() float64 { return float64(m.droppedTotal()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "skua_cluster_connected", Help: "1 while the node's NATS connection is up.",
		}, func() float64 { return oneIf(n.conn.IsConnected()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "skua_cluster_lease_held", Help: "1 while the node may trust that its name is its own.",
		}, func() float64 { return oneIf(n.Lease().Held) }),
	}
	return m
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range m.collectors {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	for _, c := range m.collectors {
		r.Unregister(c)
	}
}

func (m *metrics) event(name string) { m.events.WithLabelValues(name).Inc() }

// dropping begins to watch what sub drops.
func (m *metrics) dropping(sub *nats.Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.slow[sub]; !known {
		m.slow[sub] = 0
	}
	m.count()
}

func (m *metrics) droppedTotal() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count()
	return m.dropped
}

// count adds what was dropped since the last time. The caller holds mu.
func (m *metrics) count() {
	for sub, before := range m.slow {
		now, err := sub.Dropped()
		if err != nil { // the subscription has ended
			delete(m.slow, sub)
			continue
		}
		m.dropped += now - before
		m.slow[sub] = now
	}
}

// mayReport keeps the log readable when messages are dropped all the time.
func (m *metrics) mayReport(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.reported) < dropReport {
		return false
	}
	m.reported = now
	return true
}
