package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Server runs until ctx ends. It calls ready once, with the address that it listens on (or several, separated by spaces).
type Server func(ctx context.Context, ready func(addr string)) error

// ServeFlag is the argument that makes this program a server: -serve=NAME.
const ServeFlag = "serve"

// Process is a server in a process of its own, so that it shares neither a scheduler nor memory with the clients that measure it.
type Process struct {
	Addr string
	PID  int

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// startTimeout bounds how long a server may take to say that it is ready.
const startTimeout = 30 * time.Second

// StartServer runs this program again as the server of that name, with arguments of its own, and waits until it is ready.
func StartServer(ctx context.Context, name string, args ...string) (*Process, error) {
	return startServer(ctx, name, os.Environ(), args...)
}

func startServer(ctx context.Context, name string, environment []string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"-" + ServeFlag + "=" + name}, args...)...) //nolint:gosec // this very program
	cmd.Stderr, cmd.Env = os.Stderr, environment
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("measure: starting server %s: %w", name, err)
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	timer := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() }) // the read below then ends
	line, err := p.stdout.ReadString('\n')
	timer.Stop()
	if err != nil {
		return nil, fmt.Errorf("measure: server %s did not become ready: %w", name, errors.Join(err, p.Stop()))
	}
	p.Addr = strings.TrimSpace(line)
	return p, nil
}

// WithServer runs f with a server that is killed behind it.
func WithServer(ctx context.Context, name string, f func(p *Process) (float64, error)) (float64, error) {
	return with(ctx, name, os.Environ(), f)
}

// WithSmallServer is WithServer for one whose collector runs whenever its heap has doubled. The floor that a node puts under that (internal/heap) is up to 64 MB a
// process, however much it does, and would be taken for what is measured.
func WithSmallServer(ctx context.Context, name string, f func(p *Process) (float64, error)) (float64, error) {
	return with(ctx, name, append(os.Environ(), "GOGC=100"), f)
}

func with(ctx context.Context, name string, environment []string, f func(p *Process) (float64, error)) (float64, error) {
	p, err := startServer(ctx, name, environment)
	if err != nil {
		return 0, err
	}
	defer p.Kill()
	return f(p)
}

// Stop ends the server and waits for it. Its failure is the error.
func (p *Process) Stop() error {
	_ = p.stdin.Close() // the server may have ended before
	timer := time.AfterFunc(startTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("measure: server process: %w", err)
	}
	return nil
}

// Kill ends the server at once, where how it ends is not what is measured.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended before
	_ = p.cmd.Wait()         // says that it was killed
}

// What a server answers on its standard output when it reads it from its standard input.
const (
	askSettle = "settle" // free what is garbage, then say so
	askCPU    = "cpu"    // nanoseconds of CPUTime
)

// RSS is the server's resident memory when it has given its garbage back, which Growth does in a process of its own.
func (p *Process) RSS() (int64, error) {
	if _, err := p.ask(askSettle); err != nil {
		return 0, err
	}
	return RSS(p.PID)
}

// CPU is the server's CPUTime.
func (p *Process) CPU() (time.Duration, error) {
	text, err := p.ask(askCPU)
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure: a server's CPU time: %w", err)
	}
	return time.Duration(ns), nil
}

// ask waits for an answer; only one goroutine may.
func (p *Process) ask(what string) (string, error) {
	if _, err := fmt.Fprintln(p.stdin, what); err != nil {
		return "", fmt.Errorf("measure: asking a server for %s: %w", what, err)
	}
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("measure: a server's answer to %s: %w", what, err)
	}
	return strings.TrimSpace(line), nil
}

// Serve is the other side of StartServer: it runs s until stdin ends, which it does with the parent, too.
func Serve(ctx context.Context, s Server, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel() // whether stdin ends or breaks, the parent is gone
		for asked := bufio.NewScanner(stdin); asked.Scan(); {
			if err := answer(asked.Text(), stdout); err != nil {
				return
			}
		}
	}()
	return s(ctx, func(addr string) { fmt.Fprintln(stdout, addr) })
}

// answer is the other side of ask.
func answer(what string, stdout io.Writer) (err error) {
	switch what {
	case askSettle:
		debug.FreeOSMemory() // a sync.Pool gives back what it holds in two steps
		debug.FreeOSMemory()
		_, err = fmt.Fprintln(stdout, "settled")
	case askCPU:
		var used time.Duration
		if used, err = CPUTime(); err == nil {
			_, err = fmt.Fprintln(stdout, used.Nanoseconds())
		}
	}
	return err
}
