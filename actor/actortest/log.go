package actortest

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

// testLog writes the system's log into the test's, and keeps it.
type testLog struct {
	start time.Time

	mu  sync.Mutex
	t   TB // nil when the test is over: it would panic
	out io.Writer
	all bytes.Buffer
}

func newTestLog(t TB, start time.Time) *testLog {
	l := &testLog{t: t, start: start}
	if o, ok := t.(interface{ Output() io.Writer }); ok { // without the line of this file before each line
		l.out = o.Output()
	}
	return l
}

func (l *testLog) handler() slog.Handler {
	return slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.String("t", since(l.start, a.Value.Time()))
		}
		return a
	}})
}

// since is how logs and traces show when something was.
func since(start, at time.Time) string { return at.Sub(start).String() }

// Write takes one line.
func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	switch {
	case l.t == nil:
	case l.out != nil:
		return l.out.Write(p)
	default:
		l.t.Logf("%s", bytes.TrimSuffix(p, []byte("\n")))
	}
	return len(p), nil
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}
