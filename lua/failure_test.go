package lua_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

func TestAnErrorThatRepeatsIsLoggedOnceAndThenCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local M = {}
function M.one() error("same") end
function M.two() error("other") end
return M`)
		ref := n.start("main")
		for range 5 {
			_, _ = n.call(ref, "one")
		}
		_, _ = n.call(ref, "two")
		if got := strings.Count(n.log.String(), `error="main.lua:3: same"`); got != 1 {
			t.Errorf("logged %d times", got)
		}
		if got := strings.Count(n.log.String(), `error="main.lua:4: other"`); got != 1 {
			t.Errorf("another error is logged %d times", got)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // fake time
		synctest.Wait()
		if !strings.Contains(n.log.String(), "again=4") {
			t.Errorf("not counted: %s", n.log.String())
		}
		for range 3 { // the one that counts ends before it has logged that
			_, _ = n.call(ref, "one")
		}
		n.sys.Kill(ref, nil)
		ref = n.start("main")
		time.Sleep(2 * time.Minute) //nolint:forbidigo // fake time
		_, _ = n.call(ref, "one")
		if !strings.Contains(n.log.String(), "again=3") {
			t.Errorf("the count of a service that has ended is lost: %s", n.log.String())
		}
		if got := strings.Count(n.log.String(), "traceback="); got != 3 {
			t.Errorf("after a quiet minute it is to be logged with its stack again: %s", n.log.String())
		}
	})
}

func TestErrorsOfNamesThatAreNotThereHelpOn(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for _, c := range []struct{ body, want string }{
			{`skynet.cal(1)`, "main.lua:4: attempt to call a nil value (field 'cal') (did you mean skynet.call?)"},
			{`skynet.newServices("x")`, "did you mean skynet.newservice?"},
			{`skynet.kill(1)`, `require "skynet.manager" gives skynet.kill`},
			{`if skynet.newname then return 1 end return "not there"`, "not there"},
			{`local t = {} t.cal()`, "attempt to call a nil value (field 'cal')"},
		} {
			got := eval(t, c.body)
			if testEngine(t) != nil { // gopher does not tell fields from variables
				c.want = strings.Replace(c.want, "(field '", "('", 1)
			}
			if !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), c.want) {
				t.Errorf("%s\n got %s\nwant %s", c.body, got, c.want)
			}
			if c.body[0] == 'l' && strings.Contains(got, "did you mean") {
				t.Errorf("a table that is not the module: %s", got)
			}
		}
	})
}

// spans keeps the errors that handlers ended with, and as part of what they ran, by message.
type spans struct {
	mu      sync.Mutex
	ended   map[string]error
	parents map[string]string
}

type span struct {
	of   *spans
	name string
}

func (s *spans) Begin(parent actor.Span, h actor.Handling) actor.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := parent.(*span); ok && s.parents != nil {
		s.parents[h.Message()] = p.name
	}
	return &span{s, h.Message()}
}

func (s *span) End(err error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if _, ok := s.of.ended[s.name]; !ok {
		s.of.ended[s.name] = err
	}
}

// A VM of an engine that counts how many are open.
type countedEngine struct {
	vm.Engine

	mu   sync.Mutex
	open int
}

type countedVM struct {
	vm.VM
	of *countedEngine
}

func (e *countedEngine) New(o vm.Options) vm.VM {
	e.add(1)
	return &countedVM{e.Engine.New(o), e}
}

func (e *countedEngine) add(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open += n
}

func (m *countedVM) Close() {
	m.of.add(-1)
	m.VM.Close()
}

func TestAVMIsClosedWhenItsServiceEndsWhateverTheWay(t *testing.T) {
	engine := &countedEngine{Engine: lua54.Engine{}}
	n := newNodeWith(t, lua.Config{Engine: engine, Budget: time.Second}, actor.Config{}, "main.lua", `
local skynet = require "skynet"
skynet.start(function()
  skynet.dispatch("lua", function(_, _, what)
    if what == "exit" then skynet.exit() end
    if what == "hang" then skynet.wait() end
    skynet.retpack("fine")
  end)
end)`, "fails.lua", `error("no")`, "hangs.lua", `require("skynet").wait()`)
	stop, kill, exit := n.start("main"), n.start("main"), n.start("main")
	_, _ = n.launch("fails")
	if _, err := n.sys.Spawn(n.rt.Spec("hangs", lua.Command("x").Args)); err != nil {
		t.Fatal(err)
	}
	n.sys.Stop(stop, nil)
	n.sys.Kill(kill, nil)
	_, _ = n.call(exit, "exit")
	deadline := time.Now().Add(40 * time.Second)
	for {
		engine.mu.Lock()
		open := engine.open
		engine.mu.Unlock()
		if open == 1 { // the one that hangs
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d VMs are open", open)
		}
		_, _ = n.call(stop, "poll")
	}
	n.start("main")
	if err := n.sys.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if engine.open != 0 {
		t.Fatalf("%d VMs are open after the end of the node", engine.open)
	}
}

func TestHandlersOfSentMessagesEndTheirSpansWithTheirErrors(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		s := &spans{ended: map[string]error{}}
		n := newNodeWith(t, lua.Config{Budget: time.Second, Engine: testEngine(t)}, actor.Config{Tracer: s}, "main.lua", `
local skynet = require "skynet"
local M = {}
function M.fails() skynet.sleep(1) error("in the end") end
function M.works() skynet.sleep(1) end
function M.poll() end
return M`)
		ref := n.start("main")
		n.sys.Send(ref, lua.Command("fails"))
		n.sys.Send(ref, lua.Command("works"))
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			s.mu.Lock()
			failed, ok := s.ended["lua fails"]
			worked, too := s.ended["lua works"]
			s.mu.Unlock()
			if ok && too {
				if failed == nil || !strings.Contains(failed.Error(), "in the end") || worked != nil {
					t.Fatalf("ended with %v and %v", failed, worked)
				}
				return
			}
			_, _ = n.call(ref, "poll")
		}
		t.Fatal("the spans did not end")
	})
}
