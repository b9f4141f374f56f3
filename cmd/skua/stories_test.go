package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
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
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
	}
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

// watched is output that a test can wait for. Whoever writes never waits: a node that writes much must not hang on a test that reads little.
type watched struct {
	mu   sync.Mutex
	all  bytes.Buffer
	seen int           // bytes that waitFor has gone past
	more chan struct{} // closed at the next write
	over bool          // nothing more will be written
}

func newWatched() *watched { return &watched{more: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.all.Write(p)
}

// end says that whoever writes has ended: nobody needs to wait for more.
func (w *watched) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	close(w.more)
	w.more = make(chan struct{})
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

// next returns the next whole line behind the last one, or what tells of more.
func (w *watched) next() (line string, ok bool, more <-chan struct{}, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line, _, ok = strings.Cut(w.all.String()[w.seen:], "\n")
	if ok {
		w.seen += len(line) + 1
	}
	return line, ok, w.more, w.over
}

// waitFor returns the next line that has the text in it. It waits for as long as the tests may run, but for enough to say what was missing.
func (w *watched) waitFor(t *testing.T, text string) string {
	t.Helper()
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-10*time.Second))
		defer cancel()
	}
	for {
		line, ok, more, over := w.next()
		if ok {
			if strings.Contains(line, text) {
				return line
			}
			continue
		}
		if over {
			t.Fatalf("no line with %q; there were, to the end:\n%s", text, w.text())
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("no line with %q; there were:\n%s", text, w.text())
		}
	}
}
