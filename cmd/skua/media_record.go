package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/net/record"
)

// buildRecorder makes what [media] says of recordings; nil without a directory.
func (n *node) buildRecorder(log *slog.Logger) (*record.Recorder, error) {
	c := &n.project.cfg
	m := &c.Media
	if m.RecordDir == "" {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	r, err := record.New(record.Config{
		Dir: c.Path(m.RecordDir), Quota: int64(m.RecordQuota), Max: m.MaxRecordings, Every: m.RecordEvery.Duration, Bytes: int64(m.RecordBytes), Flush: m.RecordFlush.Duration, Log: log,
	})
	if err != nil {
		return nil, err
	}
	for _, g := range []struct {
		name, help string
		value      func(record.Counts) float64
	}{
		{"recordings", "Rooms that are recorded now.", func(c record.Counts) float64 { return float64(c.Now) }},
		{"record_used_bytes", "Bytes in the directory of recordings, as far as known.", func(c record.Counts) float64 { return float64(c.Used) }},
		{"record_quota_bytes", "Bytes that it may have.", func(c record.Counts) float64 { return float64(c.Quota) }},
	} {
		n.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "skua", Subsystem: "media", Name: g.name, Help: g.help}, func() float64 { return g.value(r.Counts()) }))
	}
	for _, g := range []struct {
		name, help string
		value      func(record.Counts) float64
	}{
		{"record_files_total", "Files of recordings that were finished.", func(c record.Counts) float64 { return float64(c.Files) }},
		{"record_bytes_total", "Bytes that were written to them.", func(c record.Counts) float64 { return float64(c.Bytes) }},
		{"record_lost_frames_total", "Frames that are not in them.", func(c record.Counts) float64 { return float64(c.Lost) }},
		{"record_failures_total", "Recordings that ended since the disk failed.", func(c record.Counts) float64 { return float64(c.Failed) }},
		{"record_over_quota_total", "Recordings that ended since the quota was used up.", func(c record.Counts) float64 { return float64(c.OverQuota) }},
	} {
		n.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "skua", Subsystem: "media", Name: g.name, Help: g.help}, func() float64 { return g.value(r.Counts()) }))
	}
	return r, nil
}
