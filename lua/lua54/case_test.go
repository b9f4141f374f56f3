package lua54_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

var errTooLong = errors.New("too long")

// limits are what a test lets a VM have.
type limits struct {
	steps  int // looks at the clock until the time is over, 0 for any number
	memory int64
}

// newVM makes a VM with a function of Go, protect, that calls what it gets with PCall.
func newVM(l limits) vm.VM {
	ticks := 0
	m := lua54.Engine{}.New(vm.Options{Tick: func() error {
		if ticks++; l.steps > 0 && ticks > l.steps {
			return errTooLong
		}
		return nil
	}})
	m.SetMemoryLimit(l.memory)
	s := m.Main()
	s.PushFunc("protect", func(s vm.State) int {
		err := s.PCall(s.Top()-1, 0)
		s.SetTop(0)
		s.PushBool(err == nil)
		if err != nil {
			s.PushString(err.Error())
			return 2
		}
		return 1
	})
	s.SetGlobal("protect")
	return m
}

// result runs a chunk and shows what it returns, or its error.
func result(m vm.VM, source string) string {
	s := m.Main()
	s.SetTop(0)
	if err := s.Load("test.lua", source); err != nil {
		return "error: " + err.Error()
	}
	if err := s.PCall(0, vm.VariadicResults); err != nil {
		return "error: " + err.Error()
	}
	values := make([]string, s.Top())
	for i := range values {
		values[i] = s.Text(i + 1)
	}
	return strings.Join(values, " | ")
}

type luaCase struct{ name, source, want string }

