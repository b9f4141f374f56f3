package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/lmittmann/tint"
)

// newLog writes lines for people, or JSON for collectors.
func newLog(w io.Writer, cfg LogConfig) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return nil, fmt.Errorf("config: log.level: %w", err)
	}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000", NoColor: true})), nil
}
