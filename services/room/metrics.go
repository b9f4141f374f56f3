package room

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/net/media"
)

// Metrics counts what rooms do. It is a prometheus.Collector. No label has a room's name, which anybody can make up.
type Metrics struct {
	rooms                                        prometheus.Gauge
	members                                      *prometheus.GaugeVec
	entries, refused                             *prometheus.CounterVec
	frames, bytes, skips, skipped, lost, tooSlow prometheus.Counter
	dropped                                      prometheus.Counter
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "skua", Subsystem: "media", Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "skua", Subsystem: "media", Name: name, Help: help}, labels)
	}
	return &Metrics{
		rooms: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "media", Name: "rooms", Help: "Rooms that somebody is in."}),
		members: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "skua", Subsystem: "media", Name: "members", Help: "Publishers and viewers in rooms.",
		}, []string{"action", "protocol"}),
		entries: vec("entries_total", "Publishers and viewers that were let in.", "action", "protocol"),
		refused: vec("refused_total", "Publishers and viewers that were not let in.", "action", "reason"),
		frames:  counter("viewer_frames_total", "Frames that viewers got, counted when they leave."),
		bytes:   counter("viewer_bytes_total", "Bytes of these."),
		skips:   counter("viewer_skips_total", "Times that a viewer was too slow and went on at a newer key frame, counted when it leaves."),
		skipped: counter("viewer_skipped_frames_total", "Pictures that viewers have not had by that."),
		lost:    counter("viewer_lost_frames_total", "Frames that viewers came for too late, so that even sound is missing."),
		dropped: counter("messages_dropped_total", "What members said over WebRTC while the script of rules had too many messages to decide on."),
		tooSlow: counter("viewers_too_slow_total", "Viewers that were closed since they stayed behind, or took nothing."),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.rooms, m.members, m.entries, m.refused, m.frames, m.bytes, m.skips, m.skipped, m.lost, m.tooSlow, m.dropped}
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

// admitted counts how an admission has ended.
func (m *Metrics) admitted(a *admission, err error) {
	if err == nil {
		m.entries.WithLabelValues(string(a.action), a.entry.Protocol).Inc()
		return
	}
	m.refused.WithLabelValues(string(a.action), reasonOf(err)).Inc()
}

func (m *Metrics) entered(one *member) {
	m.members.WithLabelValues(string(one.Action), one.Protocol).Inc()
}

func (m *Metrics) left(one *member) {
	m.members.WithLabelValues(string(one.Action), one.Protocol).Dec()
	if one.viewer == nil {
		return
	}
	counts := one.viewer.Counts()
	m.frames.Add(float64(counts.Frames))
	m.bytes.Add(float64(counts.Bytes))
	m.skips.Add(float64(counts.Skips))
	m.skipped.Add(float64(counts.Skipped))
	m.lost.Add(float64(counts.Lost))
	if err := one.viewer.Err(); errors.Is(err, media.ErrSlow) || errors.Is(err, media.ErrStalled) {
		m.tooSlow.Inc()
	}
}
