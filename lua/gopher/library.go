package gopher

import (
	"maps"
	"slices"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/std"
	"github.com/skua-go/skua/lua/vm"
)

// library is what every VM gets, by library; "" holds the globals. The functions have no state, so all VMs share them.
type library map[string]map[string]lua.LValue

// prototypes are what the libraries of VMs are made from.
type prototypes struct {
	tables map[string]*lua.LTable // a VM gets copies, which are made faster, and are smaller, than tables that are filled
	own    []std.Library          // of what a VM has for itself
}

// hidden are globals of the engine that reach the host, or that the host makes anew.
var hidden = []string{ //nolint:gochecknoglobals // a constant
	"dofile", "loadfile", "module", "require", "newproxy", "_printregs", "print", "_GOPHER_LUA_VERSION", "channel", "package", "io",
}

// sandboxed and trusted are the libraries for the two kinds of VM.
var (
	sandboxed = sync.OnceValue(func() prototypes { return newPrototypes(false) }) //nolint:gochecknoglobals // constants
	trusted   = sync.OnceValue(func() prototypes { return newPrototypes(true) })  //nolint:gochecknoglobals // constants
)

// makeLibrary takes the engine's functions out of a VM that is thrown away, and puts ours over them.
func makeLibrary(full bool) library {
	l := lua.NewState()
	defer l.Close()
	lib := library{"": {}}
	l.G.Global.ForEach(func(k, v lua.LValue) {
		name := k.String()
		t, isTable := v.(*lua.LTable)
		switch {
		case !isTable:
			lib[""][name] = v
		case name != "_G":
			lib[name] = map[string]lua.LValue{}
			t.ForEach(func(k, v lua.LValue) { lib[name][k.String()] = v })
		}
	})
	for name, funcs := range ours() {
		for k, f := range funcs {
			lib.set(name, k, &lua.LFunction{IsG: true, GFunction: f})
		}
	}
	lib["os"] = nil // what is not in package std acts on the whole node
	for _, of := range std.Libraries(std.Options{Trusted: full}) {
		lib.standard(of)
	}
	lib.mendTables()
	delete(lib["string"], "__index")
	delete(lib["string"], "gfind")
	delete(lib["string"], "dump")
	lib[""]["unpack"] = lib["table"]["unpack"]
	for _, name := range hidden {
		delete(lib[""], name)
		delete(lib, name)
	}
	if full {
		lib["io"] = map[string]lua.LValue{} // package std fills it
	} else {
		keepOnly(lib["debug"], []string{"traceback", "getinfo"})
	}
	return lib
}

func (lib library) set(name, k string, v lua.LValue) {
	if lib[name] == nil {
		lib[name] = map[string]lua.LValue{}
	}
	lib[name][k] = v
}

// standard takes a library of package std.
func (lib library) standard(of std.Library) {
	for k, f := range of.Funcs {
		lib.set(of.Name, k, function(f))
	}
	for k, v := range of.Values(false) {
		switch v := v.(type) {
		case int64:
			lib.set(of.Name, k, lua.LNumber(v))
		case float64:
			lib.set(of.Name, k, lua.LNumber(v))
		case string:
			lib.set(of.Name, k, lua.LString(v))
		}
	}
	if of.PerVM != nil {
		for k := range of.PerVM() {
			lib.set(of.Name, k, lua.LFalse) // so that there is a place
		}
	}
}

// function is one of package vm as the engine has it.
func function(f vm.Func) *lua.LFunction {
	return &lua.LFunction{IsG: true, GFunction: func(l *lua.LState) int { return f(stateOf(l)) }}
}

func keepOnly(lib map[string]lua.LValue, names []string) {
	kept := map[string]lua.LValue{}
	for _, name := range names {
		kept[name] = lib[name]
	}
	clear(lib)
	maps.Copy(lib, kept)
}

func ours() map[string]map[string]lua.LGFunction {
	return map[string]map[string]lua.LGFunction{
		"": {
			"assert": baseAssert, "collectgarbage": baseCollectGarbage, "error": baseError, "load": baseLoad, "loadstring": baseLoad,
			"next": baseNext, "pairs": basePairs, "ipairs": baseIpairs,
			"rawget": baseRawGet, "rawlen": baseRawLen, "rawset": baseRawSet, "select": baseSelect, "tonumber": baseToNumber, "tostring": baseToString,
		},
		"coroutine": {
			"create": coCreate, "wrap": coWrap, "resume": coResume, "yield": coYield, "status": coStatus, "running": coRunning,
			"isyieldable": coIsYieldable, "close": coClose,
		},
		"debug": {"traceback": debugTraceback, "getinfo": debugGetInfo},
	}
}

