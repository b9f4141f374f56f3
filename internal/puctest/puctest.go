// Package puctest asks the reference implementation of Lua, for tests that hold ours to it.
package puctest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Process is a lua5.4 that reads requests from its standard input, each behind a line with its length in bytes, and answers in the same form.
type Process struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs lua5.4 with these arguments until the test ends. Where there is none, the test is skipped, or fails with CI=true.
func Start(t *testing.T, args ...string) *Process {
	t.Helper()
	path, err := exec.LookPath("lua5.4")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("lua5.4 is missing (tools/deps.sh installs it)")
		}
		t.Skip("lua5.4 is not installed (tools/deps.sh): nothing to compare with")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...) //nolint:gosec // it ends with its input, below
	cmd.Stderr = os.Stderr
	p := &Process{}
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("lua5.4: %v", err)
		}
	})
	return p
}

// Send sends a request that has no answer.
func (p *Process) Send(t *testing.T, request string) {
	t.Helper()
	if _, err := fmt.Fprintf(p.in, "%d\n%s", len(request), request); err != nil {
		t.Fatal(err)
	}
}

// Ask sends a request and returns the answer.
func (p *Process) Ask(t *testing.T, request string) string {
	t.Helper()
	p.Send(t, request)
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("lua5.4 has ended (%v) on:\n%s", err, request)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(p.out, answer); err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
