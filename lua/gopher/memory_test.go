package gopher_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
)

// limited is a VM that may keep so much.
func limited(t testing.TB, bytes int64, o vm.Options) vm.VM {
	t.Helper()
	m := engine(t).New(o)
	t.Cleanup(m.Close)
	m.SetMemoryLimit(bytes)
	return m
}

// keepers are chunks that keep all that they make, each in another way.
var keepers = map[string]string{
	"tables":          `t = {} local i = 0 while true do i = i + 1 t["k" .. i] = { i } end`,
	"numbers as keys": `t = {} for i = 300000, 1e12 do t[i] = i end`,
	"rawset":          `t = {} for i = 300000, 1e12 do rawset(t, i, i) end`,
	"tables as keys":  `t = {} while true do t[{}] = true end`,
	"lists":           `t = {} for i = 300000, 1e12 do local l = {} for j = 1, 1000 do l[j] = j end t[i] = l end`,
	"constructors":    `t = nil while true do t = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, t } end`,
	"fields":          `t = nil while true do t = { a = t, b = 1, c = 2 } end`,
	"assigned fields": `t = nil while true do local n = {} n.a = t n.b = 1 n.c = 2 t = n end`,
	"values of a list": `local function pack(...) return { ... } end local big = {} for i = 1, 1000 do big[i] = i end
		t = {} for i = 300000, 1e12 do t[i] = pack(table.unpack(big)) end`,
	"small strings":        `t = {} local i = 0 while true do i = i + 1 t["a string that is not very short " .. i] = "another " .. i end`,
	"large strings":        `t = {} for i = 300000, 1e12 do t[i] = ("x"):rep(100000) end`,
	"strings of parts":     `t = {} for i = 300000, 1e12 do t[i] = table.concat({ ("x"):rep(1000), i }) end`,
	"replaced strings":     `t = {} local s = ("x"):rep(10000) for i = 300000, 1e12 do t[i] = s:gsub("x", "yy") end`,
	"formatted strings":    `t = {} for i = 300000, 1e12 do t[i] = ("%99d"):format(i) end`,
	"functions":            `t = nil while true do local last = t t = function() return last end end`,
	"coroutines":           `t = {} for i = 300000, 1e12 do t[i] = coroutine.create(function() end) end`,
	"suspended coroutines": `t = {} for i = 300000, 1e12 do local co = coroutine.wrap(function() coroutine.yield() end) co() t[i] = co end`,
	"registers": `t = {} local big = {} for i = 1, 50000 do big[i] = i end
		for i = 300000, 1e12 do local co = coroutine.wrap(function() select("#", table.unpack(big)) coroutine.yield() end) co() t[i] = co end`,
	"one string":     `t = "x" while true do t = t .. t end`,
	"in a coroutine": `coroutine.wrap(function() coroutine.wrap(function() t = {} local i = 0 while true do i = i + 1 t["k" .. i] = { i } end end)() end)()`,
}

func TestAScriptIsStoppedWhereItKeepsTooMuch(t *testing.T) {
	racetest.SetAside(t)
	for name, source := range keepers {
		t.Run(name, func(t *testing.T) {
			const limit = 8 << 20
			m := limited(t, limit, vm.Options{})
			before := heap()
			th := load(t, m, source)
			if status := th.Resume(0); status != vm.Failed || th.Text(-1) != "not enough memory" {
				t.Fatalf("%v %s", status, cut(th.Text(-1)))
			}
			switch kept := heap() - before; {
			case kept > 2*limit+16<<20:
				t.Errorf("it has kept %d MiB", kept>>20)
			case kept < limit/2 && name != "one string":
				t.Errorf("it was stopped at %d MiB", kept>>20)
			}
			if size := m.Memory(); size > 2*limit+16<<20 {
				t.Errorf("the VM is told to take %d MiB", size>>20)
			}
			// What kept the memory lets go of it, and the VM is as good as new.
			if th = load(t, m, `t = nil local u = {} for i = 1, 10000 do u["k" .. i] = i end return "fine"`); th.Resume(0) != vm.Finished {
				t.Error(th.Text(-1))
			}
		})
	}
}

