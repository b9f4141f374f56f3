// Package luatest is a node with scripts, for the tests of services that scripts use.
package luatest

import (
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// patience bounds one call of a handler, on a busy machine with the race detector.
const patience = 30 * time.Second

// Engines are those that services run on.
func Engines(tb testing.TB) []vm.Engine {
	tb.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return []vm.Engine{lua54.Engine{}, second}
}

// OnEach runs a test on each of them.
func OnEach(t *testing.T, run func(t *testing.T, engine vm.Engine)) {
	t.Helper()
	for _, engine := range Engines(t) {
		t.Run(engine.Name(), func(t *testing.T) { run(t, engine) })
	}
}

// Node is a System, and services of scripts in it. Its methods fail the test.
type Node struct {
	testing.TB
	Engine vm.Engine
	System *actor.System
	// Logged is what both have logged: printed when the test has failed.
	Logged *logtest.Buffer
	// Runtime is set by Use.
	Runtime *lua.Runtime

	log *slog.Logger
}

// New makes a node without scripts. Its System ends with the test.
func New(tb testing.TB, engine vm.Engine) *Node {
	tb.Helper()
	log, text := logtest.New(tb)
	n := &Node{TB: tb, Engine: engine, Logged: text, log: log}
	n.System = actor.New(actor.Config{Log: log})
	tb.Cleanup(func() {
		if err := n.System.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return n
}

// On is a node whose System somebody else has made, and ends.
func On(tb testing.TB, engine vm.Engine, sys *actor.System, log *slog.Logger) *Node {
	return &Node{TB: tb, Engine: engine, System: sys, log: log}
}

// Logger is where what is on the node logs to.
func (n *Node) Logger() *slog.Logger { return n.log }

// Use gives the node its scripts: those in the folder testdata of files, and the library. Of cfg, what is set stays as it is.
func (n *Node) Use(files fs.FS, cfg lua.Config) {
	n.Helper()
	cfg.Scripts, cfg.Library, cfg.Engine, cfg.Log = Testdata(n, files), scripts.FS(), n.Engine, n.log
	var err error
	if n.Runtime, err = lua.NewRuntime(cfg); err != nil {
		n.Fatal(err)
	}
}

// Testdata is the folder testdata of what a test has embedded.
func Testdata(tb testing.TB, files fs.FS) fs.FS {
	tb.Helper()
	sub, err := fs.Sub(files, "testdata")
	if err != nil {
		tb.Fatal(err)
	}
	return sub
}

// Spawn starts an actor.
func (n *Node) Spawn(spec actor.Spec) actor.Ref {
	n.Helper()
	ref, err := n.System.Spawn(spec)
	if err != nil {
		n.Fatal(err)
	}
	return ref
}

// Start starts a service of a script, and waits until it is ready.
func (n *Node) Start(script string, args ...any) actor.Ref {
	n.Helper()
	ref := n.Spawn(n.Runtime.Spec(script, value.Of(args...)))
	if _, err := n.System.Ask(context.Background(), ref, lua.Ready{}); err != nil {
		n.Fatal(err)
	}
	return ref
}

// Call gives a handler's results as text, or "error: " and its error.
func (n *Node) Call(ref actor.Ref, cmd string, args ...any) string {
	n.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v, err := n.System.Ask(ctx, ref, lua.Command(cmd, args...))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, e := range v.(value.List).All { //nolint:forcetypeassert // what services answer with
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

// Run has a service's handler "run" run a chunk, and fails unless it gives what is wanted.
func (n *Node) Run(ref actor.Ref, chunk, want string) {
	n.Helper()
	if got := n.Call(ref, "run", chunk); got != want {
		n.Errorf("%s\ngot  %s\nwant %s", chunk, got, want)
	}
}

// Fails has a service's handler "run" run a chunk, and fails unless that raises an error with each of the texts.
func (n *Node) Fails(ref actor.Ref, chunk string, want ...string) {
	n.Helper()
	got := n.Call(ref, "run", chunk)
	for _, w := range want {
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, w) {
			n.Errorf("%s\ngot  %s\nwant an error with %q", chunk, got, w)
		}
	}
}
