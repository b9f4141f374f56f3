package gopher_test

import (
	"runtime"
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
)

// deep is a chunk's beginning: f is called n calls deep.
const deep = `local function deep(n, f, ...) if n == 0 then return f(...) end local r = deep(n - 1, f, ...) return r end
`

// A call stack is made of pieces of eight frames, and a thread has those in use only while it waits: so waits and errors are tried at all depths around the
// borders of pieces.
func TestThreadsWaitAndFailAtEachDepth(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	m.Main().PushFunc("wait", func(s vm.State) int { return s.Yield(0) })
	m.Main().SetGlobal("wait")
	for name, source := range map[string]string{
		"yields": `local all = {}
			for d = 0, 60 do all[d] = coroutine.wrap(function() return deep(d, function() local x = coroutine.yield(d) return x + 1 end) end) end
			for round = 1, 2 do for d = 60, 0, -1 do assert(all[d](round * d) == (round == 1 and d or 2 * d + 1), d) end end`,
		"errors": `for k = 0, 20 do
				local co = coroutine.wrap(function() return deep(k, function()
					for d = 0, 40 do
						local ok, problem = pcall(deep, d, error, "no", 0)
						assert(not ok and problem == "no", problem)
						assert(deep(d, function() return d end) == d)
						coroutine.yield(d)
					end
					return "done"
				end) end)
				for d = 0, 40 do assert(co() == d) end
				assert(co() == "done")
			end`,
		"an overflow": `local function forever() return 1 + forever() end
			local co = coroutine.wrap(function() for i = 1, 3 do
				local ok, problem = pcall(forever)
				assert(not ok and problem:find("stack overflow", 1, true), problem)
				coroutine.yield(i)
			end end)
			assert(co() == 1 and co() == 2 and co() == 3)`,
		"coroutines in coroutines": `local function nest(n)
				if n == 0 then wait() return 0 end
				return deep(n % 19, function() return 1 + coroutine.wrap(nest)(n - 1) end)
			end
			assert(nest(60) == 60)`,
		"closed while it waits deep down": `for d = 0, 40 do
				local co = coroutine.create(function() deep(d, coroutine.yield) end)
				assert(coroutine.resume(co))
				assert(coroutine.close(co) and coroutine.status(co) == "dead")
			end`,
	} {
		th := load(t, m, deep+source)
		status := th.Resume(0)
		for status == vm.Yielded {
			status = th.Resume(0)
		}
		if status != vm.Finished {
			t.Errorf("%s: %v: %s", name, status, th.Traceback(th.Text(-1)))
		}
	}
}

func TestAThreadThatWaitsKeepsNoRoomForCallsToCome(t *testing.T) {
	racetest.SetAside(t)
	m := engine(t).New(vm.Options{})
	defer m.Close()
	const many, most = 2000, 2700 // bytes; the list for a full stack would be 1,600 more
	threads := make([]vm.State, 0, many)
	before := heap()
	for range many {
		th := load(t, m, `yield()`)
		if status := th.Resume(0); status != vm.Yielded {
			t.Fatal(status, th.Text(-1))
		}
		threads = append(threads, th)
	}
	if each := int(heap()-before) / many; each > most {
		t.Errorf("a thread keeps %d bytes while it waits, at most %d are expected", each, most)
	}
	runtime.KeepAlive(threads)
}
