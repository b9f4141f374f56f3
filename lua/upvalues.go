package lua

import (
	"maps"
	"slices"

	"github.com/skua-go/skua/lua/vm"
)

// What scripts of the library need to patch a service that runs (snax.hotfix) and to look into one (inject): the variables of functions. Sandboxed scripts have no
// library debug for that; here they reach those of their own VM only.

// function is the function of Lua at an index, and the names of its variables; nil for one of Go.
func (h *Host) function(s vm.State, i int) (vm.Closure, []string) {
	p, ok := h.vm.(vm.Patcher)
	engine, patching := h.rt.EngineOf(h.script).(vm.Patching)
	if !ok || !patching {
		s.Errorf("the engine %s does not tell the variables of functions", h.rt.EngineOf(h.script).Name())
	}
	if s.Type(i) != vm.Function {
		s.Errorf("a function is expected as argument %d, got %s", i, s.Type(i))
	}
	main := h.vm.Main()
	top := main.Top()
	defer main.SetTop(top)
	s.Copy(i)
	moved := s.Ref()
	main.Push(moved)
	s.Unref(moved)
	c := p.ClosureAt(main.Top())
	if c == nil {
		return nil, nil
	}
	return c, engine.Describe(p.CodeOf(c)).Upvalues
}

// variableAt is the function at an index and the place of one of its variables, which the argument behind it counts from 1; -1 if it has not so many.
func (h *Host) variableAt(s vm.State, i int) (c vm.Closure, at int, name string) {
	c, names := h.function(s, i)
	n, ok := s.Int(i + 1)
	if !ok {
		s.Errorf("the number of a variable is expected as argument %d, got %s", i+1, s.Type(i+1))
	}
	if n < 1 || int(n) > len(names) {
		return c, -1, ""
	}
	return c, int(n) - 1, names[n-1]
}

// innerUpvalue gives the name and the value of a function's n-th variable, nothing if it has not so many: upvalue(f, n).
func (h *Host) innerUpvalue(s vm.State) int {
	c, at, name := h.variableAt(s, 1)
	if at < 0 {
		return 0
	}
	p, main := h.vm.(vm.Patcher), h.vm.Main() //nolint:forcetypeassert // variableAt has seen it
	s.PushString(name)
	p.PushCell(p.CellOf(c, at))
	moved := main.Ref()
	s.Push(moved)
	s.Unref(moved)
	return 2
}

// innerSetUpvalue sets a variable: set_upvalue(f, n, value).
func (h *Host) innerSetUpvalue(s vm.State) int {
	c, at, _ := h.variableAt(s, 1)
	if at < 0 {
		s.Errorf("the function has no such variable")
	}
	s.SetTop(3)
	moved := s.Ref()
	h.vm.Main().Push(moved)
	s.Unref(moved)
	p := h.vm.(vm.Patcher) //nolint:forcetypeassert // variableAt has seen it
	p.SetCell(p.CellOf(c, at))
	return 0
}

// innerJoinUpvalue has a function share a variable of another one: join_upvalue(f, n, g, m).
func (h *Host) innerJoinUpvalue(s vm.State) int {
	c, at, _ := h.variableAt(s, 1)
	from, which, _ := h.variableAt(s, 3)
	if at < 0 || which < 0 {
		s.Errorf("a function has no such variable")
	}
	p := h.vm.(vm.Patcher) //nolint:forcetypeassert // variableAt has seen it
	p.Join(c, at, p.CellOf(from, which))
	return 0
}

// innerSameUpvalue tells whether two functions share a variable: same_upvalue(f, n, g, m).
func (h *Host) innerSameUpvalue(s vm.State) int {
	c, at, _ := h.variableAt(s, 1)
	other, which, _ := h.variableAt(s, 3)
	p := h.vm.(vm.Patcher) //nolint:forcetypeassert // variableAt has seen it
	s.PushBool(at >= 0 && which >= 0 && p.CellOf(c, at) == p.CellOf(other, which))
	return 1
}

// innerSameSource tells whether two functions stand in one chunk: same_source(f, g).
func (h *Host) innerSameSource(s vm.State) int {
	c, _ := h.function(s, 1)
	other, _ := h.function(s, 2)
	p := h.vm.(vm.Patcher) //nolint:forcetypeassert // function has seen it
	s.PushBool(c != nil && other != nil && p.UnitOf(c) != nil && p.UnitOf(c) == p.UnitOf(other))
	return 1
}

// innerFunctions gives what handles messages, lists of functions by the name of the protocol: those of the table of handlers, and what skynet.dispatch was given.
func (h *Host) innerFunctions(s vm.State) int {
	s.NewTable(0, 4)
	all := s.Top()
	list := func(name string, push func()) {
		s.PushString(name)
		s.NewTable(1, 0)
		push()
		s.RawSet(all)
	}
	for _, p := range append([]*protocol{&h.lua}, h.others()...) {
		if p.dispatch != 0 && p.id != TypeDebug {
			list(p.name, func() {
				s.Push(p.dispatch)
				s.RawSetInt(s.Top()-1, 1)
			})
		}
	}
	if h.module != 0 {
		list(TypeLua.String(), func() { pushFunctions(s, h.module) })
	}
	if h.client != 0 {
		list(TypeClient.String(), func() { pushFunctions(s, h.client) })
	}
	return 1
}

// others are the protocols besides lua, by their names.
func (h *Host) others() []*protocol {
	list := make([]*protocol, 0, len(h.protocols))
	for _, name := range slices.Sorted(maps.Keys(h.protocols)) {
		list = append(list, h.protocols[name])
	}
	return list
}

// pushFunctions puts the functions of a table into the list on top.
func pushFunctions(s vm.State, table int) {
	list := s.Top()
	n := int64(0)
	s.Push(table)
	s.PushNil()
	for s.Next(list + 1) {
		if s.Type(-1) == vm.Function {
			n++
			s.RawSetInt(list, n)
		} else {
			s.Pop(1)
		}
	}
	s.SetTop(list)
}
