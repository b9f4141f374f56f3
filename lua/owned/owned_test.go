package owned_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/owned"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// main holds rings, each a thing outside of its VM.
const main = `
local ring = require "ring"
local M = {}
function M.hold(self, name) ring.hold(name) return true end
function M.exit(self) require("skynet").exit() end
return M`

// rig is a node whose scripts hold rings.
type rig struct {
	*testing.T
	sys    *actor.System
	keeper actor.Ref
	things *owned.Things
	rt     *lua.Runtime
	log    *logtest.Buffer
	goOn   chan struct{}

	mu    sync.Mutex
	ended map[string]int    // how often a ring was
	end   func(name string) // what its end does besides
}

func newRig(t *testing.T, stop func(r *rig)) *rig {
	t.Helper()
	r := &rig{T: t, log: &logtest.Buffer{}, goOn: make(chan struct{}), ended: map[string]int{}}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	r.sys = actor.New(actor.Config{Log: log})
	r.things = &owned.Things{Name: "ringkeeper", Sort: "rings", Module: "ring", Stop: func() { stop(r) }}
	var err error
	if r.rt, err = lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"main.lua": &fstest.MapFile{Data: []byte(main)}}, Library: scripts.FS(), Modules: []lua.Module{r.module()}, Log: log, Budget: time.Minute,
	}); err != nil {
		t.Fatal(err)
	}
	if r.keeper, err = r.sys.Spawn(r.things.Spec()); err != nil {
		t.Fatal(err)
	}
	return r
}

func endAll(r *rig) { r.things.EndAll() }

// module is ring, whose hold watches for the end of its service.
func (r *rig) module() lua.Module {
	return lua.Module{Name: "ring", Open: func(h *lua.Host, s vm.State) {
		s.NewTable(0, 1)
		s.PushFunc("hold", func(s vm.State) int {
			name, _ := s.String(1)
			r.things.Watch(h, s, "ring.hold", func() { r.isEnded(name) })
			return 0
		})
		s.SetField(-2, "hold")
	}}
}

func (r *rig) isEnded(name string) {
	r.mu.Lock()
	r.ended[name]++
	end := r.end
	r.mu.Unlock()
	if end != nil {
		end(name)
	}
}

// ends tells how often each ring was ended.
func (r *rig) ends() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.ended)
}

// in runs a test in a bubble of its own time.
func in(t *testing.T, stop func(r *rig), run func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		r := newRig(t, stop)
		defer r.shutdown()
		run(t, r)
	})
}

func (r *rig) shutdown() {
	r.Helper()
	if err := r.sys.Shutdown(context.Background()); err != nil {
		r.Error(err)
	}
	if r.Failed() {
		r.Logf("the log:\n%s", r.log)
	}
}

// service starts a service that holds a ring for each name.
func (r *rig) service(names ...string) actor.Ref {
	r.Helper()
	ref, err := r.sys.Spawn(r.rt.Spec("main", value.List{}))
	if err != nil {
		r.Fatal(err)
	}
	for _, name := range names {
		if err := r.call(ref, "hold", name); err != nil {
			r.Fatal(err)
		}
	}
	return ref
}

func (r *rig) call(ref actor.Ref, cmd string, args ...any) error {
	_, err := r.sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
	return err
}

func TestWhatAServiceHoldsIsEndedWithIt(t *testing.T) {
	for name, end := range map[string]func(r *rig, ref actor.Ref){
		"stopped":   func(r *rig, ref actor.Ref) { r.sys.Stop(ref, nil) },
		"killed":    func(r *rig, ref actor.Ref) { r.sys.Kill(ref, nil) },
		"by itself": func(r *rig, ref actor.Ref) { r.sys.Send(ref, lua.Command("exit")) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, endAll, func(t *testing.T, r *rig) {
				ref := r.service("a", "b")
				r.service("c")
				synctest.Wait()
				if got := r.ends(); got != "map[]" {
					t.Fatalf("ended before anybody has: %s", got)
				}
				end(r, ref)
				<-r.sys.Ended(ref)
				synctest.Wait()
				if got := r.ends(); got != "map[a:1 b:1]" {
					t.Errorf("ended: %s", got)
				}
				r.shutdown()
				if got := r.ends(); got != "map[a:1 b:1 c:1]" {
					t.Errorf("ended with the node: %s", got)
				}
			})
		})
	}
}

