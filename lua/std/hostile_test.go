package std_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/std"
	"github.com/skua-go/skua/lua/vm"
)

// watched is a VM of an engine that counts what Spend tells, whose scripts have so much time.
func watched(t testing.TB, allowed time.Duration) vm.VM {
	t.Helper()
	e, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(allowed)
	m := e.New(vm.Options{Tick: func() error {
		if time.Now().After(end) {
			return errors.New("CPU budget exceeded")
		}
		return nil
	}})
	t.Cleanup(m.Close)
	std.Open(m.Main(), std.Options{})
	return m
}

// A script has 50 milliseconds here; one that goes on is stopped long before twenty.
const allowed, patience = 50 * time.Millisecond, 20 * time.Second

func TestWhateverTakesTooLongIsStopped(t *testing.T) {
	for name, body := range map[string]string{
		"pattern":             `local s = ("a"):rep(3000) s:find((("a*"):rep(20)) .. "b")`,
		"pattern of options":  `local s = ("a"):rep(40) s:find((("a?"):rep(40)) .. ("a"):rep(40) .. "b")`,
		"lazy pattern":        `local s = ("a"):rep(100000) s:find(".-.-.-b")`,
		"large set":           `local s = ("a"):rep(1e6) local set = "[" .. ("b"):rep(1e6) .. "]" s:find(set)`,
		"large set in a loop": `local s = ("a"):rep(1e6) local set = "[^" .. ("b"):rep(1e6) .. "]*c" s:find(set)`,
		"balance":             `local s = ("("):rep(1000000) s:gsub("%b()", "")`,
		"back reference":      `local s = ("a"):rep(1e6) s:find("(a*)%1b")`,
		"many captures":       `local s = ("a"):rep(1e5) while true do s:gsub("()()()()()()()()", "%1%2%3%4") end`,
		"gsub":                `local s = ("a"):rep(1000000) while true do s:gsub(".", "%0") end`,
		"gsub of nothing":     `local s = ("a"):rep(1000000) while true do s:gsub("x", "y") end`,
		"gsub of empty ones":  `local s = ("a"):rep(1000000) while true do s:gsub("", "") end`,
		"gmatch":              `local s = ("a"):rep(1000000) while true do for _ in s:gmatch("b*$") do end end`,
		"plain find":          `local s = ("a"):rep(1e8) while true do s:find("b", 1, true) end`,
		"rep":                 `while true do local _ = ("x"):rep(1e7) end`,
		"rep with separators": `while true do local _ = ("x"):rep(1e6, "y") end`,
		"case":                `local s = ("x"):rep(1e7) while true do s:upper() end`,
		"reverse":             `local s = ("x"):rep(1e7) while true do s:reverse() end`,
		"format":              `local f = ("%5.1f"):rep(200) local t = {} for i = 1, 200 do t[i] = i end while true do f:format(table.unpack(t)) end`,
		"quoting":             `local s = ("\0"):rep(1e7) while true do ("%q"):format(s) end`,
		"large format":        `local f = ("x"):rep(1e8) while true do f:format() end`,
		"pack":                `local f = (" "):rep(1e7) while true do f:pack() end`,
		"packsize":            `local f = ("b"):rep(1e7) while true do f:packsize() end`,
		"unpack":              `local s = ("x"):rep(1e5) local f = ("b"):rep(1e5) while true do f:unpack(s) end`,
		"concat":              `local t = {} for i = 1, 100000 do t[i] = "x" end while true do table.concat(t) end`,
		"concat of nothing":   `local t = setmetatable({}, { __index = function() return "" end }) table.concat(t, "", 1, 2^53)`,
		"table.unpack":        `local t = {} for i = 1, 100000 do t[i] = "x" end while true do table.unpack(t) end`,
		"move":                `while true do table.move({}, 1, 10000000, 2) end`,
		"move backwards":      `while true do table.move({}, 1, 2^52, 2) end`,
		"insert":              `local t = {} for i = 1, 200000 do t[i] = i end while true do table.insert(t, 1, 1) table.remove(t, 1) end`,
		"insert by length":    `table.insert(setmetatable({}, { __len = function() return 2^52 end, __index = function() end }), 1, 1)`,
		"remove by length":    `table.remove(setmetatable({}, { __len = function() return 2^52 end, __index = function() end }), 1)`,
		"sort":                `local t = {} for i = 1, 200000 do t[i] = i % 1000 end while true do table.sort(t) end`,
		"sort by an order":    `local t = {} for i = 1, 200000 do t[i] = i % 1000 end table.sort(t, function() return true end) while true do end`,
		"sort of texts":       `local t, s = {}, ("x"):rep(1e6) for i = 1, 1e5 do t[i] = s end table.sort(t) while true do table.sort(t) end`,
		"sort by length":      `table.sort(setmetatable({}, { __len = function() return 2^30 end, __index = function() return 1 end }))`,
		"utf8.len":            `local s = ("ä"):rep(1e6) while true do utf8.len(s) end`,
		"utf8.offset":         `local s = ("ä"):rep(1e6) while true do utf8.offset(s, -1e6) end`,
		"utf8.offset of one":  `local s = ("\128"):rep(1e7) while true do utf8.offset(s, 0, 1e7) end`,
		"utf8.codes":          `local s = "a" .. ("\128"):rep(1e7) while true do local f = utf8.codes(s) pcall(f, s, 2) end`,
		"date":                `local f = ("%c"):rep(1e5) while true do os.date(f) end`,
		"numbers":             `local s = (" "):rep(1e7) .. "1" while true do math.sqrt(s) end`,
	} {
		t.Run(name, func(t *testing.T) {
			m := watched(t, allowed)
			th := m.Main().NewThread()
			if err := th.Load("main.lua", body); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if th.Resume(0) != vm.Failed {
				t.Fatal("it came to an end")
			}
			if text := th.Text(-1); !strings.HasSuffix(text, "CPU budget exceeded") {
				t.Errorf("the error is %.200q", text)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAnyOrderFunctionSortsToAnEnd(t *testing.T) {
	for name, order := range map[string]string{
		"always": "function() return true end", "never": "function() return false end", "random": "function() return math.random(2) == 1 end",
		"by turns": "(function() local n = 0 return function() n = n + 1 return n % 3 == 0 end end)()", "not strict": "function(a, b) return a <= b end",
		"emptying": "function(a, b) for i = 1, 200 do t[i] = nil end return (a or 0) < (b or 0) end", "growing": "function(a, b) t[#t + 1] = 1 return a < b end",
	} {
		t.Run(name, func(t *testing.T) {
			s := watched(t, 10*time.Second).Main()
			if err := s.Load("=sort", `t = {} for i = 1, 200 do t[i] = i * 7 % 31 end
local ok, e = pcall(table.sort, t, `+order+`) return ok, tostring(e), #t`); err != nil {
				t.Fatal(err)
			}
			s.Call(0, 3)
			if text := s.Text(2); !s.Bool(1) && text != "invalid order function for sorting" && !strings.Contains(text, "compare") {
				t.Error(text)
			}
			if name != "emptying" && name != "growing" && s.Text(3) != "200" {
				t.Errorf("%s are left of 200", s.Text(3))
			}
		})
	}
}

// What sort says may not depend on what it does inside.
func TestSortIsRightWhateverIsSorted(t *testing.T) {
	s := watched(t, time.Minute).Main()
	if err := s.Load("=sort", `
local function check(t, less)
  for i = 2, #t do assert(not less(t[i], t[i - 1]), i) end
end
local function lt(a, b) return a < b end
local function gt(a, b) return a > b end
for _, n in ipairs { 0, 1, 2, 3, 10, 100, 1000 } do
  for _, make in ipairs {
    function(i) return i end, function(i) return -i end, function(i) return i % 7 end, function(i) return math.random(n) end, function(i) return i / 3 end,
    function(i) return "k" .. math.random(n) end, function(i) return i % 2 == 0 and i or i + 0.5 end, function(i) return setmetatable({ i * 7 % 13 }, mt) end,
  } do
    mt = { __lt = function(a, b) return a[1] < b[1] end }
    local t, u = {}, {}
    for i = 1, n do t[i] = make(i) u[i] = t[i] end
    table.sort(t) check(t, lt)
    assert(#t == n)
    table.sort(u, gt) check(u, gt)
    table.sort(u, lt)
    for i = 1, n do assert(u[i] == t[i] or not lt(u[i], t[i]) and not lt(t[i], u[i])) end
    local store, seen = {}, 0
    for i = 1, n do store[i] = t[n + 1 - i] end
    local proxy = setmetatable({}, { __len = function() return n end, __index = function(_, k) return store[k] end, __newindex = function(_, k, v) store[k] = v end })
    table.sort(proxy) check(store, lt)
  end
end`); err != nil {
		t.Fatal(err)
	}
	s.Call(0, 0)
}
