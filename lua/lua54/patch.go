package lua54

import (
	"fmt"

	"github.com/skua-go/skua/lua/vm"
)

// How functions get other code while they live: see vm.Patcher. A function is a closure object that everybody who has it points to, so its code is replaced in
// that object. Frames point to it too, and read its code and its upvalues: those that are under way get a copy of it as it was.

var (
	_ vm.Patching = Engine{}
	_ vm.Patcher  = (*machine)(nil)
)

// Compile gives the code that Load would make a function of.
func (e Engine) Compile(chunk, text string) (*vm.Unit, error) {
	p, err := e.load(chunkName(chunk), text)
	if err != nil {
		return nil, err
	}
	return p.unit, nil
}

// Describe tells what a code is made of.
func (Engine) Describe(c vm.Code) vm.CodeInfo {
	p := c.(*proto) //nolint:forcetypeassert // this engine's; so below
	info := vm.CodeInfo{Line: int(p.line), End: int(p.endLine)}
	for _, u := range p.ups {
		info.Upvalues = append(info.Upvalues, u.name)
	}
	for _, inner := range p.protos {
		info.Inner = append(info.Inner, inner)
	}
	return info
}

// Graft lets the inner-th function that c makes have other code.
func (Engine) Graft(c vm.Code, inner int, with vm.Code) error {
	p, to := c.(*proto), with.(*proto) //nolint:forcetypeassert // see above
	from := p.protos[inner]
	if len(from.ups) != len(to.ups) {
		return fmt.Errorf("lua54: a function with %d upvalues can't stand for one with %d", len(to.ups), len(from.ups))
	}
	for i, u := range from.ups {
		if to.ups[i].name != u.name {
			return fmt.Errorf("lua54: upvalue %d is %q, expected %q", i+1, to.ups[i].name, u.name)
		}
	}
	if p.captures == nil {
		p.captures = make([][]upDesc, len(p.protos))
		for i, inner := range p.protos {
			p.captures[i] = inner.ups
		}
	}
	p.protos[inner] = to
	return nil
}

// Forget lets go of the code that is kept of a source.
func (e Engine) Forget(chunk, text string) {
	if e.cache == nil {
		return
	}
	e.cache.mu.Lock()
	defer e.cache.mu.Unlock()
	delete(e.cache.code, source{chunkName(chunk), text})
}

// own tells the functions of a chunk which source they are from.
func (p *proto) own(u *vm.Unit) {
	p.unit = u
	for _, inner := range p.protos {
		inner.own(u)
	}
}

// survey walks over what a VM reaches in search of functions.
type survey struct {
	m      *machine
	want   func(chunk string) bool
	wanted map[*vm.Unit]bool
	keep   bool
	todo   []*object
	found  vm.Found
	frames map[*closure][]*frame
	tables []savedTable
	cells  []savedCell
	swaps  []savedClosure
}

type savedTable struct {
	t   *table
	was table
}

type savedCell struct {
	u *upvalue
	v value
}

type savedClosure struct {
	cl *closure
	p  *proto
	up []*upvalue
}

// Survey finds the functions of the chunks that want names.
func (m *machine) Survey(want func(chunk string) bool, keep bool) (vm.Found, vm.Undo) {
	m.beginWalk()
	w := &survey{m: m, want: want, wanted: map[*vm.Unit]bool{}, keep: keep, frames: map[*closure][]*frame{}}
	m.survey = w
	w.add(value{o: &m.main.object})
	w.table(m.globals)
	w.table(m.loaded)
	for _, t := range m.metas {
		w.table(t)
	}
	for _, v := range m.refs {
		w.add(v)
	}
	for _, v := range m.doomed {
		w.add(v)
	}
	for _, p := range m.threads {
		if th := p.Value(); th != nil {
			w.add(value{o: &th.object})
		}
	}
	for len(w.todo) > 0 {
		o := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.visit(o)
	}
	return w.found, w
}

func (w *survey) table(t *table) {
	if t != nil {
		w.add(value{o: &t.object})
	}
}

func (w *survey) add(v value) {
	if v.o == nil || v.o.kind <= kindString || v.o.mark == w.m.epoch {
		return
	}
	if v.o.mark == shared {
		return
	}
	v.o.mark = w.m.epoch
	w.todo = append(w.todo, v.o)
}

func (w *survey) visit(o *object) {
	switch o.kind {
	case kindTable:
		w.visitTable(o.table())
	case kindClosure:
		w.visitClosure(o.closure())
	case kindGoFunc:
		if co := o.goFunc().co; co != nil {
			w.add(value{o: &co.object})
		}
	case kindUserdata:
		w.table(o.userdata().meta)
	case kindThread:
		w.visitThread(o.thread())
	}
}

func (w *survey) visitTable(t *table) {
	if w.keep {
		w.tables = append(w.tables, savedTable{t, *t})
	}
	w.table(t.meta)
	if t.frozen && t.library {
		return // of the library's own functions
	}
	for _, v := range t.arr {
		w.add(v)
	}
	for i := range t.nodes {
		if nd := &t.nodes[i]; nd.val.o != nil {
			w.add(nd.key)
			w.add(nd.val)
		}
	}
	if w.keep {
		t.frozen = true // its parts are those that are kept: whoever writes copies them
	}
}

