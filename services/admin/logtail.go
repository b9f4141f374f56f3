package admin

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// Bounds of a LogTail.
const (
	keptLines    = 2000
	keptFailures = 1000 // actors whose last error is kept
	maxLogText   = 4 << 10
	maxLogAttrs  = 32
)

// LogLine is a line of the node's log.
type LogLine struct {
	Time    time.Time         `json:"time"`
	Level   string            `json:"level" doc:"DEBUG, INFO, WARN or ERROR, or between them such as INFO+1."`
	Message string            `json:"message"`
	Attrs   map[string]string `json:"attrs,omitempty"`

	level slog.Level
}

// LogPage is some of the newest lines, the oldest first.
type LogPage struct {
	Lines  []LogLine `json:"lines"`
	Next   string    `json:"next" doc:"Cursor of what comes behind them."`
	Missed uint64    `json:"missed,omitempty" doc:"Lines since the cursor that are not kept any more: the reader was too slow."`
}

// LogTail keeps the newest 2,000 lines of a log for those who look, and the last error of each actor that has logged one. Nobody who reads holds anybody up: whoever is too slow misses lines and is told how many.
// Make it with new. Methods may be called from any goroutine, and those of a nil LogTail find nothing.
type LogTail struct {
	mu       sync.Mutex
	ring     [keptLines]LogLine
	n        uint64 // of all
	news     chan struct{}
	failures map[string]*Failure // by the actor's name or address
}

// Handler is a handler that keeps what next handles.
func (t *LogTail) Handler(next slog.Handler) slog.Handler { return &tailHandler{t: t, next: next} }

type tailHandler struct {
	t     *LogTail
	next  slog.Handler
	attrs []slog.Attr // of With, their keys with those of their groups
	group string
}

// Enabled is part of slog.Handler.
func (h *tailHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle is part of slog.Handler.
func (h *tailHandler) Handle(ctx context.Context, r slog.Record) error {
	h.t.add(h.line(&r))
	return h.next.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (h *tailHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		all = append(all, a)
	}
	return &tailHandler{t: h.t, next: h.next.WithAttrs(attrs), attrs: all, group: h.group}
}

// WithGroup is part of slog.Handler.
func (h *tailHandler) WithGroup(name string) slog.Handler {
	return &tailHandler{t: h.t, next: h.next.WithGroup(name), attrs: h.attrs, group: h.group + name + "."}
}

func (h *tailHandler) line(r *slog.Record) LogLine {
	l := LogLine{Time: r.Time.UTC(), Level: r.Level.String(), Message: clipTo(r.Message, maxLogText), level: r.Level}
	if len(h.attrs)+r.NumAttrs() == 0 {
		return l
	}
	l.Attrs = make(map[string]string, len(h.attrs)+r.NumAttrs())
	for _, a := range h.attrs {
		l.put("", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		l.put(h.group, a)
		return len(l.Attrs) < maxLogAttrs
	})
	return l
}

func (l *LogLine) put(group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			l.put(group, inner)
		}
		return
	}
	if a.Key != "" && len(l.Attrs) < maxLogAttrs {
		l.Attrs[group+a.Key] = clipTo(attrText(v), maxLogText)
	}
}

// attrText is a value as text. One whose method panics is no reason to lose the line.
func attrText(v slog.Value) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("!PANIC: %v", r)
		}
	}()
	return v.String()
}

func (t *LogTail) add(l LogLine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring[t.n%keptLines] = l
	t.n++
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
	if name := l.Attrs["actor"]; name != "" && l.level >= slog.LevelError {
		t.failed(name, &l)
	}
}

// failed keeps an actor's error. When there is no room the oldest goes. The lock is held.
func (t *LogTail) failed(name string, l *LogLine) {
	if t.failures == nil {
		t.failures = map[string]*Failure{}
	}
	if _, known := t.failures[name]; !known && len(t.failures) >= keptFailures {
		oldest := ""
		for other, f := range t.failures {
			if oldest == "" || f.Time.Before(t.failures[oldest].Time) {
				oldest = other
			}
		}
		delete(t.failures, oldest)
	}
	f := &Failure{Time: l.Time, Message: l.Message, Error: l.Attrs["error"], Traceback: l.Attrs["traceback"]}
	if f.Error == "" {
		f.Error = l.Attrs["panic"]
	}
	if f.Traceback == "" {
		f.Traceback = l.Attrs["stack"]
	}
	t.failures[name] = f
}

// failureOf is the last error that an actor has logged; nil if it has not.
func (t *LogTail) failureOf(i *actor.Info) *Failure {
	if t == nil {
		return nil
	}
	name := i.Name
	if name == "" {
		name = i.Ref.String()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures[name]
}

// logFilter is which lines somebody wants.
type logFilter struct {
	level    slog.Level
	actor    string
	contains string
}

func (f *logFilter) takes(l *LogLine) bool {
	if l.level < f.level || f.actor != "" && l.Attrs["actor"] != f.actor && l.Attrs["script"] != f.actor {
		return false
	}
	if f.contains == "" || strings.Contains(l.Message, f.contains) {
		return true
	}
	for _, v := range l.Attrs {
		if strings.Contains(v, f.contains) {
			return true
		}
	}
	return false
}

// page has up to limit lines behind a cursor that the filter takes, without one the newest; and what is closed when there is more, if there is nothing now.
func (t *LogTail) page(cursor string, limit int, f *logFilter) (p LogPage, more <-chan struct{}, err error) {
	p.Lines = []LogLine{}
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.n - min(t.n, keptLines)
	from := first
	if cursor != "" {
		if from, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return p, nil, failure(codeBad, "cursor: expected next of a page before")
		}
		switch {
		case from > t.n: // of the node before it was started anew
			from = first
		case from < first:
			p.Missed, from = first-from, first
		}
	}
	at := from
	for ; at < t.n && (cursor == "" || len(p.Lines) < limit); at++ {
		if l := &t.ring[at%keptLines]; f.takes(l) {
			p.Lines = append(p.Lines, *l)
		}
	}
	if extra := len(p.Lines) - limit; extra > 0 {
		p.Lines = p.Lines[extra:]
	}
	p.Next = strconv.FormatUint(at, 10)
	if t.news == nil {
		t.news = make(chan struct{})
	}
	return p, t.news, nil
}
