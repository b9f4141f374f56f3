package lua54

import (
	"math"
	"strconv"

	"github.com/skua-go/skua/lua/std"
	"github.com/skua-go/skua/lua/vm"
)

// The libraries' functions are made once and shared by all VMs. Their tables are shared too, until a script writes to one, see table.frozen.

type goLibrary map[string]func(th *thread) int

func (lib goLibrary) table(name string) *table {
	t := template()
	for key, f := range lib {
		full := name + "." + key
		if name == "_G" {
			full = key
		}
		t.setStr(constant(key), value{o: &newGoFunc(full, func(s vm.State) int { return f(s.(*thread)) }).object}) //nolint:forcetypeassert // this engine's
	}
	return t
}

func template() *table { return &table{object: object{kind: kindTable, mark: shared}, library: true} }

func (t *table) special(name string, sp special) {
	v := t.getText(name)
	v.o.goFunc().special = sp
}

// libraries are the templates of an engine's libraries.
type libraries struct {
	base   *table
	tables map[string]*table
}

var trusted, untrusted = makeLibraries(true), makeLibraries(false) //nolint:gochecknoglobals // constants

func makeLibraries(trusted bool) libraries {
	lib := libraries{base: baseLibrary().table("_G"), tables: map[string]*table{}}
	for name, sp := range map[string]special{"pcall": isPCall, "xpcall": isXPCall, "next": isNext} {
		lib.base.special(name, sp)
	}
	lib.base.setStr(constant("_VERSION"), value{o: &constant("Lua 5.4").object})
	co := coroutineLibrary().table("coroutine")
	co.special("resume", isResume)
	co.special("yield", isYield)
	lib.tables["coroutine"] = co
	lib.tables["debug"] = debugLibrary(trusted).table("debug")
	for _, l := range std.Libraries(std.Options{Trusted: trusted}) {
		lib.tables[l.Name] = standard(l)
	}
	return lib
}

func standard(l std.Library) *table {
	t := template()
	for key, f := range l.Funcs {
		t.setStr(constant(key), value{o: &newGoFunc(l.Name+"."+key, f).object})
	}
	for key, v := range l.Values(true) {
		switch v := v.(type) {
		case int64:
			t.setStr(constant(key), intValue(v))
		case float64:
			t.setStr(constant(key), floatValue(v))
		case string:
			t.setStr(constant(key), value{o: &constant(v).object})
		}
	}
	if l.PerVM != nil {
		for key := range l.PerVM() {
			full := l.Name + "." + key
			t.setStr(constant(key), value{o: &newGoFunc(full, func(s vm.State) int {
				m := s.(*thread).m //nolint:forcetypeassert // this engine's
				if m.own[full] == nil {
					m.makeOwn(l)
				}
				return m.own[full](s)
			}).object})
		}
	}
	return t
}

// makeOwn makes the functions of a library that keep something for one VM, when the first of them is called.
func (m *machine) makeOwn(l std.Library) {
	if m.own == nil {
		m.own = map[string]vm.Func{}
	}
	for key, f := range l.PerVM() {
		m.own[l.Name+"."+key] = f
	}
}

// copyOf is a table of the VM that shares a template's entries until it is written to.
func (m *machine) copyOf(t *table) *table {
	return &table{object: m.object(kindTable), frozen: true, library: true, arr: t.arr, nodes: t.nodes, free: t.free, live: t.live}
}

func (m *machine) openLibraries(trust bool) {
	lib := untrusted
	if trust {
		lib = trusted
	}
	g := m.copyOf(lib.base)
	g.library = false
	m.globals = g
	for name, t := range lib.tables {
		own := m.copyOf(t)
		g.setStr(constant(name), value{o: &own.object})
		if name == "string" {
			meta := m.newTable(0, 1)
			meta.setStr(eventNames[evIndex], value{o: &own.object})
			m.metas[kindString] = meta
		}
	}
	g.setStr(constant("_G"), value{o: &g.object})
	for _, l := range std.Libraries(std.Options{Trusted: trust}) {
		if l.Open != nil {
			m.main.Global(l.Name)
			m.ends = append(m.ends, l.Open(m.main))
			m.main.Pop(1)
		}
	}
}

func intText(n int64) string { return strconv.FormatInt(n, 10) }

func isNaN(v value) bool { return v.isFloat() && math.IsNaN(v.float()) }

// CalledAs is how the running function was called, see std.Caller.
func (th *thread) CalledAs() (name string, method bool) {
	kind, name := th.calledAs(len(th.frames) - 1)
	return name, kind == "method"
}