func (w *survey) visitClosure(cl *closure) {
	if w.wants(cl.p.unit) {
		w.found.Closures = append(w.found.Closures, cl)
	}
	w.visitCells(cl)
}

func (w *survey) visitCells(cl *closure) {
	for _, u := range cl.up {
		w.add(*u.p)
		if w.keep {
			w.cells = append(w.cells, savedCell{u, *u.p})
		}
	}
}

func (w *survey) wants(u *vm.Unit) bool {
	yes, known := w.wanted[u]
	if !known {
		yes = u != nil && w.want(u.Chunk)
		w.wanted[u] = yes
	}
	return yes
}

func (w *survey) visitThread(th *thread) {
	top := th.top
	for i := range th.frames {
		f := &th.frames[i]
		switch {
		case f.fn != nil:
			if top = max(top, f.base+f.fn.p.regs); w.wants(f.fn.p.unit) {
				w.frames[f.fn] = append(w.frames[f.fn], f)
				w.found.Frames = append(w.found.Frames, vm.Frame{Thread: th, Code: f.fn.p, Unit: f.fn.p.unit})
			}
			w.visitCells(f.fn)
		case f.child != nil:
			w.add(value{o: &f.child.object})
		}
	}
	for _, v := range th.stack[:min(max(top, 0), len(th.stack))] {
		w.add(v)
	}
	w.add(th.failed)
}

// Restore puts back what Survey has remembered.
func (w *survey) Restore() {
	for i := len(w.swaps) - 1; i >= 0; i-- {
		s := w.swaps[i]
		s.cl.p, s.cl.up = s.p, s.up
	}
	for i := range w.tables {
		s := &w.tables[i]
		s.was.mark = s.t.mark
		*s.t = s.was
	}
	for _, s := range w.cells {
		*s.u.p = s.v
	}
	w.forget()
}

// Done lets tables be written to in place again.
func (w *survey) Done() {
	for i := range w.tables {
		if s := &w.tables[i]; !s.was.frozen {
			s.t.frozen = false
		}
	}
	w.forget()
}

func (w *survey) forget() {
	w.tables, w.cells, w.swaps, w.frames, w.found = nil, nil, nil, nil, vm.Found{}
	if w.m.survey == w {
		w.m.survey = nil
	}
}

// UnitOf is where the function's code is from.
func (*machine) UnitOf(c vm.Closure) *vm.Unit { return c.(*closure).p.unit } //nolint:forcetypeassert // this engine's; so below

// CodeOf is the function's code.
func (*machine) CodeOf(c vm.Closure) vm.Code { return c.(*closure).p } //nolint:forcetypeassert // see above

// CellOf is the function's i-th cell.
func (*machine) CellOf(c vm.Closure, i int) vm.Cell { return c.(*closure).up[i] } //nolint:forcetypeassert // see above

// Swap gives a function other code.
func (m *machine) Swap(c vm.Closure, code vm.Code, cells []vm.Cell) {
	cl := c.(*closure) //nolint:forcetypeassert // see above
	w := m.survey
	if frames := w.frames[cl]; frames != nil {
		old := *cl
		for _, f := range frames {
			f.fn = &old
		}
		delete(w.frames, cl)
	}
	w.swaps = append(w.swaps, savedClosure{cl, cl.p, cl.up})
	cl.p = code.(*proto) //nolint:forcetypeassert // see above
	if cells != nil {
		cl.up = upvaluesOf(cells)
	}
}

func upvaluesOf(cells []vm.Cell) []*upvalue {
	up := make([]*upvalue, len(cells))
	for i, c := range cells {
		if c != nil {
			up[i] = c.(*upvalue) //nolint:forcetypeassert // see above
			continue
		}
		up[i] = &upvalue{}
		up[i].p = &up[i].v
	}
	return up
}

// NewCell makes a cell that holds nil.
func (*machine) NewCell() vm.Cell {
	u := &upvalue{}
	u.p = &u.v
	return u
}

// NewClosure makes a function.
func (m *machine) NewClosure(code vm.Code, cells []vm.Cell) vm.Closure {
	m.allocated += int64(48 + 8*len(cells))
	return &closure{object: m.object(kindClosure), p: code.(*proto), up: upvaluesOf(cells)} //nolint:forcetypeassert // see above
}

// Environment is a cell with the globals.
func (m *machine) Environment() vm.Cell {
	u := &upvalue{v: value{o: &m.globals.object}}
	u.p = &u.v
	return u
}

// PushClosure pushes a function.
func (m *machine) PushClosure(c vm.Closure) {
	m.main.pushValue(value{o: &c.(*closure).object}) //nolint:forcetypeassert // see above
}

// ClosureAt is the function of Lua at an index.
func (m *machine) ClosureAt(i int) vm.Closure {
	if v := m.main.value(i); v.kind() == kindClosure {
		return v.o.closure()
	}
	return nil
}

// PushCell pushes what a cell holds.
func (m *machine) PushCell(c vm.Cell) { m.main.pushValue(*c.(*upvalue).p) } //nolint:forcetypeassert // see above

// SetCell pops a value into a cell.
func (m *machine) SetCell(c vm.Cell) { *c.(*upvalue).p = m.main.pop() } //nolint:forcetypeassert // see above
