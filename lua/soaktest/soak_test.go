package soaktest_test

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
)

// soakSize is how long the soak takes and how many services it has: by default little, a minute with CI=true, and SKUA_SOAK=10m says how long otherwise.
func soakSize(t *testing.T) (length time.Duration, services int) {
	t.Helper()
	if text := os.Getenv("SKUA_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("SKUA_SOAK: %v", err)
		}
		return d, 10_000
	}
	switch {
	case testing.Short():
		return time.Second, 200
	case os.Getenv("CI") == "true":
		return time.Minute, 10_000
	}
	return 5 * time.Second, 1000
}

// Calls, errors, waits and kills over many services: once they are warm, neither memory nor the number of goroutines grows.
func TestASoakLeavesMemoryAndGoroutinesAsTheyWere(t *testing.T) {
	racetest.SetAside(t)
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) {
		length, services := soakSize(t)
		soak(t, engine, length, services)
	})
}

// The same for a moment, with the race detector.
func TestServicesThatDoAllAtOnceShareNothing(t *testing.T) {
	if !racetest.On {
		t.Skip("it is for the race detector")
	}
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) { soak(t, engine, 10*time.Second, 1000) })
}

func soak(t *testing.T, engine vm.Engine, length time.Duration, services int) {
	t.Helper()
	n := newNode(t, engine)
	boss := n.Start("boss")
	order := func(cmd string, args ...any) value.List {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), length+2*time.Minute)
		defer cancel()
		v, err := n.System.Ask(ctx, boss, lua.Command(cmd, args...))
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		return v.(value.List)
	}
	order("populate", services)
	order("run", length.Seconds()/3, services/10)
	warm := usageOf(n.System)
	did := order("run", length.Seconds()*2/3, services/10)
	end := usageOf(n.System)
	t.Logf("%d services, then %v deeds, of which %v met a service killed by another: %+v, at the end %+v", services, did.At(0), did.At(1), warm, end)
	if done, _ := did.At(0).Int(); done < int64(services) {
		t.Errorf("%d deeds were done in %v", done, length*2/3)
	}
	if end.heap > warm.heap+warm.heap/4+2<<20 {
		t.Errorf("%d KB are in use, %d KB were after warming up", end.heap>>10, warm.heap>>10)
	}
	for begun := time.Now(); end.goroutines > warm.goroutines && time.Since(begun) < 30*time.Second; {
		runtime.Gosched() // one may be about to end
		end.goroutines = goroutines()
	}
	if end.goroutines > warm.goroutines {
		t.Errorf("%d goroutines run, %d did after warming up", end.goroutines, warm.goroutines)
	}
	if want := int64(services) + 2; warm.actors != want || end.actors != want { // the boss and the launcher, too
		t.Errorf("%d services live after warming up and %d at the end, want %d", warm.actors, end.actors, want)
	}
}
