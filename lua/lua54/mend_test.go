package lua54_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// assignments are programs that assign several targets at once, each returning text.
var assignments = []string{
	`local a, p = {}, {u=1, v=2} a.x, a.y = p.u, p.v return a.x .. a.y`,
	`local a, p = {}, {u=1, v=2} a.x, a["y"] = p.u + 1, p.v * 2 return a.x .. " " .. a.y`,
	`local a, i = {}, 1 i, a[i] = i + 1, 20 return i .. " " .. a[1]`,
	`x, y = 1, 2 x, y = y, x return x .. y`,
	`local t = {1, 2, 3} t[1], t[2], t[3] = t[3], t[1], t[2] return table.concat(t, " ")`,
	`local function f() return 1, 2, 3 end local t = {} t.a, t.b = f() return t.a .. t.b`,
	`local function f() return 1, 2, 3 end local t = {} t.a, t.b, t.c = 0, f() return t.a .. t.b .. t.c`,
	`local t = { f = function(self) return self end } t:f().x, t.f(t).y = t, #"abc" return tostring(t.x == t) .. t.y`,
	`local t = {} ;(t).x, (t).y = not nil, t ~= nil return tostring(t.x) .. tostring(t.y)`,
	`local t = setmetatable({}, {__index = {u = 5, v = 6}}) local a = {} a[ [[x]] ], a.y = t.u, t.v return a.x .. a.y`,
	`local a <const>, b = 1, 2 local t = { a = a, b = b } t.a, t.b = t.b, t.a return t.a .. t.b`,
	`local r = {} for i, v in ipairs({ 4, 5 }) do r[i], r[v] = v, i end return r[1] .. r[2] .. r[4] .. r[5]`,
	`local r = {} for i = 1, 2 do r.a, r.b = i, -i end return r.a .. r.b`,
	`local t = { a = 1, b = function() local u = {} u.a, u.b = 1, 2 return u.a, u.b end, c = 3 } local x, y = t.b() return x .. y`,
	`local a, b a, b = 1, 2 local t = {} t.s, t.n = a .. b, a + b return t.s .. t.n`,
	`local s = "a, b = 1, 2" -- c, d = 3, 4
	 local t = {} --[[ e, f = ]] t.x, t.y = s, #s return t.x .. t.y`,
	`local t = {} if t then t.x, t.y = t == t, t ~= t elseif t then t.x, t.y = 1, 2 else t.x = 3 end return tostring(t.x) .. tostring(t.y)`,
	`local t = {} repeat t.x, t.y = t.x or 1, t.y or 2 until t.x, t.y return "no"`,
	`return load("local t, p = {}, {u=1,v=2} t.x, t.y = p.u, p.v return t.x .. t.y")()`,
	`local n = 0 return load(function() n = n + 1 return ({ "local t, p = {}, {u=1,v=2} t.x, ", "t.y = p.u, p.v return t.x .. t.y" })[n] end)()`,
}

func run(t *testing.T, source string) string {
	t.Helper()
	m := lua54.Engine{}.New(vm.Options{})
	defer m.Close()
	s := m.Main()
	if err := s.Load("test", source); err != nil {
		return "syntax error"
	}
	if err := s.PCall(0, 1); err != nil {
		return "error: " + s.Text(-1)
	}
	return s.Text(-1)
}

// The reference implementation says what is right.
func TestMultipleAssignmentsGiveWhatPUCLuaGives(t *testing.T) {
	want := map[string]string{}
	if path, err := exec.LookPath("lua5.4"); err == nil {
		for _, source := range assignments {
			cmd := exec.CommandContext(t.Context(), path, "-", source)
			cmd.Stdin = strings.NewReader("local f = load(...) io.write(f and f() or 'syntax error')")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v", source, err)
			}
			want[source] = string(out)
		}
	} else {
		t.Log("lua5.4 is not installed: comparing with what it gave")
	}
	known := []string{"12", "2 4", "2 20", "21", "3 1 2", "12", "012", "true3", "truetrue", "56", "21", "4512", "2-2", "12", "123", "a, b = 1, 211", "truefalse", "syntax error", "12", "12"}
	for i, source := range assignments {
		got := run(t, source)
		if w, ok := want[source]; ok && w != known[i] {
			t.Errorf("%s\nPUC Lua gives %q, the test expects %q", source, w, known[i])
		}
		if got != known[i] {
			t.Errorf("%s\ngot  %q\nwant %q", source, got, known[i])
		}
	}
}

func TestLinesStayWhereTheyAreInMendedSources(t *testing.T) {
	got := run(t, "#!/usr/bin/lua\nlocal t = {}\nt.a, t.b = 1, 2\nerror('here')")
	if !strings.HasPrefix(got, "error: test:4: here") {
		t.Fatal(got)
	}
}

func TestBytecodeIsRefused(t *testing.T) {
	if got := run(t, `return select(2, load("\27Lua"))`); !strings.Contains(got, "binary chunk") {
		t.Fatal(got)
	}
}

// The hook's count comes to 0 at any instruction of the loop, also where a function with `...` begins.
func TestTheWatchOverAHandlerIsNotLostInFunctionsWithVarargs(t *testing.T) {
	for _, source := range []string{
		`local function f(...) end while true do f() end`,
		`local function f(...) return ... end while true do f(1, f(2)) end`,
		`local f = function(...) local a = ... end while true do pcall(f, 1) end`,
		`local c = load("local a = ...", "c", "t", {}) while true do c() end`,
	} {
		ticks := 0
		m := lua54.Engine{}.New(vm.Options{Tick: func() error {
			if ticks++; ticks > 50 {
				return errors.New("enough")
			}
			return nil
		}})
		co := m.Main().NewThread()
		if err := co.Load("=loop", "return 1"); err != nil {
			t.Fatal(err)
		}
		co.Pop(1)
		if err := co.Load("loop", source); err != nil {
			t.Fatal(err)
		}
		if status := co.Resume(0); status != vm.Failed || !strings.Contains(co.Text(-1), "enough") {
			t.Errorf("%s: ended with %v after %d ticks: %s", source, status, ticks, co.Text(-1))
		}
		m.Close()
	}
}
