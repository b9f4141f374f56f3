package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// stormFirst is how many warnings or errors of one text from one place are written one by one, and stormEvery how long that is counted, and how often the log has the number
	// of all others from then on. It ends when there was none for that long.
	stormFirst = 10
	stormEvery = 10 * time.Second
	// maxStorms bounds the texts that are counted at a time. Those beyond are counted by place, whatever they say; and maxStormKey how much of a text tells it from others.
	maxStorms   = 1024
	maxStormKey = 200
)

// logStorms keeps the log readable, and the disk free, while something fails again and again: the first lines are written, then one in a while with how many there were.
type logStorms struct {
	mu     sync.Mutex
	storms map[stormKey]*storm
	timer  *time.Timer // while there are any
	closed bool
}

// stormKey is a place in the program, and what it says; and the place in a script that it says it of: what one script does all the time must not hide what others do.
type stormKey struct {
	pc         uintptr
	text, line string
}

// scriptLine is the place in a script that the error of a line of the log begins with, as shop.lua:12; empty if it does not.
func scriptLine(r *slog.Record) (line string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "error" || a.Value.Kind() != slog.KindString {
			return true
		}
		text := a.Value.String()
		file, rest, ok := strings.Cut(text[:min(len(text), maxStormKey)], ".lua:")
		n := strings.IndexByte(rest, ':')
		if ok && n > 0 && strings.Trim(rest[:n], "0123456789") == "" {
			line = file + ".lua:" + rest[:n]
		}
		return false
	})
	return line
}

type storm struct {
	since  time.Time // of the present stretch of stormEvery
	lines  int       // written in it
	folded bool      // nothing more of it is written but numbers
	again  int       // not written
	last   slog.Record
	to     slog.Handler // where the last would have gone
}

func newLogStorms() *logStorms { return &logStorms{storms: map[stormKey]*storm{}} }

func (s *logStorms) handler(inner slog.Handler) slog.Handler { return &stormHandler{inner, s} }

type stormHandler struct {
	slog.Handler
	storms *logStorms
}

// Handle is part of slog.Handler.
func (h *stormHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && !h.storms.note(h.Handler, &r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (h *stormHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &stormHandler{h.Handler.WithAttrs(attrs), h.storms}
}

// WithGroup is part of slog.Handler.
func (h *stormHandler) WithGroup(name string) slog.Handler {
	return &stormHandler{h.Handler.WithGroup(name), h.storms}
}

// note counts a line and tells whether it is to be written.
func (s *logStorms) note(to slog.Handler, r *slog.Record) (write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	key := stormKey{pc: r.PC, text: r.Message[:min(len(r.Message), maxStormKey)], line: scriptLine(r)}
	own := s.storms[key]
	if own == nil {
		if len(s.storms) >= maxStorms {
			key.text, key.line = "", ""
			own = s.storms[key]
		}
		if own == nil {
			own = &storm{since: time.Now()}
			s.storms[key] = own
		}
		if s.timer == nil {
			s.timer = time.AfterFunc(stormEvery, s.sweep)
		}
	}
	if !own.folded && own.lines < stormFirst {
		own.lines++
		return true
	}
	own.folded = true
	own.again++
	own.last, own.to = r.Clone(), to
	return false
}

// sweep writes the numbers, and forgets what is over.
func (s *logStorms) sweep() {
	for _, f := range s.due(time.Now()) {
		_ = f() // the log can't say that it can't be written
	}
}

// due takes out what is to be written. It is written without the lock: who writes may have to wait.
func (s *logStorms) due(now time.Time) (writes []func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, own := range s.storms {
		if now.Sub(own.since) < stormEvery && !s.closed {
			continue
		}
		if own.again == 0 {
			delete(s.storms, key)
			continue
		}
		writes = append(writes, own.summary())
		own.since, own.lines, own.again = now, 0, 0
		own.last, own.to = slog.Record{}, nil
	}
	if s.timer = nil; len(s.storms) > 0 && !s.closed {
		s.timer = time.AfterFunc(stormEvery/4, s.sweep)
	}
	return writes
}

// summary writes the last line with how many there were.
func (own *storm) summary() func() error {
	r, to := own.last.Clone(), own.to
	r.AddAttrs(slog.Int("again", own.again))
	return func() error { return to.Handle(context.Background(), r) }
}

// close writes the numbers that are left. From then on all lines are written.
func (s *logStorms) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.sweep()
}