func newPrototypes(full bool) prototypes {
	lib := makeLibrary(full)
	for name := range lib {
		if name != "" {
			lib[""][name] = lua.LFalse // so that there is a place for each of them
		}
	}
	for _, name := range []string{"_G", "pcall", "xpcall"} {
		lib[""][name] = lua.LFalse
	}
	p := prototypes{tables: map[string]*lua.LTable{}}
	for name, fields := range lib {
		t := &lua.LTable{Metatable: lua.LNil}
		in := insides(t)
		in.reserve(len(fields)) // the copies are as large as this
		for _, k := range slices.Sorted(maps.Keys(fields)) {
			in.setName(lua.LString(k), lua.LString(k), fields[k])
		}
		p.tables[name] = t
	}
	for _, of := range std.Libraries(std.Options{Trusted: full}) {
		if of.Open != nil || of.PerVM != nil {
			p.own = append(p.own, of)
		}
	}
	return p
}

// fill makes a table, which is empty, a copy of another one.
func fill(t, from *lua.LTable) {
	to, of := insides(t), insides(from)
	to.strdict, to.keys, to.k2i = maps.Clone(of.strdict), slices.Clone(of.keys), maps.Clone(of.k2i)
}

// reserve makes an empty table's hash part, with room for n names.
func (in *table) reserve(n int) {
	in.strdict, in.keys, in.k2i = make(map[string]lua.LValue, n), make([]lua.LValue, 0, n), make(map[lua.LValue]int, n)
}

// openLibraries fills the VM's globals.
func (m *machine) openLibraries(full bool) {
	lib := sandboxed()
	if full {
		lib = trusted()
	}
	globals := m.root.G.Global
	fill(globals, lib.tables[""])
	for name, from := range lib.tables {
		if name == "" {
			continue
		}
		into := &lua.LTable{Metatable: lua.LNil}
		fill(into, from)
		globals.RawSetString(name, into)
		if name == "string" {
			meta := m.root.CreateTable(0, 1+len(stringArith))
			meta.RawSetString("__index", into)
			for event, f := range stringArith {
				meta.RawSetString(event, f)
			}
			m.root.SetMetatable(lua.LString(""), meta)
		}
	}
	for _, of := range lib.own {
		if of.Open != nil {
			m.main.Global(of.Name)
			m.ends = append(m.ends, of.Open(m.main))
			m.main.Pop(1)
		}
		if of.PerVM != nil {
			into := globals.RawGetString(of.Name).(*lua.LTable) //nolint:forcetypeassert // it has just been made
			for k, f := range of.PerVM() {
				into.RawSetString(k, function(f))
			}
		}
	}
	globals.RawSetString("_G", globals)
	direct := &lua.LFunction{IsG: true, GFunction: isDirect}
	for name, s := range map[string]*shim{"pcall": &m.engine.pcall, "xpcall": &m.engine.xpcall} {
		inner := &lua.LFunction{IsG: true, GFunction: innerPcall}
		if name == "xpcall" {
			inner = &lua.LFunction{IsG: true, GFunction: innerXpcall}
		}
		l := m.main.l
		l.Push(m.root.NewFunctionFromProto(s.proto))
		l.Push(direct)
		l.Push(inner)
		l.Call(2, 1)
		globals.RawSetString(name, l.Get(-1))
		l.Pop(1)
	}
}

// isDirect tells a shim whether an error can unwind to it: see resume.go.
func isDirect(l *lua.LState) int {
	t := stateOf(l)
	l.Push(lua.LBool(t.outermost(t.frame())))
	return 1
}

func innerPcall(l *lua.LState) int {
	t := stateOf(l)
	return t.innerCall(l.GetTop()-1, nil)
}

func innerXpcall(l *lua.LState) int {
	t := stateOf(l)
	handler := l.Get(2)
	l.Remove(2)
	return t.innerCall(l.GetTop()-1, handler)
}

func (t *thread) innerCall(n int, handler lua.LValue) int {
	if n < 0 {
		t.Errorf("bad argument #1 to 'pcall' (value expected)")
	}
	if problem := t.protected(n, lua.MultRet, handler); problem != nil {
		t.l.SetTop(0)
		t.l.Push(lua.LFalse)
		t.l.Push(problem)
		return 2
	}
	t.l.Insert(lua.LTrue, 1)
	return t.l.GetTop()
}
