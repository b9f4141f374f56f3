package mesh

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what goes between nodes.
type metrics struct {
	sent, sentBytes, unsent, resent, received, receivedBytes prometheus.Counter
	gaps, bounced, overloaded, unsendable, choked            prometheus.Counter
	refused                                                  *prometheus.CounterVec
	waiting                                                  prometheus.GaugeFunc
}

func newMetrics(m *Mesh) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "skua_mesh_" + name, Help: help})
	}
	return &metrics{
		sent:          counter("sent_batches_total", "Batches of messages sent to other nodes."),
		sentBytes:     counter("sent_bytes_total", "Bytes of these batches."),
		unsent:        counter("unsent_batches_total", "Batches that could not be sent because the connection was down; they are sent again."),
		resent:        counter("resent_batches_total", "Batches sent once more because they were lost or not acknowledged."),
		received:      counter("received_batches_total", "Batches of messages that came from other nodes."),
		receivedBytes: counter("received_bytes_total", "Bytes of these batches."),
		gaps:          counter("gaps_total", "Batches that were dropped because one before them was missing; they come again."),
		bounced:       counter("lost_links_total", "Links to nodes that were begun anew, with the loss of what was on the way."),
		overloaded:    counter("overloaded_total", "Messages and requests that were refused because too much was on the way to their node or actor."),
		unsendable:    counter("unsendable_total", "Messages, requests and answers that have no form outside of their process, or are too large."),
		choked:        counter("choked_total", "How often another node was asked to send no more to an actor that has too much to do."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skua_mesh_refused_total", Help: "What came from other nodes and was not taken, by reason.",
		}, []string{"reason"}),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skua_mesh_calls", Help: "Requests that wait for other nodes."}, func() float64 {
			n := 0
			for _, p := range m.all() {
				n += p.calls.waiting()
			}
			return float64(n)
		}),
	}
}

func (c *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		c.sent, c.sentBytes, c.unsent, c.resent, c.received, c.receivedBytes, c.gaps, c.bounced, c.overloaded, c.unsendable, c.choked, c.refused, c.waiting,
	}
}

func (c *metrics) register(r prometheus.Registerer) error {
	for _, m := range c.all() {
		if err := r.Register(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, m := range c.all() {
		r.Unregister(m)
	}
}
