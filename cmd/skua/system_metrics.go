package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
)

// systemMetrics are the actor system's counters and times.
func systemMetrics(sys *actor.System) prometheus.Collector {
	return &systemCollector{
		sys:      sys,
		actors:   prometheus.NewDesc("skua_actors", "Actors that live now.", nil, nil),
		working:  prometheus.NewDesc("skua_actor_work", "Pieces of work off their actors, at databases say, that run or wait to run.", nil, nil),
		stuck:    prometheus.NewDesc("skua_actor_stuck_handlers", "Actors that are in one handler for more than 5 s.", nil, nil),
		aside:    prometheus.NewDesc("skua_actor_quarantined", "Actors in quarantine, which wait for an operator.", nil, nil),
		dead:     prometheus.NewDesc("skua_dead_letters_total", "Messages that could not be delivered.", nil, nil),
		failures: prometheus.NewDesc("skua_actor_failures_total", "Handlers that panicked.", nil, nil),
		restarts: prometheus.NewDesc("skua_actor_restarts_total", "Restarts of actors by their supervision.", nil, nil),
		handlers: prometheus.NewDesc("skua_actor_handler_seconds",
			"Time in which messages were handled, waits left out, by kind of actor (lua:SCRIPT for scripts): the first 64 kinds, and all others as \"other\".", []string{"kind"}, nil),
		asks: prometheus.NewDesc("skua_actor_ask_seconds",
			"Time from a request of an actor, or to one, to its end, by what became of it: answered, failed. One in 16 is measured.", []string{"result"}, nil),
	}
}

type systemCollector struct {
	sys                                                                     *actor.System
	actors, working, stuck, aside, dead, failures, restarts, handlers, asks *prometheus.Desc
}

// Describe is part of prometheus.Collector.
func (c *systemCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.actors, c.working, c.stuck, c.aside, c.dead, c.failures, c.restarts, c.handlers, c.asks} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *systemCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.sys.Stats()
	ch <- prometheus.MustNewConstMetric(c.actors, prometheus.GaugeValue, float64(s.Actors))
	ch <- prometheus.MustNewConstMetric(c.working, prometheus.GaugeValue, float64(s.Working))
	ch <- prometheus.MustNewConstMetric(c.stuck, prometheus.GaugeValue, float64(len(c.sys.StuckActors())))
	ch <- prometheus.MustNewConstMetric(c.aside, prometheus.GaugeValue, float64(len(c.sys.InQuarantine())))
	ch <- prometheus.MustNewConstMetric(c.dead, prometheus.CounterValue, float64(s.DeadLetters))
	ch <- prometheus.MustNewConstMetric(c.failures, prometheus.CounterValue, float64(s.Failures))
	ch <- prometheus.MustNewConstMetric(c.restarts, prometheus.CounterValue, float64(s.Restarts))
	for kind, h := range c.sys.HandlerTimes() {
		ch <- histogram(c.handlers, &h, kind)
	}
	answered, failed := c.sys.AskTimes()
	ch <- histogram(c.asks, &answered, "answered")
	ch <- histogram(c.asks, &failed, "failed")
}

// histogram is h as Prometheus has it: each bucket with those below.
func histogram(d *prometheus.Desc, h *actor.Histogram, label string) prometheus.Metric {
	buckets, all := make(map[float64]uint64, len(actor.TimeBounds)), uint64(0)
	for i, n := range h.Counts {
		all += n
		if i < len(actor.TimeBounds) {
			buckets[actor.TimeBounds[i].Seconds()] = all
		}
	}
	return prometheus.MustNewConstHistogram(d, all, h.Sum.Seconds(), buckets, label)
}
