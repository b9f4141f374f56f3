// Package ferrettest gives tests and benchmarks a server that speaks MongoDB's wire protocol: it builds tools/ferretdb with the go
// command, once for all tests, and runs it as a process that a test can stop, kill and bring back.
//
// What FerretDB can't show (its updates are not atomic, for one) is in tools/ferretdb. URI allows one connection; a Door lets several clients in.
package ferrettest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a FerretDB process. Its methods are called by the test's goroutine.
type Server struct {
	binary, dir, addr string
	cmd               *exec.Cmd
	exited            chan error
}

// readyWithin is far more than it takes (some 10 ms): machines that test may be busy.
const readyWithin = 30 * time.Second

// Start builds the server if need be and starts it on a port and a directory of its own. It ends with the test.
//
// Without a network and without the modules in the cache there is nothing to build it from: then the test is skipped,
// or fails where CI=true says that everything has to be there.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Run(tb.Context(), tb.TempDir())
	switch {
	case err == nil:
		tb.Cleanup(s.Kill)
	case errors.Is(err, ErrNotBuilt) && os.Getenv("CI") != "true":
		tb.Skipf("%v", err)
	default:
		tb.Fatalf("%v", err)
	}
	return s
}

// ErrNotBuilt is wrapped by the error of Run where the server can't be built.
var ErrNotBuilt = errors.New("ferrettest: no server of MongoDB's wire protocol here")

// Run is Start for who has no test: the server has its files in dir, and runs until it is killed.
func Run(ctx context.Context, dir string) (*Server, error) {
	binary, err := build(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotBuilt, err)
	}
	s := &Server{binary: binary, dir: dir}
	// A fixed port outside of those that the system gives to clients, so that a restart finds it free.
	for try := 0; ; try++ {
		s.addr = fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		err := s.launch() //nolint:contextcheck // it runs until it is killed
		if err == nil {
			return s, nil
		}
		if try == 20 {
			return nil, fmt.Errorf("ferrettest: %w", err)
		}
	}
}

// Addr is where the server listens, or did.
func (s *Server) Addr() string { return s.addr }

// URI is for a client that is to get right answers: with one connection, which serialises what it asks.
func (s *Server) URI() string { return "mongodb://" + s.addr + "/?maxPoolSize=1" }

// Kill ends the process as kill -9 does. Nothing happens if it does not run.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // fails if it has ended by itself, which is as good
	<-s.exited
	s.cmd = nil
}

// Stop ends the process in good order.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if s.cmd == nil {
		tb.Fatal("ferrettest: Stop of a server that does not run")
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatalf("ferrettest: %v", err)
	}
	select {
	case err := <-s.exited:
		s.cmd = nil
		if err != nil {
			tb.Fatalf("ferrettest: the server ended with %v", err)
		}
	case <-time.After(readyWithin):
		s.Kill()
		tb.Fatal("ferrettest: the server did not end")
	}
}

// Restart starts the process again after Kill or Stop, on the same port and directory, and returns when it serves.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if s.cmd != nil {
		tb.Fatal("ferrettest: Restart of a server that runs")
	}
	if err := s.launch(); err != nil {
		tb.Fatalf("ferrettest: %v", err)
	}
}

// launch returns when the server listens.
func (s *Server) launch() error {
	cmd := exec.CommandContext(context.Background(), s.binary, "--listen", s.addr, "--dir", s.dir, "--attached")
	var complaints strings.Builder
	cmd.Stderr = &complaints // only read after Wait
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as we live, whatever ends us
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && strings.TrimSpace(line) == "ready "+s.addr {
			close(ready)
		}
		_, _ = io.Copy(io.Discard, out) // ends when the process does
		exited <- cmd.Wait()
	}()
	timeout := time.NewTimer(readyWithin)
	defer timeout.Stop()
	select {
	case <-ready:
		s.cmd, s.exited = cmd, exited
		return nil
	case err := <-exited:
		return errors.Join(fmt.Errorf("the server ended before it was ready: %w", err), errors.New(complaints.String()))
	case <-timeout.C:
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("the server was not ready within %v: %s", readyWithin, complaints.String())
	}
}
