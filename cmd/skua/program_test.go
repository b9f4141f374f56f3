package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a node in a process of its own, as users run it.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	addrs map[string]string // tcp, kcp, http, admin: when it is ready
	ready chan bool         // told once: true when it serves, false when it has ended without

	mu   sync.Mutex
	text strings.Builder // its log
	read sync.WaitGroup
}

// built is the program, built once in a run of tests: without the race detector, as these tests measure time.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func buildProgram(t *testing.T) string {
	t.Helper()
	built.once.Do(build)
	if built.err != nil {
		t.Fatal(built.err)
	}
	return builtPath()
}

func builtPath() string { return filepath.Join(built.dir, "skua") }

// build is for all tests: TestMain removes what it makes.
func build() {
	if built.dir, built.err = os.MkdirTemp("", "skua-test-*"); built.err != nil {
		return
	}
	if out, err := exec.Command("go", "build", "-o", builtPath(), ".").CombinedOutput(); err != nil {
		built.err = fmt.Errorf("go build: %w\n%s", err, out)
	}
}

// startProgram runs the program with free ports and waits until it serves.
func startProgram(t *testing.T, bin string, args ...string) *program {
	t.Helper()
	args = append(args, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	// Over UDP nobody tells a client that the node was killed; it knows by its silence, sooner with a short heartbeat.
	return launch(t, []string{"SKUA_GATE_HEARTBEAT=2s"}, bin, args...)
}

// launch runs the program with more variables, and waits until it serves.
func launch(t *testing.T, env []string, bin string, args ...string) *program {
	t.Helper()
	p := startWith(t, env, bin, args...)
	awaitReady(t, p)
	return p
}

// startWith runs the program with more variables. It may not serve yet.
func startWith(t *testing.T, env []string, bin string, args ...string) *program {
	t.Helper()
	p := &program{t: t, addrs: map[string]string{}, ready: make(chan bool, 1)}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), bin, args...)
	p.cmd.Env = append(os.Environ(), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", p.log())
		}
	})
	p.read.Go(func() {
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.mu.Lock()
			p.text.WriteString(s.Text() + "\n")
			p.mu.Unlock()
		}
	})
	p.read.Go(func() { p.follow(stdout) })
	return p
}

// follow reads what the program prints: where it serves, once it does.
func (p *program) follow(stdout io.Reader) {
	for s := bufio.NewScanner(stdout); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) == 0 || words[0] != "ready" {
			continue
		}
		for _, word := range words[1:] {
			if name, addr, ok := strings.Cut(word, "="); ok {
				p.addrs[name] = addr
			}
		}
		p.ready <- true
		_, _ = io.Copy(io.Discard, stdout)
		return
	}
	p.ready <- false
}

// awaitReady waits until programs serve. One that never does ends the test, which prints where its goroutines are.
func awaitReady(t *testing.T, programs ...*program) {
	t.Helper()
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	answers := make(chan *program, len(programs))
	for _, p := range programs {
		go func() {
			if serves := <-p.ready; serves {
				p = nil
			}
			answers <- p
		}()
	}
	for range programs {
		select {
		case ended := <-answers:
			if ended != nil {
				t.Fatalf("%q has ended before it was ready", ended.cmd.Args)
			}
		case <-deadline.C:
			for _, p := range programs {
				_ = p.cmd.Process.Signal(syscall.SIGQUIT)
			}
			for _, p := range programs {
				p.read.Wait()
			}
			t.Fatal("not ready after three minutes")
		}
	}
}

func (p *program) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// kill is kill -9.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	p.read.Wait()
	_ = p.cmd.Wait()
}

// stop asks the node to end and expects exit code 0.
func (p *program) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	p.read.Wait()
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("stopped with %v", err)
	}
}

// metric reads a counter or gauge, with its labels if it has some.
func (p *program) metric(name string) float64 {
	p.t.Helper()
	v, is := scrape(p.t, p.addrs["admin"], name)
	if !is {
		p.t.Fatalf("no metric %s", name)
	}
	return v
}

// scrape reads a counter or gauge of the node whose admin listener is there; false if it has none.
func scrape(t *testing.T, admin, name string) (v float64, is bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(body)
	if m == nil {
		return 0, false
	}
	if v, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
		t.Fatal(err)
	}
	return v, true
}

// await polls a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited for a minute: %s", what)
		}
	}
}
