package gopher_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/cputime"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm"
)

// A script has a quarter of a second here; one that goes on is stopped long before it has computed for five.
const allowed, patience = 250 * time.Millisecond, 5 * time.Second

// watched is a VM whose scripts have so much time, from the call of begin on.
func watched(t testing.TB, allowed time.Duration) (m vm.VM, begin func()) {
	t.Helper()
	var end time.Time
	m = engine(t).New(vm.Options{Tick: func() error {
		if time.Now().After(end) {
			return errors.New("CPU budget exceeded")
		}
		return nil
	}})
	t.Cleanup(m.Close)
	return m, func() { end = time.Now().Add(allowed) }
}

func TestWhateverTakesTooLongIsStoppedWithItsLine(t *testing.T) {
	for name, body := range map[string]string{
		"loop":                  `while true do end`,
		"recursion":             `local function f() return f() end f()`,
		"caught":                `while true do pcall(function() while true do end end) end`,
		"handled":               `while true do xpcall(function() while true do end end, function() while true do end end) end`,
		"in a coroutine":        `coroutine.wrap(function() while true do end end)()`,
		"in coroutines":         `local function f(n) if n == 0 then while true do end end return coroutine.wrap(f)(n - 1) end f(100)`,
		"caught in a coroutine": `while true do pcall(coroutine.wrap(function() while true do end end)) end`,
		"in a metamethod":       `return setmetatable({}, { __index = function() while true do end end }).x`,
		"in an iterator":        `for _ in function() while true do end end do end`,
		"in an endless one":     `for _ in function() return 1 end do end`,
		"in a comparison":       `table.sort({ 1, 2, 3 }, function() while true do end end)`,
		"in a replacement":      `return (("a"):gsub("a", function() while true do end end))`,
		"in __tostring":         `return tostring(setmetatable({}, { __tostring = function() while true do end end }))`,
		"pattern":               `return (("a"):rep(3000)):find((("a*"):rep(20)) .. "b")`,
		"pattern of options":    `return (("a"):rep(40)):find((("a?"):rep(40)) .. ("a"):rep(40) .. "b")`,
		"lazy pattern":          `return (("a"):rep(100000)):find(".-.-.-b")`,
		"balance":               `return (("("):rep(1000000)):gsub("%b()", "")`,
		"gsub":                  `local s = ("a"):rep(1000000) while true do s:gsub(".", "%0") end`,
		"rep":                   `while true do local _ = ("x"):rep(1000000) end`,
		"concat":                `local t = {} for i = 1, 100000 do t[i] = "x" end while true do table.concat(t) end`,
		"unpack":                `local t = {} for i = 1, 100000 do t[i] = "x" end while true do table.unpack(t) end`,
		"move":                  `while true do table.move({}, 1, 10000000, 2) end`,
		"sort":                  `local t = {} for i = 1, 200000 do t[i] = i % 1000 end while true do table.sort(t) end`,
		"doubling":              `local s = "x" while true do s = s .. s if #s > 1000000 then s = "x" end end`,
	} {
		t.Run(name, func(t *testing.T) {
			m, begin := watched(t, allowed)
			th := m.Main().NewThread()
			if err := th.Load("main.lua", "\n"+body); err != nil {
				t.Fatal(err)
			}
			runtime.LockOSThread() // whose time is taken: others may have the cores meanwhile
			defer runtime.UnlockOSThread()
			begin()
			began := cputime.Thread()
			if th.Resume(0) != vm.Failed {
				t.Fatal("it came to an end")
			}
			if took := cputime.Thread() - began; took > patience {
				t.Errorf("it took %v", took)
			}
			if text := th.Text(-1); text != "main.lua:2: CPU budget exceeded" {
				t.Errorf("the error is %q", text)
			}
			if trace := th.Traceback(""); !strings.Contains(trace, "main.lua:2") {
				t.Errorf("the traceback is %s", trace)
			}
			begin()
			th = m.Main().NewThread()
			if err := th.Load("main.lua", `return pcall(function() return 42 end)`); err != nil {
				t.Fatal(err)
			}
			if status := th.Resume(0); status != vm.Finished || th.Text(2) != "42" {
				t.Errorf("afterwards: %v %s", status, th.Text(-1))
			}
		})
	}
}

func TestWhatWouldExhaustTheNodeIsAnError(t *testing.T) {
	racetest.SetAside(t)
	for name, c := range map[string]struct{ body, want string }{
		"rep":                  {`return #("x"):rep(1e10)`, "resulting string too large"},
		"rep with a separator": {`return #("x"):rep(2^52, "yy")`, "resulting string too large"},
		"doubling":             {`local s = "x" while true do s = s .. s end`, "resulting string too large"},
		"concat":               {`local t, s = {}, ("x"):rep(1e6) for i = 1, 300 do t[i] = s end return #table.concat(t)`, "resulting string too large"},
		"gsub":                 {`return #(("x"):rep(1e5)):gsub("x", ("y"):rep(1e5))`, "resulting string too large"},
		"width":                {`return #string.format("%1000000000d", 1)`, "invalid conversion"},
		"results":              {`return select("#", table.unpack({}, 1, 1e9))`, "too many results to unpack"},
		"bytes":                {`return select("#", (("x"):rep(1e7)):byte(1, -1))`, "string slice too long"},
		"pack":                 {`return string.pack("c1000000000", "x")`, "resulting string too large"},
		"recursion":            {`local function f() return 1 + f() end return f()`, "stack overflow"},
		"metamethods":          {`local t = {} setmetatable(t, { __index = function(t, k) return t[k .. "x"] end }) return t.x`, "stack overflow"},
		"loop of tables":       {`local a, b = {}, {} setmetatable(a, { __index = b }) setmetatable(b, { __index = a }) return a.x`, "too many recursions"},
		"coroutines":           {`local function f() return coroutine.wrap(f)() end return f()`, "C stack overflow"},
		"callbacks":            {`local function f() return (("x"):gsub("x", f)) end return f()`, "stack overflow"},
		"pattern":              {`return (("("):rep(100000)):find(("("):rep(100000))`, "too many captures"},
		"deep pattern":         {`return (("a"):rep(1000)):find(("a?"):rep(1000))`, "pattern too complex"},
		"list":                 {`local t = {} while true do table.insert(t, 1) end`, "table too long"},
		"list by length":       {`local t = {} while true do t[#t + 1] = 1 end`, "table too long"},
		"brackets":             {`return load(("("):rep(100000) .. "1" .. (")"):rep(100000))`, "too many syntax levels"},
		"terms":                {`return load("return " .. ("1 + "):rep(100000) .. "1")`, "too many levels"},
		"unary":                {`return load("return " .. ("not "):rep(100000) .. "1")`, "too many levels"},
		"calls":                {`return load("return f" .. ("()"):rep(100000))`, "too many levels"},
		"elseif":               {`return load("if a then " .. ("elseif a then "):rep(100000) .. " end")`, "too many levels"},
	} {
		t.Run(name, func(t *testing.T) {
			m, begin := watched(t, time.Minute)
			begin()
			th := m.Main().NewThread()
			if err := th.Load("main.lua", c.body); err != nil {
				t.Fatal(err)
			}
			th.Resume(0)
			if text := th.Text(-1); !strings.Contains(text, c.want) {
				t.Errorf("got %.300q, want %q", text, c.want)
			}
		})
	}
}
