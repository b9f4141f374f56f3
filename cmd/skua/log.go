package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"

	"github.com/lmittmann/tint"
)

// nodeLog is the log of a node, with what operators can change of it.
type nodeLog struct {
	*slog.Logger
	levels *logLevels
	storms *logStorms
}

// newLog writes lines for people, or JSON for collectors.
func newLog(w io.Writer, cfg LogConfig) (*nodeLog, error) {
	levels, err := newLogLevels(cfg)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	const all = slog.Level(math.MinInt32) // levels decide
	lines := tint.NewTextHandler(w, &tint.Options{Level: all, TimeFormat: "15:04:05.000", NoColor: true})
	if cfg.Format == "json" {
		lines = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: all})
	}
	storms := newLogStorms()
	return &nodeLog{Logger: slog.New(levels.handler(storms.handler(lines))), levels: levels, storms: storms}, nil
}

// close writes what has been held back, and leaves the levels as they are.
func (l *nodeLog) close() {
	l.levels.close()
	l.storms.close()
}