// A node runs for long: of a service that has ended nothing stays.
func TestOfAServiceThatHasEndedNothingIsKept(t *testing.T) {
	in(t, endAll, func(t *testing.T, r *rig) {
		for range 100 {
			ref := r.service("x")
			r.sys.Stop(ref, nil)
			<-r.sys.Ended(ref)
		}
		synctest.Wait()
		if n := r.things.Held(); n != 0 {
			t.Errorf("%d services are kept", n)
		}
		r.things.EndAll()
		if got := r.ends(); got != "map[x:100]" {
			t.Errorf("ended: %s", got)
		}
	})
}

func TestNothingIsHeldWithoutAKeeper(t *testing.T) {
	const want = `ring.hold: this node has no service "ringkeeper", which closes rings`
	t.Run("gone", func(t *testing.T) {
		in(t, endAll, func(t *testing.T, r *rig) {
			r.sys.Stop(r.keeper, nil)
			<-r.sys.Ended(r.keeper)
			if err := r.call(r.service(), "hold", "x"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if got := r.ends(); got != "map[]" || r.things.Held() != 0 {
				t.Errorf("ended: %s, %d are kept", got, r.things.Held())
			}
		})
	})
	t.Run("ending", func(t *testing.T) {
		in(t, func(r *rig) { endAll(r); <-r.goOn }, func(t *testing.T, r *rig) {
			defer close(r.goOn)
			ref := r.service("a")
			r.sys.Stop(r.keeper, nil)
			synctest.Wait()
			if err := r.call(ref, "hold", "x"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if got := r.ends(); got != "map[a:1]" || r.things.Held() != 0 {
				t.Errorf("ended: %s, %d are kept", got, r.things.Held())
			}
		})
	})
}

func TestTheNodeWaitsUntilAllHasEnded(t *testing.T) {
	in(t, func(r *rig) { <-time.After(owned.StopTimeout); endAll(r) }, func(t *testing.T, r *rig) {
		r.service("a")
		began := time.Now()
		r.sys.Stop(r.keeper, nil)
		<-r.sys.Ended(r.keeper)
		if took := time.Since(began); took != owned.StopTimeout {
			t.Errorf("it took %v", took)
		}
		if got := r.ends(); got != "map[a:1]" {
			t.Errorf("ended: %s", got)
		}
	})
}

// An end that panics costs the others nothing: the keeper begins anew with what it has known.
func TestAKeeperThatFailsGoesOnWhereItWas(t *testing.T) {
	in(t, endAll, func(t *testing.T, r *rig) {
		r.end = func(name string) {
			if name == "bad" {
				panic("the ring is broken")
			}
		}
		bad, good := r.service("bad"), r.service("good")
		for _, ref := range []actor.Ref{bad, good} {
			r.sys.Stop(ref, nil)
			<-r.sys.Ended(ref)
			<-time.After(time.Minute) // longer than a restart waits
		}
		if got := r.ends(); got != "map[bad:1 good:1]" || r.sys.Stats().Restarts != 1 {
			t.Errorf("ended: %s after %d restarts", got, r.sys.Stats().Restarts)
		}
		if err := r.call(r.service(), "hold", "next"); err != nil {
			t.Error(err)
		}
	})
}

func TestTheKeeperTakesNoMessages(t *testing.T) {
	in(t, endAll, func(t *testing.T, r *rig) {
		_, err := r.sys.Ask(t.Context(), r.keeper, "hello")
		if want := "ringkeeper: scripts use the module ring; the service takes no messages"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	})
}

// Services take hold of things and end while the keeper ends as well: what is held is ended, once, and who comes too late is told.
func TestWhatIsHeldWhileTheNodeStopsIsEndedOnce(t *testing.T) {
	r := newRig(t, endAll)
	const services = 64
	var refs [services]actor.Ref
	for i := range refs {
		refs[i] = r.service()
	}
	var held [services]atomic.Bool
	var begin, done sync.WaitGroup
	begin.Add(1)
	for i, ref := range refs {
		done.Go(func() {
			begin.Wait()
			held[i].Store(r.call(ref, "hold", fmt.Sprint(i)) == nil)
		})
		if i%2 == 0 {
			done.Go(func() {
				begin.Wait()
				r.sys.Stop(ref, nil)
			})
		}
	}
	done.Go(func() {
		begin.Wait()
		r.sys.Stop(r.keeper, nil)
		r.things.EndAll() // beside that of the keeper
	})
	begin.Done()
	done.Wait()
	r.shutdown()
	for i := range refs {
		n := r.ended[fmt.Sprint(i)]
		if held[i].Load() && n != 1 || n > 1 { // one that is stopped in its call may hold something and not say so
			t.Errorf("service %d: held %v, ended %d times", i, held[i].Load(), n)
		}
	}
	if n := r.things.Held(); n != 0 {
		t.Errorf("%d are kept", n)
	}
}