func runCases(t *testing.T, cases []luaCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newVM(limits{})
			defer m.Close()
			if got := result(m, c.source); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestEdgesOfTheLanguage(t *testing.T) { runCases(t, edges) }

var edges = []luaCase{
	{"an overflow of the stack is one again after another", `local function f() return 1 + f() end
		local _, a = pcall(f) local _, b = pcall(f) return a, b`, "test.lua:1: stack overflow | test.lua:1: stack overflow"},
	{"so is one of the stack's values", `local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, ...) + 1 end
		local _, a = pcall(f) local _, b = pcall(f) return a, b`, "test.lua:1: stack overflow | test.lua:1: stack overflow"},
	{"the handler is asked about its own error", `return xpcall(error, function(e) if e == "x" then error("y", 0) end return e .. "!" end, "x")`, "false | y!"},
	{"not for ever", `return xpcall(error, function(e) error("x") end)`, "false | error in error handling"},
	{"a variable that a closure shares is there in __close behind an error", `local h, seen
		pcall(function() local c <close> = setmetatable({}, { __close = function() local a, b, c = 1, 2, 3 seen = h() end })
		local x = 5 h = function() return x end error("e") end) return seen, h()`, "5 | 5"},
	{"nested calls of Go are bounded", `local n = 0 local function f() n = n + 1 return protect(f) end f() return n < 200`, "true"},
	{
		"a goto does not jump over a local that until sees", `return load("repeat local x goto c local y ::c:: until y")`,
		`nil | [string "repeat local x goto c local y ::c:: until y"]:1: <goto c> at line 1 jumps into the scope of local 'y'`,
	},
	{"the end of a block is outside its locals", `do goto c local y ::c:: ; end return 1`, "1"},
	{"_ENV is assigned to behind the others", `local e = {} local function f() local _ENV = e x, _ENV = 1, {} return x end return f(), e.x`, "nil | 1"},
	{"long sums", `return load("local x = 1 return x" .. (" + x"):rep(5000))()`, "5001"},
	{"long sums of numbers", `return load("local x = 1 return 1" .. (" + 1"):rep(5000) .. " + x")()`, "5002"},
	{"long chains of fields", `return load("local x = setmetatable({}, { __index = function(t) return t end}) return x" .. (".x"):rep(5000))() ~= nil`, "true"},
	{"a sum into a variable that it reads", `local a, b = 1, 2 a = b + a + a * a + b return a`, "6"},
	{"a chunk's name", `return select(2, pcall(load("error('x')", "chunk")))`, `[string "chunk"]:1: x`},
	{
		"a chunk's long name", `return (select(2, pcall(load("error('x')", "@" .. ("long/"):rep(20) .. "name"))))`,
		"...g/long/long/long/long/long/long/long/long/long/long/name:1: x",
	},
	{"an error in what load reads", `return load(function() error("x", 0) end)`, "nil | x"},
	{"load of what is no text", `return load(function() return {} end)`, "nil | test.lua:1: reader function must return a string"},
	{"load of a number", `return load(1)`, `nil | [string "1"]:1: unexpected symbol near '1'`},
	{"assert tells where", `return pcall(function() assert(nil, "m") end)`, "false | test.lua:1: m"},
	{"assert keeps what is no text", `return pcall(function() assert(nil, 5) end)`, "false | 5"},
	{"strings are not for bitwise operators", `return pcall(function() return "3" | 1 end)`, "false | test.lua:1: attempt to perform bitwise operation on a string value (constant '3')"},
	{"the left operand is named", `return pcall(function() local a, b = 1.5, 1.5 return a | b end)`, "false | test.lua:1: number (local 'a') has no integer representation"},
	{"a local key is not a name", `return pcall(function() local t, k = {}, "key" return t[k].x end)`, "false | test.lua:1: attempt to index a nil value (field '?')"},
	{"an object that calls itself", `local t = setmetatable({}, {}) getmetatable(t).__call = t return pcall(t)`, "false | '__call' chain too long; possibly a loop"},
	{"a metatable becomes one of a weak table later", `local mt = {} local t = setmetatable({ {} }, mt) mt.__mode = "v" collectgarbage() return #t`, "0"},
	{"__gc is called once", `local n = 0 local mt = { __gc = function() n = n + 1 end } do local t = {} for i = 1, 5 do setmetatable(t, mt) end t = nil end
		collectgarbage() collectgarbage() return n`, "1"},
	{"__gc in the order that the objects were made in, backwards", `local s = "" local mt = { __gc = function(o) s = s .. o.n end } local function f() for i = 1, 4 do setmetatable({ n = i }, mt) end end
		f()
		collectgarbage() return s`, "4321"},
	{"__gc does not run in __gc", `local n, mt = 0, {} function mt.__gc() n = n + 1 if n < 1000 then setmetatable({}, mt) collectgarbage() end end
		setmetatable({}, mt) collectgarbage() local first = n collectgarbage() return first, n`, "1 | 2"},
	{"what a finalizer gets is gone from weak values, not from weak keys", `local v, k, seen = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" })
		do local o = setmetatable({}, { __gc = function(o) seen = (v[1] == nil and k[o] == 7) end }) v[1] = o k[o] = 7 end
		collectgarbage() return seen`, "true"},
	{"a resume that fails for its depth can be made again", `local function nest(n) if n == 0 then return 1 end return coroutine.wrap(nest)(n - 1) end
		local co = coroutine.create(function(a) return a end)
		local function deep(n) if n == 0 then return coroutine.resume(co, "deep") end local t = { coroutine.resume(coroutine.create(deep), n - 1) }
			if #t == 2 or not t[1] then return table.unpack(t) end return table.unpack(t, 2) end
		local ok, e = deep(194) return ok, e, coroutine.resume(co, "again")`, "false | C stack overflow | true | again"},
}

func TestAScriptThatGoesOnAfterTheErrorOfTheClockGetsTheNextOne(t *testing.T) {
	for name, body := range map[string]string{
		"collectgarbage":              `local t = {} for i = 1, 1e5 do t[i] = {} end loop(function() while true do collectgarbage() end end)`,
		"names in errors":             `for i = 1, 1e5 do _G["g" .. i] = i end loop(function() while true do pcall(string.rep) end end)`,
		"allocations that do not fit": `local t = {} for i = 1, 1e5 do t[i] = {} end loop(function() while true do pcall(string.rep, "x", 1e9) end end)`,
		"__index":                     `local t = {} for i = 1, 1990 do t = setmetatable({}, { __index = t }) end loop(function() while true do local x = t.x end end)`,
		"__close":                     `loop(function() local x <close> = setmetatable({}, { __close = function() while true do end end }) error("x") end)`,
		"__gc":                        `local mt = { __gc = function() while true do end end } loop(function() while true do for i = 1, 1000 do setmetatable({}, mt) end collectgarbage() end end)`,
		"handlers":                    `while true do xpcall(function() while true do end end, function() while true do end end) end`,
		"coroutines":                  `loop(function() coroutine.wrap(function() pcall(function() while true do end end) while true do end end)() end)`,
		"gsub":                        `loop(string.gsub, ("x"):rep(1000), ".", function() while true do end end)`,
		"sort":                        `loop(table.sort, { 3, 2, 1 }, function() while true do end end)`,
		"goto":                        `loop(function() ::a:: goto a end)`,
		"recursion":                   `loop(function() local function f() return f() end f() end)`,
		"metamethods":                 `loop(function() local t = setmetatable({}, { __index = function(t, k) return t[k] end }) return t.x end)`,
		"load":                        `local s = ("x = 1 "):rep(1e5) loop(function() while true do load(s) end end)`,
		"concat":                      `local t = {} for i = 1, 1e5 do t[i] = "x" end loop(function() while true do table.concat(t) end end)`,
		"unpack":                      `local t = {} for i = 1, 2e5 do t[i] = 1 end loop(function() while true do select("#", table.unpack(t)) end end)`,
		"varargs": `local function f(...) return select("#", ...) end local t = {} for i = 1, 2e5 do t[i] = 1 end
			loop(function(...) while true do f(...) end end, table.unpack(t))`,
		"closures of varargs": `local t = {} for i = 1, 2e5 do t[i] = 1 end loop(function(...) while true do local t = { ... } end end, table.unpack(t))`,
		"deep errors": `local function deep(n, f) if n == 0 then return f() end return (deep(n - 1, f)) end
			loop(deep, 1e5, function() while true do pcall(error, "x") end end)`,
		"tracebacks":       `for i = 1, 1e5 do _G["g" .. i] = i end loop(function() while true do debug.traceback() end end)`,
		"long strings":     `local s = ("x"):rep(1e7) loop(function() while true do local x = s .. s end end)`,
		"long comparisons": `local a, b = ("x"):rep(1e7) .. "a", ("x"):rep(1e7) .. "a" loop(function() while true do local x = a < b local y = a == b end end)`,
		"equal keys":       `local t, s = {}, ("x"):rep(1e7) t[s .. "a"] = 1 s = s .. "a" loop(function() while true do local x = t[s] end end)`,
		"long keys":        `local t = {} loop(function() while true do local s = ("x"):rep(1e6) t[s] = nil end end)`,
		"next":             `local t = {} for i = 1, 1e6 do t[i] = i end for i = 1, 1e6 - 1 do t[i] = nil end loop(function() while true do next(t) end end)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newVM(limits{steps: 5, memory: 256 << 20})
			defer m.Close()
			began := time.Now()
			got := result(m, `local function loop(f, ...) while true do pcall(f, ...) end end `+body)
			if !strings.HasSuffix(got, "too long") {
				t.Error(got)
			}
			// Alone each takes less than a second. One that hardly gets the next error would take hours.
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}