func cut(s string) string { return s[:min(len(s), 200)] }

func TestOneCallThatAsksForTooMuchGetsNothing(t *testing.T) {
	for name, source := range map[string]string{
		"rep":           `return pcall(string.rep, "x", 100e6)`,
		"rep of a list": `return pcall(string.rep, "xy", 10e6, ", ")`,
		"concatenation": `local s = ("x"):rep(10e6) return pcall(function() return s .. s .. s end)`,
	} {
		m := limited(t, 24<<20, vm.Options{})
		th := load(t, m, source)
		if status := th.Resume(0); status != vm.Finished || th.Bool(1) || th.Text(2) != "not enough memory" {
			t.Errorf("%s: %v %s", name, status, cut(th.Text(2)))
		}
		if size := m.Memory(); size > 24<<20 {
			t.Errorf("%s: %d MiB", name, size>>20)
		}
	}
}

func TestWhoCatchesTheErrorOfTheLimitGetsItAgain(t *testing.T) {
	end := time.Now().Add(2 * time.Second)
	m := limited(t, 8<<20, vm.Options{Tick: func() error {
		if time.Now().After(end) {
			return errors.New("enough")
		}
		return nil
	}})
	before := heap()
	th := load(t, m, `t = {} local i = 0 while true do pcall(function() while true do i = i + 1 t["k" .. i] = { i } end end) end`)
	if status := th.Resume(0); status != vm.Failed || !strings.HasSuffix(th.Text(-1), "enough") {
		t.Fatalf("%v %s", status, cut(th.Text(-1)))
	}
	if kept := heap() - before; kept > 32<<20 {
		t.Errorf("by catching it kept %d MiB", kept>>20)
	}
}

func TestAScriptThatLetsGoOfItsMemoryGoesOn(t *testing.T) {
	racetest.SetAside(t)
	m := limited(t, 8<<20, vm.Options{})
	th := load(t, m, `
local function grow() local t = {} for i = 1, math.huge do t["k" .. i] = { i } end end
for _ = 1, 5 do
  local ok, e = pcall(grow)
  assert(not ok and e == "not enough memory", e)
end
return "fine"`)
	if status := th.Resume(0); status != vm.Finished {
		t.Error(th.Text(-1))
	}
}

func TestGarbageIsNotHeldAgainstAScript(t *testing.T) {
	racetest.SetAside(t)
	m := limited(t, 8<<20, vm.Options{})
	th := load(t, m, `
kept = {}
for i = 1, 2000 do kept["k" .. i] = { i } end
local big = ("x"):rep(100000)
for i = 1, 1000 do kept["s" .. i] = big end -- the same string, a thousand times
for i = 1, 300000 do
  local t = { i, x = "y" .. i }
  local s = ("z"):rep(500) .. i
  if i % 10 == 0 then local co = coroutine.wrap(function() coroutine.yield() end) co() end
end
return "fine"`)
	if status := th.Resume(0); status != vm.Finished {
		t.Fatal(th.Text(-1))
	}
	if size := m.Memory(); size > 8<<20 || size < 100<<10 {
		t.Errorf("%d KiB", size>>10)
	}
}

func TestAFunctionOfGoIsToldBeforeItMakesTooMuch(t *testing.T) {
	m := limited(t, 8<<20, vm.Options{})
	m.Main().PushFunc("make", func(s vm.State) int {
		n, _ := s.Int(1)
		s.(interface{ Alloc(bytes int) }).Alloc(int(n))
		s.PushString("made")
		return 1
	})
	m.Main().SetGlobal("make")
	th := load(t, m, `return make(1000000), pcall(make, 9000000)`)
	if status := th.Resume(0); status != vm.Finished || th.Text(1) != "made" || th.Bool(2) || th.Text(3) != "not enough memory" {
		t.Errorf("%v %s %s", status, th.Text(1), th.Text(-1))
	}
}
