// Package luas measures services in Lua, written as Skynet's are, on each engine.
package luas

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/multicast"
)

//go:embed scripts
var sources embed.FS

// Suite measures one engine.
type Suite struct {
	suffix string // of the figures' names
	engine func() (vm.Engine, error)
}

// Default measures the default engine.
func Default() Suite {
	return Suite{"", sync.OnceValues(func() (vm.Engine, error) { return lua54.New(), nil })}
}

// Gopher measures the engine of that name.
func Gopher() Suite {
	return Suite{"/" + gopher.Name, sync.OnceValues(func() (vm.Engine, error) { return gopher.New(gopher.Config{}) })}
}

// node is a system with a launcher.
type node struct {
	sys      *actor.System
	launcher actor.Ref
}

// patience is how long an answer, and a handler, may take. What is measured takes seconds.
const patience = 2 * time.Minute

// with runs f with a node of its own.
func (s Suite) with(ctx context.Context, f func(n *node) (float64, error)) (float64, error) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler), CallTimeout: patience})
	v, err := func() (float64, error) {
		n, err := s.on(sys)
		if err != nil {
			return 0, err
		}
		return f(n)
	}()
	return v, errors.Join(err, sys.Shutdown(context.WithoutCancel(ctx)))
}

// on has a system run scripts.
func (s Suite) on(sys *actor.System) (*node, error) {
	engine, err := s.engine()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(sources, "scripts")
	if err != nil {
		return nil, err
	}
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: files, Library: scripts.FS(), Modules: []lua.Module{multicast.New(multicast.Config{}).Module()},
		Engine: engine, Budget: patience, Log: sys.Log(),
	})
	if err != nil {
		return nil, err
	}
	launcher, err := sys.Spawn(rt.Launcher())
	return &node{sys, launcher}, err
}

// start starts a service and waits until it is ready.
func (n *node) start(ctx context.Context, script string, args ...any) (actor.Ref, error) {
	v, err := n.sys.Ask(ctx, n.launcher, lua.Launch{Script: script, Args: value.Of(args...)})
	if err != nil {
		return actor.Ref{}, fmt.Errorf("luas: start %s: %w", script, err)
	}
	ref, ok := v.(actor.Ref)
	if !ok {
		return ref, fmt.Errorf("luas: start %s: found a %T, expected the service", script, v)
	}
	return ref, nil
}

// call calls a command of a service, and returns its first result.
func (n *node) call(ctx context.Context, ref actor.Ref, cmd string, args ...any) (value.Value, error) {
	v, err := n.sys.Ask(ctx, ref, lua.Command(cmd, args...))
	if err != nil {
		return value.Value{}, fmt.Errorf("luas: %s: %w", cmd, err)
	}
	l, _ := v.(value.List)
	return l.At(0), nil
}
