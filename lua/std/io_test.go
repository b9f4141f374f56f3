package std_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// engines are those whose library this is.
func engines(t *testing.T) []vm.Engine {
	t.Helper()
	g, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return []vm.Engine{lua54.New(), g}
}

// onEach runs a chunk, whose argument is a directory of its own, in a trusted VM of each engine.
func onEach(t *testing.T, source string) {
	t.Helper()
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			m := e.New(vm.Options{Trusted: true})
			defer m.Close()
			run(t, m, source, t.TempDir())
		})
	}
}

func run(t *testing.T, m vm.VM, source, arg string) {
	t.Helper()
	s := m.Main()
	if err := s.Load("=test", source); err != nil {
		t.Fatal(err)
	}
	s.PushString(arg)
	if err := s.PCall(1, 0); err != nil {
		t.Fatal(s.Text(-1))
	}
}

func TestScriptsOfIOGiveWhatPUCLuaGives(t *testing.T) {
	p := startPUC(t)
	files, err := filepath.Glob("testdata/io_*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source := strings.ReplaceAll(string(text), "DIR", t.TempDir())
		if !compare(t, p, source) {
			t.Error(file)
		}
	}
}

func TestAFileIsWrittenWhenTheVMIsClosed(t *testing.T) {
	for _, e := range engines(t) {
		name := filepath.Join(t.TempDir(), "a")
		m := e.New(vm.Options{Trusted: true})
		run(t, m, `kept = assert(io.open(..., "w")) kept:write("late")`, name)
		if text, err := os.ReadFile(name); err != nil || len(text) > 0 {
			t.Errorf("%s: the buffer is written early: %q %v", e.Name(), text, err)
		}
		m.Close()
		if text, err := os.ReadFile(name); err != nil || string(text) != "late" {
			t.Errorf("%s: %q %v", e.Name(), text, err)
		}
	}
}

func TestAFileThatAScriptHasDroppedIsWrittenAndClosed(t *testing.T) {
	for _, e := range engines(t) {
		name := filepath.Join(t.TempDir(), "a")
		m := e.New(vm.Options{Trusted: true})
		t.Cleanup(m.Close)
		run(t, m, `local function write(name) local f = assert(io.open(name, "w")) f:write("dropped") end
write(...) local function clear(...) return ... end clear(1, 2, 3, 4, 5, 6, 7, 8)`, name)
		run(t, m, `local function deep(n) local a, b, c, d = 1, 2, 3, 4 if n > 0 then return 1 + deep(n - 1) end return a end deep(20) collectgarbage()`, "")
		for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
			runtime.GC()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if string(text) == "dropped" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the file is still open", e.Name())
			}
		}
	}
}

func TestAVMHasALimitedNumberOfFilesOpen(t *testing.T) {
	onEach(t, `local dir, open = ..., {}
for i = 1, 256 do open[i] = assert(io.open(dir .. "/a", "w")) end
local f, problem, code = io.open(dir .. "/a")
assert(f == nil and problem == dir .. "/a: Too many open files" and code == 24, problem)
open[1]:close()
assert(io.open(dir .. "/a")):close()
local ok, problem = pcall(function() open[1] = io.open(dir .. "/a") io.lines(dir .. "/a") end)
assert(not ok and problem:find("cannot open file '" .. dir .. "/a' (Too many open files)", 1, true), problem)`)
}

func TestOneReadMakesABoundedString(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "huge")
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, 1<<40); err != nil {
				t.Skip("no sparse files here:", err)
			}
			m := e.New(vm.Options{Trusted: true})
			defer m.Close()
			m.SetMemoryLimit(32 << 20)
			run(t, m, `local f = assert(io.open(...))
for _, format in ipairs{ "a", "l", 2^39, -1 } do
  local ok, problem = pcall(f.read, f, format)
  assert(not ok and problem:find("not enough memory"), problem)
end
assert(f:seek("set", 5) == 5 and #f:read(10) == 10 and f:seek() == 15)`, name)
		})
	}
}

func TestCommandsTellHowTheyEnded(t *testing.T) {
	onEach(t, `local dir = ...
local function is(command, a, b, c)
  local r = table.pack(os.execute(command))
  assert(r.n == 3 and r[1] == a and r[2] == b and r[3] == c, command .. ": " .. tostring(r[2]) .. " " .. tostring(r[3]))
end
assert(os.execute() == true)
is("true", true, "exit", 0)
is("exit 3", nil, "exit", 3)
is("kill -9 $$", nil, "signal", 9)
is("echo made >" .. dir .. "/made", true, "exit", 0)
is("read line", nil, "exit", 1)
assert(io.open(dir .. "/made"):read("a") == "made\n")`)
}

func TestFilesOfScriptsAreLoadedAndRun(t *testing.T) {
	onEach(t, `local dir = ...
local f = assert(io.open(dir .. "/a.lua", "w"))
f:write("#!/usr/bin/env lua\nlocal n = ...\nreturn n, 7, where\n") f:close()
local a, b = dofile(dir .. "/a.lua")
assert(a == nil and b == 7)
local chunk = assert(loadfile(dir .. "/a.lua", "t", { where = "there" }))
assert(select(3, chunk(1)) == "there" and chunk(5) == 5)
local chunk, problem = loadfile(dir .. "/none")
assert(chunk == nil and problem == "cannot open " .. dir .. "/none: No such file or directory", problem)
f = assert(io.open(dir .. "/b.lua", "w")) f:write("#\nx = = 1") f:close()
chunk, problem = loadfile(dir .. "/b.lua")
assert(chunk == nil and problem:find("b.lua:2:"), problem)
local ok, problem = pcall(dofile, dir .. "/b.lua")
assert(not ok and problem:find("b.lua:2:"), problem)`)
}

func TestUntrustedScriptsReachNothingOfTheHost(t *testing.T) {
	for _, e := range engines(t) {
		m := e.New(vm.Options{})
		run(t, m, `for _, name in ipairs{
  "io", "dofile", "loadfile", "module", "newproxy", "channel", "os.execute", "os.remove", "os.rename", "os.getenv", "os.exit", "os.tmpname", "os.setlocale", "os.setenv",
  "package.loadlib", "package.cpath", "package.path", "package.searchers", "package.preload", "package.loaders", "string.dump",
  "debug.getregistry", "debug.sethook", "debug.gethook", "debug.setmetatable", "debug.getmetatable", "debug.upvaluejoin", "debug.upvalueid", "debug.getlocal",
  "debug.setlocal", "debug.getupvalue", "debug.setupvalue", "debug.getfenv", "debug.setfenv", "debug.debug",
} do
  local v = _G
  for part in name:gmatch("[^.]+") do v = v and v[part] end
  assert(v == nil, name .. " is there")
end
assert(os.time and string.rep and debug.traceback)`, "")
		m.Close()
	}
}

func TestTrustedScriptsCanNeitherEndTheNodeNorLoadC(t *testing.T) {
	onEach(t, `assert(os.exit == nil and (package == nil or package.loadlib == nil) and string.dump == nil)
local ok, problem = pcall(io.popen, "true")
assert(not ok and problem:find("'popen' not supported"), problem)`)
}
