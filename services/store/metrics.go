package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a Service does. It is a prometheus.Collector.
type Metrics struct {
	saves, commits, writes, unchanged, retries, refused, quarantined, overloaded prometheus.Counter
	patches, bodyBytes, sentBytes, hits, misses                                  prometheus.Counter
	pending, bytes, due, down, cacheBytes                                        prometheus.Gauge
	batch, size, commit                                                          prometheus.Histogram
}

// NewMetrics makes the counters; register them where the operator looks.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "skua", Subsystem: "store", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "store", Name: name, Help: help})
	}
	return &Metrics{
		saves:       counter("saves_total", "Changes that were handed in to be written later."),
		commits:     counter("commits_total", "Changes whose owner waited until they were durable."),
		writes:      counter("writes_total", "Documents written."),
		unchanged:   counter("unchanged_total", "Writes that were not needed, because the database had the content."),
		patches:     counter("patches_total", "Writes that went out as a patch."),
		bodyBytes:   counter("body_bytes_total", "Bytes of the contents that were written."),
		sentBytes:   counter("sent_bytes_total", "Bytes of what was sent of these, about: patches, or the contents."),
		hits:        counter("cache_hits_total", "Loads that the cache has answered."),
		misses:      counter("cache_misses_total", "Loads that the cache could not answer."),
		quarantined: counter("quarantined_total", "Contents that the database refused and that were set aside."),
		overloaded:  counter("overloaded_total", "Changes and loads that were refused because too much waited for the database."),
		retries:     counter("retries_total", "Writes that failed because the database was not available, and are tried again."),
		refused:     counter("refused_total", "Writes that the database refused for good: fenced, in conflict, or not valid for it."),
		pending:     gauge("pending_documents", "Documents with changes that are not written yet."),
		bytes:       gauge("pending_bytes", "Bytes of content that is not written yet."),
		due:         gauge("due_timestamp_seconds", "When the write that is due first is or was due, in seconds since 1970; 0 if none waits."),
		cacheBytes:  gauge("cache_bytes", "Bytes that the cache of loads has."),
		down:        gauge("database_down", "1 while the database can't be reached."),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "skua", Subsystem: "store", Name: "batch_seconds", Help: "Time of one batch of writes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "skua", Subsystem: "store", Name: "commit_seconds", Help: "Time from a commit to its answer that it is durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "skua", Subsystem: "store", Name: "batch_documents", Help: "Documents in one batch of writes.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.saves, m.commits, m.writes, m.unchanged, m.retries, m.refused, m.quarantined, m.overloaded, m.patches, m.bodyBytes, m.sentBytes, m.hits, m.misses,
		m.pending, m.bytes, m.due, m.down, m.cacheBytes, m.batch, m.size, m.commit,
	}
}

// waits shows what waits to be written.
func (m *Metrics) waits(o *outbox) {
	m.pending.Set(float64(o.pending))
	first := time.Time{}
	for _, q := range []queue{o.saves, o.commits} {
		if len(q) > 0 && (first.IsZero() || q[0].due.Before(first)) {
			first = q[0].due
		}
	}
	if first.IsZero() {
		m.due.Set(0)
		return
	}
	m.due.Set(float64(first.UnixMilli()) / 1000)
}

// applied counts a batch that the database was given.
func (m *Metrics) applied(writes []Write, took time.Duration) {
	m.batch.Observe(took.Seconds())
	m.size.Observe(float64(len(writes)))
	body, sent, patches := 0, 0, 0
	for i := range writes {
		w := &writes[i]
		body += len(w.Body)
		if w.Patch != nil {
			sent += w.Patch.Size()
			patches++
		} else {
			sent += len(w.Body)
		}
	}
	m.bodyBytes.Add(float64(body))
	m.sentBytes.Add(float64(sent))
	m.patches.Add(float64(patches))
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
