package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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

	cmd   *exec.Cmd
	stdin io.Closer
}

// startTimeout bounds how long a server may take to say that it is ready.
const startTimeout = 30 * time.Second

// StartServer runs this program again as the server of that name and waits until it is ready.
func StartServer(ctx context.Context, name string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-"+ServeFlag+"="+name)
	cmd.Stderr = os.Stderr
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
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, stdin: stdin}
	timer := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() }) // the read below then ends
	line, err := bufio.NewReader(stdout).ReadString('\n')
	timer.Stop()
	if err != nil {
		return nil, fmt.Errorf("measure: server %s did not become ready: %w", name, errors.Join(err, p.Stop()))
	}
	p.Addr = strings.TrimSpace(line)
	return p, nil
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

// Serve is the other side of StartServer: it runs s until stdin ends, which it does with the parent, too.
func Serve(ctx context.Context, s Server, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// Whether it ends or breaks, the parent is gone.
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	return s(ctx, func(addr string) { fmt.Fprintln(stdout, addr) })
}
