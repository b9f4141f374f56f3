package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain lets the stories of testdata run this program as `skua`.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"skua": main})
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code == 0 {
		// kcp-go keeps timers of its own for ever, and signal.Notify a goroutine.
		if err := goleak.Find(
			goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
			goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"),
			goleak.IgnoreTopFunction("os/signal.loop"),
		); err != nil {
			os.Stderr.WriteString("goleak: " + err.Error() + "\n")
			return 1
		}
	}
	return code
}

// The stories are whole nodes and whole commands, told in testdata/*.txtar.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
	})
}

// A node that is asked to stop saves everybody and exits with 0; what its first service is given, and prints, is seen.
func TestANodeServesUntilItIsToldToStop(t *testing.T) {
	dir := t.TempDir()
	if err := newProject(dir, "demo"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, log := newWatched(), newWatched()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"run", dir, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--listen-http", "127.0.0.1:0",
			"--admin", "127.0.0.1:0",
		}, out, log)
	}()
	ready := out.waitFor(t, "ready")
	for _, door := range []string{" tcp=127.0.0.1:", " kcp=127.0.0.1:", " http=127.0.0.1:", " admin=127.0.0.1:"} {
		if !strings.Contains(ready, door) {
			t.Errorf("%q does not name %q", ready, door)
		}
	}
	log.waitFor(t, "demo is up")
	cancel()
	if got := <-code; got != exitDone {
		t.Fatalf("exit code %d, log:\n%s", got, log.text())
	}
	log.waitFor(t, "stopped")
}

// watched is output that a test can wait for.
type watched struct {
	lines chan string
	all   *bytes.Buffer
}

func newWatched() *watched { return &watched{lines: make(chan string, 1000), all: &bytes.Buffer{}} }

// Write is called by one goroutine at a time: slog and cobra see to that.
func (w *watched) Write(p []byte) (int, error) {
	s := bufio.NewScanner(bytes.NewReader(p))
	for s.Scan() {
		w.lines <- s.Text()
	}
	return len(p), nil
}

func (w *watched) text() string { return w.all.String() }

// waitFor returns the next line that has the text in it.
func (w *watched) waitFor(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line := <-w.lines:
			w.all.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			t.Fatalf("no line with %q; there were:\n%s", text, w.all.String())
		}
	}
}
