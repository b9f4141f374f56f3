// Package nodetest runs projects as users do, with the program in a process of its own. It is for tests alone.
package nodetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is where the program is.
var built string //nolint:gochecknoglobals // for all tests of a package

// build makes the program once.
//
//nolint:gochecknoglobals // for all tests of a package
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "skua-node-test-")
	if err != nil {
		return "", err
	}
	built = dir
	file := filepath.Join(dir, "skua")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", file, "github.com/skua-go/skua/cmd/skua").CombinedOutput() //nolint:gosec // into a directory of ours
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return file, nil
})

// Cleanup removes what was built. A package's TestMain calls it at the end.
func Cleanup() { _ = os.RemoveAll(built) }

// Node is one that runs, or has run.
type Node struct {
	// Addr are its addresses by the names of the ready line: tcp, http, rtmp, ...
	Addr map[string]string

	t    *testing.T
	dir  string
	args []string
	cmd  *exec.Cmd
	log  buffer
}

// Start runs the project of a directory with these flags, and waits until it serves. What it has logged is shown if the test fails, at whose end it is stopped.
func Start(t *testing.T, dir string, args ...string) *Node {
	t.Helper()
	n := &Node{t: t, dir: dir, args: args}
	n.Start()
	t.Cleanup(func() {
		n.Stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the node's log:\n%s", n.log.String())
		}
	})
	return n
}

// Program is the file of the built program.
func Program(t *testing.T) string {
	t.Helper()
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Start runs it again after Stop.
func (n *Node) Start() {
	n.t.Helper()
	n.cmd = exec.CommandContext(context.WithoutCancel(n.t.Context()), Program(n.t), append([]string{"run", n.dir}, n.args...)...) //nolint:gosec // what build has made
	n.cmd.Stderr = &n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() { // ends with the node
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready ") {
				ready <- lines.Text()
			}
		}
		close(ready)
	}()
	select {
	case line, ok := <-ready:
		if !ok {
			n.t.Fatalf("the node ended before it was ready:\n%s", n.log.String())
		}
		n.Addr = map[string]string{}
		for _, field := range strings.Fields(line)[1:] {
			door, addr, _ := strings.Cut(field, "=")
			n.Addr[door] = addr
		}
	case <-time.After(time.Minute):
		n.t.Fatalf("the node is not ready:\n%s", n.log.String())
	}
}

// PID is that of its process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Log is what it has logged so far.
func (n *Node) Log() string { return n.log.String() }

// Stop sends a signal and waits for the end.
func (n *Node) Stop(signal syscall.Signal) {
	n.t.Helper()
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(signal)
	dead := time.AfterFunc(30*time.Second, func() { _ = n.cmd.Process.Kill() })
	err := n.cmd.Wait()
	if !dead.Stop() {
		n.t.Errorf("the node did not stop after %v", signal)
	}
	var exit *exec.ExitError
	if err != nil && (signal != syscall.SIGKILL || !errors.As(err, &exit)) {
		n.t.Errorf("the node after %v: %v", signal, err)
	}
	n.cmd = nil
}

type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
