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
	w.detach(cl)
	w.swaps = append(w.swaps, savedClosure{cl, cl.p, cl.up})
	cl.p = code.(*proto) //nolint:forcetypeassert // see above
	if cells != nil {
		cl.up = upvaluesOf(cells)
	}
}

// SwapAll gives the functions of a group other code.
func (m *machine) SwapAll(g vm.Group, code vm.Code) {
	w, p := m.survey, code.(*proto) //nolint:forcetypeassert // see above
	for cl := range w.frames {
		if cl.p == g.Code {
			w.detach(cl)
		}
	}
	w.groups = append(w.groups, g)
	for _, c := range g.Closures {
		c.(*closure).p = p //nolint:forcetypeassert // see above
	}
}

// detach has calls of a function that are under way go on with it as it is now.
func (w *survey) detach(cl *closure) {
	frames := w.frames[cl]
	if frames == nil {
		return
	}
	old := *cl
	for _, f := range frames {
		f.fn = &old
	}
	delete(w.frames, cl)
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

// Join gives a function another cell.
func (m *machine) Join(c vm.Closure, i int, cell vm.Cell) {
	c.(*closure).up[i] = cell.(*upvalue) //nolint:forcetypeassert // see above
	m.ahead = nil                        // it would not see that
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
