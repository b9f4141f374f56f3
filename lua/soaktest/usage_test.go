// Package soaktest has many services do all that services do, for long, and looks for what they leave behind.
package soaktest_test

import (
	"context"
	"embed"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
)

//go:embed testdata
var testdata embed.FS

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newNode is a node that gives its scripts time, and keeps nothing of what they log.
func newNode(t *testing.T, engine vm.Engine) *luatest.Node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	sys := actor.New(actor.Config{Log: log, CallTimeout: 10 * time.Minute})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	n := luatest.On(t, engine, sys, log)
	n.Use(testdata, lua.Config{Budget: time.Minute})
	n.Spawn(n.Runtime.Launcher())
	return n
}

// usage is what a process has: bytes in use, goroutines, and the actors of its system.
type usage struct {
	heap       int64
	goroutines int
	actors     int64
}

func usageOf(sys *actor.System) usage {
	runtime.GC()
	runtime.GC() // what a sync.Pool holds goes in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{int64(m.HeapAlloc), goroutines(), sys.Stats().Actors}
}

// goroutines counts those that run, but for the actor system's idle workers, of which it keeps up to 256, and for those with which it watches busy ones.
func goroutines() int {
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		panic(err)
	}
	n := 0
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		if strings.Contains(stack, "actor.(*dispatcher).park") || strings.Contains(stack, "actor.(*monitor).run") {
			continue
		}
		for line := range strings.Lines(stack) {
			if count, _, ok := strings.Cut(line, " @ "); ok {
				some, _ := strconv.Atoi(count)
				n += some
			}
		}
	}
	return n
}
