package lua54_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
)

// start loads a chunk into a thread of the host and runs it until it waits or ends.
func start(t *testing.T, m vm.VM, source string) (vm.State, vm.Status) {
	t.Helper()
	s := m.Main()
	th := s.NewThread()
	if err := s.Load("test.lua", source); err != nil {
		t.Fatal(err)
	}
	s.Move(th, 1)
	return th, th.Resume(0)
}

func withWait(m vm.VM) {
	s := m.Main()
	s.PushFunc("wait", func(s vm.State) int { return s.Yield(s.Top()) })
	s.SetGlobal("wait")
}

func TestWhatAThreadOfTheHostHoldsWhileItWaitsIsInUse(t *testing.T) {
	m := newVM(limits{})
	defer m.Close()
	withWait(m)
	th, status := start(t, m, `weak, dead = setmetatable({}, { __mode = "v" }), 0
		local o = setmetatable({}, { __gc = function() dead = dead + 1 end }) weak[1] = o
		local inner = coroutine.wrap(function() local p = {} weak[2] = p wait() return p end)
		local p = inner() return o, p, weak[1] == o, weak[2] == p, dead`)
	if status != vm.Yielded {
		t.Fatal(status)
	}
	if got := result(m, `collectgarbage() collectgarbage() return weak[1] ~= nil, weak[2] ~= nil, dead`); got != "true | true | 0" {
		t.Error(got)
	}
	th.SetTop(0)
	if th.Resume(0) != vm.Finished || !th.Bool(3) || !th.Bool(4) {
		t.Error(th.Text(3), th.Text(4))
	}
	runtime.KeepAlive(th)
}

func TestAThreadThatFailsClosesItsVariablesAndKeepsItsTraceback(t *testing.T) {
	m := newVM(limits{})
	defer m.Close()
	th, status := start(t, m, "closed = 0\nlocal function f()\n"+
		"local c <close> = setmetatable({}, { __close = function(_, e) closed = e end })\nerror('x')\nend\nf()")
	if status != vm.Failed || th.Text(-1) != "test.lua:4: x" {
		t.Fatal(status, th.Text(-1))
	}
	if trace := th.Traceback(""); !strings.Contains(trace, "test.lua:4: in") || !strings.Contains(trace, "test.lua:6: in main chunk") {
		t.Error(trace)
	}
	if got := result(m, `return closed`); got != "test.lua:4: x" {
		t.Error(got)
	}
}

func TestTheHeapIsFlatWhenWhatComesGoes(t *testing.T) {
	racetest.SetAside(t)
	m := newVM(limits{})
	defer m.Close()
	withWait(m)
	round := func() uint64 {
		if got := result(m, `local t = {} for i = 1, 200000 do t["k" .. i] = i t["k" .. i - 10] = nil end
			local sessions = {} for i = 1, 50000 do sessions[i % 100 + i] = { id = i, name = "n" .. i } sessions[(i - 50) % 100 + i - 50] = nil end
			for i = 1, 20000 do local co = coroutine.wrap(function(a) coroutine.yield(a) end) co(i) end
			local q, head = {}, 1 for i = 1, 100000 do q[#q + 1] = i if i > 10 then q[head] = nil head = head + 1 end end`); got != "" {
			t.Fatal(got)
		}
		for range 1000 {
			if _, status := start(t, m, `local big = ("x"):rep(10000) wait() return big`); status != vm.Yielded {
				t.Fatal(status)
			}
		}
		result(m, `collectgarbage()`)
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	first := round()
	for range 5 {
		round()
	}
	if last := round(); last > first+2<<20 {
		t.Errorf("%d KB first, then %d KB", first>>10, last>>10)
	}
}
