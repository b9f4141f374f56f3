package arena_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/examples/arena"
	"github.com/skua-go/skua/internal/freeport"
)

// built is where the program is; TestMain removes it.
var built string

// buildSkua makes the program once for all tests of the package.
var buildSkua = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "skua-arena-test-")
	if err != nil {
		return "", err
	}
	built = dir
	file := filepath.Join(dir, "skua")
	out, err := exec.Command("go", "build", "-o", file, "github.com/skua-go/skua/cmd/skua").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return file, nil
})

// node is the program with a copy of the arena in a directory of its own.
type node struct {
	t    *testing.T
	dir  string
	http string // fixed, so that pages find it after a restart
	addr map[string]string
	cmd  *exec.Cmd
	log  *safeBuffer
}

// newNode writes the project and starts the node. The files, name after name, stand over those of the arena.
func newNode(t *testing.T, files ...string) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), http: freeport.TCP(t, 1)[0], log: new(safeBuffer)}
	if err := os.CopyFS(n.dir, arena.Files()); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(n.dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.start()
	t.Cleanup(func() {
		n.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the node's log:\n%s", n.log.String())
		}
	})
	return n
}

func (n *node) start() {
	n.t.Helper()
	program, err := buildSkua()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd = exec.Command(program, "run", n.dir, "--listen-http", n.http,
		"--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	n.cmd.Stderr = n.log
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
		n.addr = map[string]string{}
		for _, field := range strings.Fields(line)[1:] {
			door, addr, _ := strings.Cut(field, "=")
			n.addr[door] = addr
		}
	case <-time.After(20 * time.Second):
		n.t.Fatalf("the node is not ready:\n%s", n.log.String())
	}
}

// stop sends a signal and waits for the end.
func (n *node) stop(signal syscall.Signal) {
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

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestTheEmbeddedProjectIsTheWholeProject(t *testing.T) {
	want := map[string]bool{}
	for _, pattern := range []string{"skua.toml", "scripts/*.lua", "web/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			want[filepath.ToSlash(name)] = true
		}
	}
	err := fs.WalkDir(arena.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			delete(want, name)
		}
		return err
	})
	if err != nil || len(want) > 0 {
		t.Fatalf("not embedded: %v %v", want, err)
	}
}
