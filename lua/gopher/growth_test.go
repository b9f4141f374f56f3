package gopher_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/cputime"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/vm"
)

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func load(t testing.TB, m vm.VM, source string) vm.State {
	t.Helper()
	setYield(m)
	th := m.Main().NewThread()
	if err := th.Load("main.lua", source); err != nil {
		t.Fatal(err)
	}
	return th
}

// A million players come to a table of a thousand and leave it; stock tables would keep 120 MB of their keys.
func TestATableThatPlayersComeToAndLeaveGivesItsMemoryBack(t *testing.T) {
	racetest.SetAside(t)
	m := engine(t).New(vm.Options{})
	defer m.Close()
	th := load(t, m, `
players, names, order = {}, {}, {}
local alias = players
for i = 1, 1000 do players["stays" .. i] = i order[#order + 1] = i end
setmetatable(players, { __index = function() return "nobody" end })
local next_id = 300000
while true do
  for i = 1, 1000 do
    next_id = next_id + 1
    players[next_id] = { id = next_id }
    names["n" .. next_id] = next_id
    players[next_id - 500] = nil
    names["n" .. (next_id - 500)] = nil
  end
  assert(alias == players and alias[next_id].id == next_id and players.stays7 == 7 and players[1] == "nobody")
  yield()
end`)
	round := func(n int) {
		for range n {
			if th.Resume(0) != vm.Yielded {
				t.Fatal(th.Text(-1))
			}
		}
	}
	round(100)
	before := heap()
	round(1000)
	if grown := heap() - before; grown > 40<<20 {
		t.Errorf("%d MB have been added by players that have left", grown>>20)
	}
	th.SetTop(0)
	m.(interface{ Compact() }).Compact()
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d KB are left behind a look at all tables", grown>>10)
	}
	seen := load(t, m, `local n = 0 for k, v in pairs(players) do n = n + 1 end return n, #order`)
	if status := seen.Resume(0); status != vm.Finished || seen.Text(1) != "1500" || seen.Text(2) != "1000" {
		t.Errorf("%v: %s players, %s in order", status, seen.Text(1), seen.Text(2))
	}
}

func TestATraversalGoesOnBehindAWaitWhateverIsTidied(t *testing.T) {
	for name, fill := range map[string]string{
		"names": `t["k" .. i] = i`,
		"items": `t[i] = i`,
		"both":  `if i % 2 == 0 then t[i] = i else t["k" .. i] = i end`,
		"gaps":  `t[i * 100] = i`,
	} {
		m := engine(t).New(vm.Options{})
		t.Cleanup(m.Close)
		th := load(t, m, `
local t, seen = {}, 0
for i = 1, 1000 do `+fill+` end
for k, v in pairs(t) do
  seen = seen + v
  t[k] = nil
  yield()
end
return seen`)
		for th.Resume(0) == vm.Yielded {
			m.(interface{ Compact() }).Compact()
		}
		if got := th.Text(-1); got != "500500" {
			t.Errorf("%s: the traversal saw %s", name, got)
		}
	}
}

func TestASparseKeyTakesNoArrayOfItsSize(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	before := heap()
	th := load(t, m, `t = {} t[60000000] = 1 for i = 1, 1000 do t[i * 1000003] = i end return t[60000000], t[1000003]`)
	if status := th.Resume(0); status != vm.Finished || th.Text(1) != "1" {
		t.Fatal(th.Text(-1))
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d KB for 1,001 keys", grown>>10)
	}
}

