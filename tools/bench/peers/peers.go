// Package peers measures other actor runtimes. Each is a program of its own, because they can't be linked into one: Hollywood and protoactor-go both
// register actor.proto, and the second one panics.
package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/skua-go/skua/tools/bench/measure"
)

// The peers, which are the folders beside this file.
const (
	Hollywood  = "hollywood"
	Protoactor = "protoactor"
)

const folder = "github.com/skua-go/skua/tools/bench/peers/"

// Programs are the peers' programs, built when they are first asked for. The zero value works; end it with Close.
type Programs struct {
	mu    sync.Mutex
	dir   string
	built map[string]string // paths by peer
}

// Figure is a figure that a peer measures of itself, in a process of its own.
func (p *Programs) Figure(peer, name string) measure.Func {
	return func(ctx context.Context) (float64, error) {
		program, err := p.build(ctx, peer)
		if err != nil {
			return 0, err
		}
		return measure.FigureOf(ctx, program, name)
	}
}

// build needs the go command and a working directory in this module, which is where `go run .` has both.
func (p *Programs) build(ctx context.Context, peer string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if path, ok := p.built[peer]; ok {
		return path, nil
	}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "skua-bench-*")
		if err != nil {
			return "", fmt.Errorf("peers: %w", err)
		}
		p.dir = dir
	}
	path := filepath.Join(p.dir, peer)
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", path, folder+peer) //nolint:gosec // both names are constants of this module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("peers: building %s in the working directory: %w\n%s", folder+peer, errors.Join(err, ctx.Err()), out)
	}
	if p.built == nil {
		p.built = make(map[string]string)
	}
	p.built[peer] = path
	return path, nil
}

// Close removes what was built.
func (p *Programs) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.built = nil
	dir := p.dir
	p.dir = ""
	if dir == "" {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	return nil
}
