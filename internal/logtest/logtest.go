// Package logtest is for tests that look at what was logged.
package logtest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// New makes a logger and what keeps its text, which is printed when the test has failed.
func New(tb testing.TB) (*slog.Logger, *Buffer) {
	tb.Helper()
	b := &Buffer{}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the log:\n%s", b)
		}
	})
	return slog.New(slog.NewTextHandler(b, nil)), b
}

// Buffer keeps what is written to it. Any number of goroutines may write and read at once.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Count is how many lines have the text in them.
func (b *Buffer) Count(text string) int {
	n := 0
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
