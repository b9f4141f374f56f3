package gopher

import (
	"fmt"
	"maps"
	"slices"
	"time"
	"unsafe"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

// How functions get other code while they live: see vm.Patcher. A function's code and upvalues are replaced in its LFunction, which everybody who has the
// function points to. Frames point to it too: those that are under way get a copy of it as it was.

var (
	_ vm.Patching = (*Engine)(nil)
	_ vm.Patcher  = (*machine)(nil)
)

// named is where the name of a chunk is kept: the code of its functions has nothing of the library that could tell which source it is from, but the name, which
// all of them share. What compile makes has its name in one of these, if that is not empty and fits.
type named struct {
	unit *vm.Unit
	text [maxNamed]byte
}

const maxNamed = 120

// own tells the functions of a chunk which source they are from.
func own(p *lua.FunctionProto, source string) {
	name := p.SourceName
	if name == "" || len(name) > maxNamed {
		return
	}
	n := &named{unit: &vm.Unit{Chunk: name, Source: source, Main: p}}
	copy(n.text[:], name)
	rename(p, unsafe.String(&n.text[0], len(name))) //nolint:gosec // of what has just been copied there
}

func rename(p *lua.FunctionProto, name string) {
	p.SourceName = name
	for _, inner := range p.FunctionPrototypes {
		rename(inner, name)
	}
}

func unitOf(p *lua.FunctionProto) *vm.Unit {
	name := p.SourceName
	if name == "" || len(name) > maxNamed {
		return nil
	}
	n := unsafe.Add(unsafe.Pointer(unsafe.StringData(name)), -int(unsafe.Offsetof(named{}.text))) //nolint:gosec // compile has put it there: see named
	return (*named)(n).unit
}

// Compile gives the code that Load would make a function of.
func (e *Engine) Compile(chunk, source string) (*vm.Unit, error) {
	p, err := e.load(chunk, source)
	if err != nil {
		return nil, err
	}
	u := unitOf(p)
	if u == nil {
		return nil, fmt.Errorf("gopher: the name of a chunk has 1 to %d bytes, %q has %d", maxNamed, chunk, len(chunkName(chunk)))
	}
	return u, nil
}

// Describe tells what a code is made of.
func (*Engine) Describe(c vm.Code) vm.CodeInfo {
	p := c.(*lua.FunctionProto) //nolint:forcetypeassert // this engine's; so below
	info := vm.CodeInfo{Line: p.LineDefined, End: p.LastLineDefined, Upvalues: slices.Clone(p.DbgUpvalues)}
	for _, inner := range p.FunctionPrototypes {
		info.Inner = append(info.Inner, inner)
	}
	return info
}

// Graft lets the inner-th function that c makes have other code. Where upvalues come from stands in the code of the function that makes them.
func (*Engine) Graft(c vm.Code, inner int, with vm.Code) error {
	p, to := c.(*lua.FunctionProto), with.(*lua.FunctionProto) //nolint:forcetypeassert // see above
	from := p.FunctionPrototypes[inner]
	if !slices.Equal(from.DbgUpvalues, to.DbgUpvalues) {
		return fmt.Errorf("gopher: the upvalues are %q, expected %q", to.DbgUpvalues, from.DbgUpvalues)
	}
	p.FunctionPrototypes[inner] = to
	return nil
}

// Forget lets go of the code that is kept of a source.
func (e *Engine) Forget(chunk, source string) {
	key := codeKey{chunkName(chunk), source}
	e.mu.Lock()
	defer e.mu.Unlock()
	if at, ok := e.code[key]; ok {
		e.order.Remove(at)
		delete(e.code, key)
		e.size -= len(source)
	}
}

// survey walks over what a VM reaches in search of functions.
type survey struct {
	m      *machine
	want   func(chunk string) bool
	keep   bool
	seen   pointers
	todo   []lua.LValue
	found  vm.Found
	byCode map[*lua.FunctionProto]int // the index of the group
	units  map[*vm.Unit]bool          // whether they are wanted
	frames map[*lua.LFunction][]*frame
	tables []savedTable
	cells  []savedCell
	swaps  []savedFunction
	groups []vm.Group // that have got other code as a whole, with the code that they had
}

type savedTable struct {
	t   *lua.LTable
	was table
}

type savedCell struct {
	u *lua.Upvalue
	v lua.LValue
}

type savedFunction struct {
	fn    *lua.LFunction
	proto *lua.FunctionProto
	up    []*lua.Upvalue
}

// Ahead does nothing: the engine's tables don't tell who has been written to.
func (*machine) Ahead(any, func(chunk string) bool, time.Duration) (more bool) { return false }

// Survey finds the functions of the chunks that want names.
func (m *machine) Survey(_ any, want func(chunk string) bool, keep bool) (vm.Found, vm.Undo) {
	m.forget()
	w := &survey{
		m: m, want: want, keep: keep, seen: newPointers(m.found), frames: map[*lua.LFunction][]*frame{}, byCode: map[*lua.FunctionProto]int{}, units: map[*vm.Unit]bool{},
	}
	m.patch = w
	w.add(m.root.G.Global)
	w.add(m.root.GetMetatable(lua.LString("")))
	for _, v := range m.refs {
		w.add(v)
	}
	for t := range m.all {
		w.add(t.l)
	}
	for len(w.todo) > 0 {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.visit(v)
	}
	return w.found, w
}

// add puts a value on the list, once.
func (w *survey) add(v lua.LValue) {
	if p := identity(v); p != nil && w.seen.add(p) {
		w.todo = append(w.todo, v)
	}
}

func (w *survey) visit(v lua.LValue) {
	switch v := v.(type) {
	case *lua.LTable:
		w.visitTable(v)
	case *lua.LFunction:
		if !v.IsG {
			w.group(v)
		}
		w.visitFunction(v)
	case *lua.LUserData:
		w.add(v.Metatable)
	case *lua.LState:
		if t, ok := v.Context().(*thread); ok {
			w.visitThread(t)
		}
	}
}

// group puts a function to those of its code, if that is wanted.
func (w *survey) group(fn *lua.LFunction) {
	if !w.wants(fn.Proto) {
		return
	}
	at, ok := w.byCode[fn.Proto]
	if !ok {
		at = len(w.found.Groups)
		w.byCode[fn.Proto] = at
		w.found.Groups = append(w.found.Groups, vm.Group{Code: fn.Proto, Unit: unitOf(fn.Proto)})
	}
	g := &w.found.Groups[at]
	g.Closures = append(g.Closures, fn)
}

func (w *survey) wants(p *lua.FunctionProto) bool {
	u := unitOf(p)
	if u == nil {
		return false
	}
	yes, known := w.units[u]
	if !known {
		yes = w.want(u.Chunk)
		w.units[u] = yes
	}
	return yes
}

func (w *survey) visitFunction(fn *lua.LFunction) {
	if fn.Env != nil {
		w.add(fn.Env)
	}
	for _, u := range fn.Upvalues {
		if u == nil {
			continue
		}
		v := u.Value()
		w.add(v)
		if w.keep {
			w.cells = append(w.cells, savedCell{u, v})
		}
	}
}

func (w *survey) visitThread(t *thread) {
	for _, v := range t.live() {
		w.add(v)
	}
	for f := t.frame(); f != nil; f = f.Parent {
		w.visitFunction(f.Fn)
		if !f.Fn.IsG && w.wants(f.Fn.Proto) {
			w.frames[f.Fn] = append(w.frames[f.Fn], f)
			w.found.Frames = append(w.found.Frames, vm.Frame{Thread: t, Code: f.Fn.Proto, Unit: unitOf(f.Fn.Proto)})
		}
	}
	for _, v := range t.box {
		w.add(v)
	}
	if t.inner != nil {
		w.add(t.inner.l)
	}
}

func (w *survey) visitTable(t *lua.LTable) {
	in := insides(t)
	if w.keep {
		was := *in
		was.array, was.keys = slices.Clone(in.array), slices.Clone(in.keys)
		was.dict, was.strdict, was.k2i = maps.Clone(in.dict), maps.Clone(in.strdict), maps.Clone(in.k2i)
		w.tables = append(w.tables, savedTable{t, was})
	}
	w.add(t.Metatable)
	for _, v := range in.array {
		w.add(v)
	}
	for k, v := range in.dict {
		w.add(k)
		w.add(v)
	}
	for _, v := range in.strdict {
		w.add(v)
	}
}

// Restore puts back what Survey has remembered.
func (w *survey) Restore() {
	for i := len(w.swaps) - 1; i >= 0; i-- {
		s := w.swaps[i]
		s.fn.Proto, s.fn.Upvalues = s.proto, s.up
	}
	for _, g := range w.groups {
		for _, c := range g.Closures {
			c.(*lua.LFunction).Proto = g.Code.(*lua.FunctionProto) //nolint:forcetypeassert // this engine's
		}
	}
	for i := range w.tables {
		*insides(w.tables[i].t) = w.tables[i].was
	}
	for _, s := range w.cells {
		s.u.SetValue(s.v)
	}
	w.Done()
}

// Done forgets it.
func (w *survey) Done() {
	if w.m.patch == w {
		w.m.patch = nil
	}
	*w = survey{m: w.m}
}

// Runs tells whether a thread that waits is in a function of such a source, or one that it has resumed.
func (*machine) Runs(s vm.State, of func(u *vm.Unit) bool) bool {
	for t := s.(*thread); t != nil; t = t.inner { //nolint:forcetypeassert // this engine's
		for f := t.frame(); f != nil; f = f.Parent {
			if f.Fn.IsG {
				continue
			}
			if u := unitOf(f.Fn.Proto); u != nil && of(u) {
				return true
			}
		}
	}
	return false
}

// Resumed is the coroutine that a thread waits with.
func (*machine) Resumed(s vm.State) vm.State {
	if t := s.(*thread); t.inner != nil { //nolint:forcetypeassert // this engine's
		return t.inner
	}
	return nil
}

// UnitOf is where the function's code is from.
func (*machine) UnitOf(c vm.Closure) *vm.Unit { return unitOf(c.(*lua.LFunction).Proto) } //nolint:forcetypeassert // this engine's; so below

// CodeOf is the function's code.
func (*machine) CodeOf(c vm.Closure) vm.Code { return c.(*lua.LFunction).Proto } //nolint:forcetypeassert // see above

// CellOf is the function's i-th cell.
func (*machine) CellOf(c vm.Closure, i int) vm.Cell { return c.(*lua.LFunction).Upvalues[i] } //nolint:forcetypeassert // see above

// Swap gives a function other code.
func (m *machine) Swap(c vm.Closure, code vm.Code, cells []vm.Cell) {
	fn := c.(*lua.LFunction) //nolint:forcetypeassert // see above
	w := m.patch
	w.detach(fn)
	w.swaps = append(w.swaps, savedFunction{fn, fn.Proto, fn.Upvalues})
	fn.Proto = code.(*lua.FunctionProto) //nolint:forcetypeassert // see above
	if cells != nil {
		fn.Upvalues = upvaluesOf(cells)
	}
}

// SwapAll gives the functions of a group other code.
func (m *machine) SwapAll(g vm.Group, code vm.Code) {
	w, p := m.patch, code.(*lua.FunctionProto) //nolint:forcetypeassert // see above
	for fn := range w.frames {
		if fn.Proto == g.Code {
			w.detach(fn)
		}
	}
	w.groups = append(w.groups, g)
	for _, c := range g.Closures {
		c.(*lua.LFunction).Proto = p //nolint:forcetypeassert // see above
	}
}

// detach has calls of a function that are under way go on with it as it is now.
func (w *survey) detach(fn *lua.LFunction) {
	frames := w.frames[fn]
	if frames == nil {
		return
	}
	old := *fn
	for _, f := range frames {
		f.Fn = &old
	}
	delete(w.frames, fn)
}

func upvaluesOf(cells []vm.Cell) []*lua.Upvalue {
	up := make([]*lua.Upvalue, len(cells))
	for i, c := range cells {
		if c == nil {
			c = newUpvalue()
		}
		up[i] = c.(*lua.Upvalue) //nolint:forcetypeassert // see above
	}
	return up
}

func newUpvalue() *lua.Upvalue {
	u := &lua.Upvalue{}
	u.SetValue(lua.LNil)
	u.Close()
	return u
}

// Join gives a function another cell.
func (*machine) Join(c vm.Closure, i int, cell vm.Cell) {
	c.(*lua.LFunction).Upvalues[i] = cell.(*lua.Upvalue) //nolint:forcetypeassert // see above
}

// NewCell makes a cell that holds nil.
func (*machine) NewCell() vm.Cell { return newUpvalue() }

// NewClosure makes a function.
func (m *machine) NewClosure(code vm.Code, cells []vm.Cell) vm.Closure {
	m.took(closureSize + upvalueSize*len(cells))
	fn := m.root.NewFunctionFromProto(code.(*lua.FunctionProto)) //nolint:forcetypeassert // see above
	fn.Upvalues = upvaluesOf(cells)
	return fn
}

// Environment is nil: functions have their globals beside their cells.
func (*machine) Environment() vm.Cell { return nil }

// PushClosure pushes a function.
func (m *machine) PushClosure(c vm.Closure) { m.main.push(c.(*lua.LFunction)) } //nolint:forcetypeassert // see above

// ClosureAt is the function of Lua at an index.
func (m *machine) ClosureAt(i int) vm.Closure {
	if fn, ok := m.main.at(i).(*lua.LFunction); ok && !fn.IsG {
		return fn
	}
	return nil
}

// PushCell pushes what a cell holds.
func (m *machine) PushCell(c vm.Cell) { m.main.push(c.(*lua.Upvalue).Value()) } //nolint:forcetypeassert // see above

// SetCell pops a value into a cell.
func (m *machine) SetCell(c vm.Cell) { c.(*lua.Upvalue).SetValue(m.main.pop()) } //nolint:forcetypeassert // see above
