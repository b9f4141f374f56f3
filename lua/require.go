package lua

import (
	"path"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// openBase sets the globals that every script gets: print, require, package.loaded, and the name of the service and the folder that its script is in.
func (h *Host) openBase(s vm.State, file string) {
	h.pushVerb(s, "print", (*Host).apiPrint)
	s.SetGlobal("print")
	s.PushString(h.script)
	s.SetGlobal("SERVICE_NAME")
	s.PushString(path.Dir(file) + "/")
	s.SetGlobal("SERVICE_PATH")
	s.NewTable(0, 1)
	s.NewTable(0, 8)
	for _, lib := range []string{"string", "table", "math", "coroutine", "utf8", "os", "io", "debug"} {
		s.Global(lib)
		s.SetField(-2, lib)
	}
	s.SetField(-2, "loaded")
	s.SetGlobal("package")
	if err := s.Load("="+hostChunk, requireSource); err != nil {
		s.Errorf("%s", err.Error()) // the source is a constant of ours
	}
	h.pushVerb(s, "find", (*Host).findModule)
	h.pushVerb(s, "wait", (*Host).apiWait)
	h.pushVerb(s, "wakeup", (*Host).apiWakeup)
	h.pushVerb(s, "require", (*Host).requireFails)
	if path.Base(file) == "init.lua" {
		folder := path.Dir(file)
		s.PushFunc("own", func(s vm.State) int { return h.now.ownModule(s, folder) })
	} else {
		s.PushNil()
	}
	s.Call(5, 2)
	h.requiring = s.Ref()
	s.Copy(-1)
	h.require = s.Ref()
	s.SetGlobal("require")
}

// requireSource is Lua so that a module's top-level code can wait. Who asks for a module that another coroutine is still making waits for it. The second
// function adds one to what runs when the module that the running coroutine makes is there, if it makes one: see skynet.init.
//
//nolint:dupword // it is Lua
const requireSource = `
local find, wait, wakeup, fails, own = ...
local loaded, making, error, xpcall, running = package.loaded, {}, error, xpcall, coroutine.running

local makers = {}

local function run_inits(mine)
  local i = 1
  while mine.inits[i] do
    mine.inits[i]()
    i = i + 1
  end
end

local function build(mine, open, name, file)
  local module = (mine and open)(name, file) -- without a name: stacks call it the main chunk that it is
  if mine.inits then run_inits(mine) end
  return module
end

local function make(name, open, file)
  local co = running()
  local mine = { co = co, waiting = {}, outer = makers[co] }
  making[name], makers[co] = mine, mine
  local ok, module = xpcall(build, fails, mine, open, name, file)
  making[name], makers[co] = nil, mine.outer
  for i = 1, #mine.waiting do wakeup(mine.waiting[i]) end
  if not ok then error(module, 0) end
  if loaded[name] == nil then
    if module == nil then module = true end
    loaded[name] = module
  end
  return loaded[name]
end

local function require(name)
  if own then name = own(name) end
  local module = loaded[name]
  if module ~= nil then return module end
  local other = making[name]
  if other then
    if other.co == running() then error("module '" .. name .. "' requires itself", 2) end
    local token = {}
    other.waiting[#other.waiting + 1] = token
    wait(token)
    return require(name)
  end
  local open, file, level = find(name)
  if not open then error(file, level) end
  return make(name, open, file)
end

return require, function(f)
  local mine = makers[running()]
  if not mine then return false end
  mine.inits = mine.inits or {}
  mine.inits[#mine.inits + 1] = f
  return true
end`

// ownModule pushes the name of a module: one in the folder of a service NAME/init.lua is found there first, as in Skynet, and has the name that it has for all others.
func (h *Host) ownModule(s vm.State, folder string) int {
	if name, ok := s.String(1); ok && h.has(folder+"/"+name) {
		s.PushString(strings.ReplaceAll(folder+"/"+name, "/", "."))
		return 1
	}
	s.SetTop(1)
	return 1
}

// has tells whether there is a script of this name.
func (h *Host) has(name string) bool {
	if v := h.reload.version; v != nil {
		if _, ok := v.Find(name); ok {
			return true
		}
	}
	return h.rt.known(name) == nil
}

// findModule pushes the function that makes a module and the file that it is from; or nil, what is wrong, and the level of that error: a file that can't be compiled names its own place.
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
	file, text, err := h.source(name)
	if m, ok := h.rt.lib[name]; ok && err != nil {
		return h.pushModule(s, m)
	}
	if err != nil {
		return notFound(s, err, 2)
	}
	if err = s.Load(file, text); err != nil {
		return notFound(s, err, 0)
	}
	s.PushString(file)
	return 2
}

func notFound(s vm.State, err error, level int64) int {
	s.PushNil()
	s.PushString(strings.TrimPrefix(err.Error(), "lua: "))
	s.PushInt(level)
	return 3
}

// pushModule pushes what findModule does, for a module in Go.
func (h *Host) pushModule(s vm.State, m Module) int {
	owner := h.first
	s.PushFunc(m.Name, func(s vm.State) int {
		m.Open(owner, s)
		return 1
	})
	s.PushString(":go:")
	return 2
}

func (h *Host) apiPrint(s vm.State) int {
	s.Spend(lineCost)
	h.log.Info(joined(s, 1, "\t"))
	return 0
}

// joined is what print would print of the values from index i on.
func joined(s vm.State, i int, separator string) string {
	parts := make([]string, 0, s.Top())
	for ; i <= s.Top(); i++ {
		parts = append(parts, s.Text(i))
	}
	return strings.Join(parts, separator)
}
