package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLogLevels is how many components have a level of their own, and maxComponent how long a name may be.
	maxLogLevels = 64
	maxComponent = 64
)

// logLevels is which lines of the log are written: a level for all, and others for single components. A component is what a line says of its origin: part=mesh, the script of
// a service (lua:SCRIPT), the kind or name of an actor. A level for "gate" is for "gate.session" and for "gate:x" as well, unless these have one.
type logLevels struct {
	levels atomic.Pointer[map[string]slog.Level] // never nil; that of the empty name is for all others

	mu     sync.Mutex
	begun  map[string]slog.Level // as configured
	timers map[string]*levelEnd
}

// levelEnd puts a level back that holds for a while.
type levelEnd struct {
	at    time.Time
	timer *time.Timer
}

func newLogLevels(cfg LogConfig) (*logLevels, error) {
	levels := map[string]slog.Level{}
	for component, text := range cfg.Levels {
		level, err := parseLevel(text)
		if err != nil {
			return nil, fmt.Errorf("log.levels.%s: %w", component, err)
		}
		levels[component] = level
	}
	var err error
	if levels[""], err = parseLevel(cfg.Level); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	l := &logLevels{begun: levels, timers: map[string]*levelEnd{}}
	l.levels.Store(&levels)
	return l, nil
}

var errLevel = errors.New("expected debug, info, warn or error")

func parseLevel(text string) (slog.Level, error) {
	switch text {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("found %q, %w", text, errLevel)
}

// of is the least level that is written of a component.
func (l *logLevels) of(component string) slog.Level {
	levels := *l.levels.Load()
	if len(levels) == 1 {
		return levels[""]
	}
	if level, ok := levels[component]; ok {
		return level
	}
	if i := strings.IndexAny(component, ".:"); i >= 0 {
		if level, ok := levels[component[:i]]; ok {
			return level
		}
	}
	return levels[""]
}

// set has a component, or with the empty name all others, written from a level on; for a while, after which the configured one holds again, or with 0 until the node ends.
func (l *logLevels) set(component string, level slog.Level, within time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	levels := maps.Clone(*l.levels.Load())
	levels[component] = level
	if len(levels) > maxLogLevels+1 {
		return fmt.Errorf("%d components have levels of their own, no further ones can", maxLogLevels)
	}
	l.levels.Store(&levels)
	l.disarm(component)
	if within > 0 {
		end := &levelEnd{at: time.Now().Add(within)}
		l.timers[component] = end
		end.timer = time.AfterFunc(within, func() { l.ended(component, end) })
	}
	return nil
}

// reset has a component written as configured.
func (l *logLevels) reset(component string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disarm(component)
	l.restore(component)
}

func (l *logLevels) ended(component string, end *levelEnd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timers[component] == end {
		delete(l.timers, component)
		l.restore(component)
	}
}

// restore and disarm are called with the lock held.
func (l *logLevels) restore(component string) {
	levels := maps.Clone(*l.levels.Load())
	if level, configured := l.begun[component]; configured {
		levels[component] = level
	} else {
		delete(levels, component)
	}
	l.levels.Store(&levels)
}

func (l *logLevels) disarm(component string) {
	if end := l.timers[component]; end != nil {
		end.timer.Stop()
		delete(l.timers, component)
	}
}

// list is the level of each component that has one, of all others as the empty name, and until when those hold that end.
func (l *logLevels) list() (levels map[string]slog.Level, until map[string]time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until = map[string]time.Time{}
	for component, end := range l.timers {
		until[component] = end.at
	}
	return maps.Clone(*l.levels.Load()), until
}

// close stops what would put levels back.
func (l *logLevels) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for component := range l.timers {
		l.disarm(component)
	}
}

// handler lets through what the levels say.
func (l *logLevels) handler(inner slog.Handler) slog.Handler {
	return &levelHandler{inner: inner, levels: l}
}

type levelHandler struct {
	inner     slog.Handler
	levels    *logLevels
	component string
	group     bool
}

// Enabled is part of slog.Handler.
func (h *levelHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.levels.of(h.component)
}

// Handle is part of slog.Handler.
func (h *levelHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.inner.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler. It learns which component the lines are of.
func (h *levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	own := *h
	own.inner = h.inner.WithAttrs(attrs)
	if h.group {
		return &own
	}
	for _, a := range attrs {
		switch a.Key {
		case "part", "kind":
			own.component = a.Value.String()
		case "service":
			script, _, _ := strings.Cut(a.Value.String(), ":")
			own.component = "lua:" + script
		case "actor":
			if name := a.Value.String(); own.component == "" && !strings.ContainsAny(name, ":@/") { // a name, not an address
				own.component = name
			}
		}
	}
	return &own
}

// WithGroup is part of slog.Handler.
func (h *levelHandler) WithGroup(name string) slog.Handler {
	own := *h
	own.inner, own.group = h.inner.WithGroup(name), true
	return &own
}
