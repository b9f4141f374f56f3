package lua

import (
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// openBase sets the globals that every script gets: print, require and package.loaded.
func (h *Host) openBase(s vm.State) {
	s.PushFunc("print", h.print)
	s.SetGlobal("print")
	s.NewTable(0, 1)
	s.NewTable(0, 8)
	for _, lib := range []string{"string", "table", "math", "coroutine", "utf8", "os", "debug"} {
		s.Global(lib)
		s.SetField(-2, lib)
	}
	s.SetField(-2, "loaded")
	s.SetGlobal("package")
	if err := s.Load("=require", requireSource); err != nil {
		s.Errorf("%s", err.Error()) // the source is a constant of ours
	}
	s.PushFunc("find", h.findModule)
	s.PushFunc("wait", h.apiWait)
	s.PushFunc("wakeup", h.apiWakeup)
	s.Call(3, 0)
}

// requireSource is Lua so that a module's top-level code can wait. Who asks for a module that another coroutine is still making waits for it, under a
// number below zero, which skynet.wait does not use.
const requireSource = `
local find, wait, wakeup = ...
local loaded, making, error, pcall, running = package.loaded, {}, error, pcall, coroutine.running
local last = 0

local function make(name, open, file)
  local mine = { co = running(), waiting = {} }
  making[name] = mine
  local ok, module = pcall(open, name, file)
  making[name] = nil
  for i = 1, #mine.waiting do wakeup(mine.waiting[i]) end
  if not ok then error(module, 0) end
  if loaded[name] == nil then
    if module == nil then module = true end
    loaded[name] = module
  end
  return loaded[name]
end

local function require(name)
  local module = loaded[name]
  if module ~= nil then return module end
  local other = making[name]
  if other then
    if other.co == running() then error("module '" .. name .. "' requires itself", 2) end
    last = last - 1
    other.waiting[#other.waiting + 1] = last
    wait(last)
    return require(name)
  end
  local open, file = find(name)
  if not open then error(file, 2) end
  return make(name, open, file)
end

_G.require = require`

// findModule pushes the function that makes a module and the file that it is from, or nil and what is wrong.
func (h *Host) findModule(s vm.State) int {
	name, ok := s.String(1)
	if !ok {
		s.Errorf("require: the name of a module is expected, got %s", s.Type(1))
	}
	if m, ok := h.rt.modules[name]; ok {
		return h.pushModule(s, m)
	}
	if name == "skynet.core" {
		s.PushFunc(name, h.openCore)
		s.PushString(":go:")
		return 2
	}
	file, text, err := h.rt.source(name)
	if m, ok := h.rt.lib[name]; ok && err != nil {
		return h.pushModule(s, m)
	}
	if err == nil {
		err = s.Load(file, text)
	}
	if err != nil {
		s.PushNil()
		file = strings.TrimPrefix(err.Error(), "lua: ")
	}
	s.PushString(file)
	return 2
}

// pushModule pushes what findModule does, for a module in Go.
func (h *Host) pushModule(s vm.State, m Module) int {
	s.PushFunc(m.Name, func(s vm.State) int {
		m.Open(h, s)
		return 1
	})
	s.PushString(":go:")
	return 2
}

func (h *Host) print(s vm.State) int {
	h.log.Info(joined(s, 1))
	return 0
}

// joined is what print would print of the values from index i on.
func joined(s vm.State, i int) string {
	parts := make([]string, 0, s.Top())
	for ; i <= s.Top(); i++ {
		parts = append(parts, s.Text(i))
	}
	return strings.Join(parts, "\t")
}