// What takes a second at most if each item is looked at once takes minutes if all are for each of them: so much input that no machine can take one for the other.
func TestTimeIsLinearInTheInput(t *testing.T) {
	racetest.SetAside(t)
	for name, source := range map[string]string{
		"gsub":                 `local s = ("hello world "):rep(500000) return function() s:gsub("o", "00") end`,
		"gmatch":               `local s = ("hello world "):rep(500000) return function() for _ in s:gmatch("%w+") do end end`,
		"concat":               `local s = ("x"):rep(200) local t = {} for i = 1, 250000 do t[i] = s end return function() table.concat(t, ",") end`,
		"concat of large ones": `local s = ("x"):rep(10000) local t = {} for i = 1, 10000 do t[i] = s end return function() table.concat(t) end`,
		"gsub with a table":    `local s = ("hello world "):rep(500000) return function() s:gsub("%w+", { hello = "bye" }) end`,
		"upper and reverse":    `local s = ("hello world "):rep(1000000) return function() s:upper():reverse() end`,
		"rep":                  `return function() ("hello world "):rep(10000000) end`,
		"unpack":               `local t = {} for i = 1, 100000 do t[i] = i end return function() for i = 1, 10 do select("#", table.unpack(t)) end end`,
		"insert":               `return function() local t = {} for i = 1, 250000 do table.insert(t, i) end for i = 1, 250000 do table.remove(t) end end`,
	} {
		t.Run(name, func(t *testing.T) {
			m := engine(t).New(vm.Options{})
			defer m.Close()
			s := m.Main()
			if err := s.Load("main.lua", source); err != nil {
				t.Fatal(err)
			}
			s.Call(0, 1)
			runtime.LockOSThread() // whose time is taken: others may have the cores meanwhile
			defer runtime.UnlockOSThread()
			began := cputime.Thread()
			s.Call(0, 0)
			took := cputime.Thread() - began
			t.Logf("%v", took)
			if took > patience {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAbandonedCoroutinesAreCollected(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	th := load(t, m, `while true do
  for i = 1, 1000 do local next = coroutine.wrap(function() pcall(coroutine.yield) end) next() end
  yield()
end`)
	for range 10 {
		th.Resume(0)
	}
	before := heap()
	for range 100 {
		if th.Resume(0) != vm.Yielded {
			t.Fatal(th.Text(-1))
		}
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("%d KB are left of 100,000 coroutines", grown>>10)
	}
}

func TestMemoryFollowsWhatAScriptKeeps(t *testing.T) {
	m := engine(t).New(vm.Options{})
	defer m.Close()
	before := m.Memory()
	if status := load(t, m, `kept = {} for i = 1, 10000 do kept[i] = { name = "player" .. i } end`).Resume(0); status != vm.Finished {
		t.Fatal(status)
	}
	if grown := m.Memory() - before; grown < 1<<20 || grown > 16<<20 {
		t.Errorf("10,000 tables are told to take %d KB", grown>>10)
	}
}

func TestVMsShareTheCodeOfAScript(t *testing.T) {
	e := engine(t)
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "function f%d(a, b) local t = { a, b, x = a } if a then return t.x + %d end return t[1] .. \"s%d\" end\n", i%100, i, i)
	}
	source := b.String()
	// What a VM of a script takes, where VMs run the text that label gives each of them.
	each := func(label func(i int) string) int64 {
		vms := make([]vm.VM, 100)
		begin := func(i int) {
			vms[i] = e.New(vm.Options{})
			if load(t, vms[i], label(i)+source).Resume(0) != vm.Finished {
				t.Fatal("the script failed")
			}
		}
		begin(0)
		before := heap()
		for i := 1; i < len(vms); i++ {
			begin(i)
		}
		grown := heap() - before
		for _, m := range vms {
			m.Close()
		}
		return grown / int64(len(vms)-1)
	}
	own := each(func(i int) string { return fmt.Sprintf("-- script %d\n", i) })
	shared := each(func(int) string { return "-- the script of all\n" })
	empty := each(func(int) string { return "do return end\n" })
	t.Logf("a VM takes %d KB with code of its own, %d KB with code that others run, %d KB with a script that does nothing", own>>10, shared>>10, empty>>10)
	if own-empty < 3*(shared-empty) {
		t.Errorf("a script takes %d KB of a VM where others run it, and %d KB where nobody does", (shared-empty)>>10, (own-empty)>>10)
	}
	_ = gopher.Name
}
