package main

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/lua/lint"
	"github.com/skua-go/skua/net/transcode"
)

// buildTranscoder makes what [media] says of sound that players do not know; nil: it is passed on as it comes. A node without the program has rooms all the same: it may be installed later.
func (n *node) buildTranscoder(log *slog.Logger) *transcode.Transcoder {
	m := &n.project.cfg.Media
	if !m.TranscodeAudio {
		return nil
	}
	if _, err := transcode.Find(m.FFmpeg); err != nil {
		log.Error("media.transcode_audio: sound is passed on as it is published", "ffmpeg", m.FFmpeg, "reason", err)
	}
	t := transcode.New(transcode.Config{Program: m.FFmpeg, Max: m.MaxTranscoders, Log: log})
	n.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "skua_media_transcoders", Help: "Processes that make sound for viewers whose players do not know what is published.",
	}, func() float64 { return float64(t.Counts().Running) }))
	for _, g := range []struct {
		name, help string
		value      func(transcode.Counts) uint64
	}{
		{"restarts", "Times that such a process was started again after a failure.", func(c transcode.Counts) uint64 { return c.Restarts }},
		{"refused", "Times that none was started since there were media.max_transcoders.", func(c transcode.Counts) uint64 { return c.Refused }},
		{"frames_in", "Frames of sound that were given to them.", func(c transcode.Counts) uint64 { return c.In }},
		{"frames_out", "Frames of sound that came back.", func(c transcode.Counts) uint64 { return c.Out }},
		{"frames_dropped", "Frames of sound for which there was no process, or that it did not take in time.", func(c transcode.Counts) uint64 { return c.Dropped }},
	} {
		n.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skua_media_transcoder_" + g.name + "_total", Help: g.help}, func() float64 { return float64(g.value(t.Counts())) }))
	}
	return t
}

// programs are those that the configuration needs and that are not there.
func (m *MediaConfig) programs() []lint.Problem {
	if !m.TranscodeAudio {
		return nil
	}
	if _, err := transcode.Find(m.FFmpeg); err != nil {
		return []lint.Problem{{File: configFile, Rule: lint.Require, Message: fmt.Sprintf("media.ffmpeg = %q: media.transcode_audio needs it: %v", m.FFmpeg, err)}}
	}
	return nil
}
