package lua54

import (
	"fmt"
	"math"

	"github.com/skua-go/skua/lua/syntax"
	"github.com/skua-go/skua/lua/vm"
)

// The compiler makes the code of a function in one walk over its tree. Locals live in registers from 0 on, in the order of their declaration; what an expression
// needs meanwhile is above them. A jump that leaves the scope of locals names the lowest of them, since closures may share it: see opJmp.

const (
	maxLocals    = 200
	maxRegisters = 249
	maxUpvalues  = 255
)

// compile makes the code of a chunk.
func compile(chunk, source string) (*proto, error) {
	tree, err := syntax.Parse(chunk, source)
	if err != nil {
		return nil, err
	}
	p, err := compileTree(chunk, tree)
	if err != nil {
		return nil, err
	}
	p.own(&vm.Unit{Chunk: chunk, Source: source, Main: p})
	return p, nil
}

func compileTree(chunk string, tree *syntax.FuncExpr) (p *proto, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*syntax.SyntaxError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	f := newFuncState(nil, chunk, tree)
	f.p.ups = []upDesc{{name: "_ENV"}}
	f.function(tree)
	f.p.line = 0
	return f.p, nil
}

// funcState is a function in the making.
type funcState struct {
	parent  *funcState
	p       *proto
	block   *blockState
	active  []variable
	free    int // the first register that is not in use
	strings map[string]int
	numbers map[value]int
	line    int32
	labels  []label
	named   map[string]int // indices of labels
}

// variable is a local that is in scope. Its register is its index in active.
type variable struct {
	name string
	attr syntax.Attrib
	info int // its index in proto.locals
}

type blockState struct {
	parent   *blockState
	active   int // variables in scope when it began
	labels   int // labels of the function when it began
	captured bool
	closes   bool                 // has a variable that is to be closed
	gotos    map[string][]pending // by the names of their labels
}

type label struct {
	name   string
	pc     int
	active int
	line   int32
}

// pending is a goto whose label has not come yet.
type pending struct {
	pc     int
	active int
	line   int32
}

func newFuncState(parent *funcState, chunk string, tree *syntax.FuncExpr) *funcState {
	return &funcState{
		parent: parent, strings: map[string]int{}, numbers: map[value]int{},
		p: &proto{chunk: chunk, line: tree.Pos.Line, endLine: tree.End.Line, params: len(tree.Params), vararg: tree.Vararg, regs: 2},
	}
}

func (f *funcState) fail(pos syntax.Pos, format string, args ...any) {
	panic(&syntax.SyntaxError{Chunk: f.p.chunk, Pos: pos, Message: fmt.Sprintf(format, args...)})
}

func (f *funcState) function(tree *syntax.FuncExpr) {
	f.line = tree.Pos.Line
	f.enterBlock()
	f.reserve(len(tree.Params), tree.Pos)
	for _, name := range tree.Params {
		f.declare(name)
	}
	f.stats(tree.Body)
	f.line = tree.End.Line
	f.leaveBlock()
	f.emit(opReturn0, 0, 0, 0)
	f.p.code = append([]instr(nil), f.p.code...)
	f.p.lines = append([]int32(nil), f.p.lines...)
}

// emit adds an instruction of the present line and returns where it is.
func (f *funcState) emit(op opcode, a, b, c int) int {
	f.p.code = append(f.p.code, make3(op, a, b, c))
	f.p.lines = append(f.p.lines, f.line)
	return len(f.p.code) - 1
}

// jump adds a jump whose target is not known yet.
func (f *funcState) jump() int { return f.emit(opJmp, 0, 0, 0) }

// jumpTo adds a jump to a place, that leaves the scope of the locals from active on.
func (f *funcState) jumpTo(target, active int) {
	pc := f.emit(opJmp, f.closing(active), 0, 0)
	f.patch(pc, target)
}

// closing is the A of a jump that leaves the scope of the locals from active on.
func (f *funcState) closing(active int) int {
	if len(f.active) > active {
		return active + 1
	}
	return 0
}

// patch lets the jump at pc lead to a place.
func (f *funcState) patch(pc, target int) {
	i := f.p.code[pc]
	f.p.code[pc] = make3(i.op(), i.a(), i.b(), target-pc-1)
}

func (f *funcState) patchHere(list []int) {
	for _, pc := range list {
		f.patch(pc, len(f.p.code))
	}
}

// reserve takes n registers and returns the first.
func (f *funcState) reserve(n int, pos syntax.Pos) int {
	first := f.free
	f.free += n
	if f.free > maxRegisters {
		f.fail(pos, "function or expression needs too many registers")
	}
	f.p.regs = max(f.p.regs, f.free+1)
	return first
}

// declare brings a local into scope; its register has been reserved.
func (f *funcState) declare(name syntax.Ident) {
	if len(f.active) >= maxLocals {
		where := "main function"
		if f.parent != nil {
			where = fmt.Sprintf("function at line %d", f.p.line)
		}
		f.fail(name.Pos, "too many local variables (limit is %d) in %s near '%s'", maxLocals, where, name.Name)
	}
	f.p.locals = append(f.p.locals, localVar{name: name.Name, reg: len(f.active), start: len(f.p.code), end: -1})
	f.active = append(f.active, variable{name.Name, name.Attr, len(f.p.locals) - 1})
}

func (f *funcState) enterBlock() *blockState {
	f.block = &blockState{parent: f.block, active: len(f.active), labels: len(f.labels)}
	return f.block
}

// leaveBlock ends a scope. Falling out of it closes what closures share of it.
func (f *funcState) leaveBlock() {
	b := f.block
	if (b.captured || b.closes) && b.parent != nil && len(f.active) > b.active {
		f.emit(opClose, b.active, 0, 0)
	}
	f.drop(b)
	for _, l := range f.labels[b.labels:] {
		delete(f.named, l.name)
	}
	f.labels = f.labels[:b.labels]
	f.block = b.parent
	if f.block == nil {
		f.unresolved(b)
	}
	for name, list := range b.gotos {
		for _, g := range list {
			if g.active > b.active { // it has left the scope of locals: land sees it by the jump's A
				g.active = b.active
				f.p.code[g.pc] = make3(opJmp, 1, 0, 0)
			}
			f.wait(name, g)
		}
	}
	f.free = len(f.active)
}

// wait notes a goto of the present block whose label is to come.
func (f *funcState) wait(name string, g pending) {
	if f.block.gotos == nil {
		f.block.gotos = map[string][]pending{}
	}
	f.block.gotos[name] = append(f.block.gotos[name], g)
}

// unresolved fails for the first goto of a function that has no label.
func (f *funcState) unresolved(b *blockState) {
	name, first := "", pending{pc: -1}
	for n, list := range b.gotos {
		for _, g := range list {
			if first.pc < 0 || g.pc < first.pc {
				name, first = n, g
			}
		}
	}
	pos := syntax.Pos{Line: first.line, Col: 1}
	switch {
	case first.pc < 0:
	case name == breakLabel:
		f.fail(pos, "break outside loop at line %d", first.line)
	default:
		f.fail(pos, "no visible label '%s' for <goto> at line %d", name, first.line)
	}
}

func (f *funcState) drop(b *blockState) {
	for _, v := range f.active[b.active:] {
		f.p.locals[v.info].end = len(f.p.code)
	}
	f.active = f.active[:b.active]
}

// place tells where a name is.
type place struct {
	kind  placeKind
	index int
	attr  syntax.Attrib
}

type placeKind uint8

const (
	placeGlobal placeKind = iota
	placeLocal
	placeUpvalue
)

func (f *funcState) find(name string) place {
	for i := len(f.active) - 1; i >= 0; i-- {
		if f.active[i].name == name {
			return place{placeLocal, i, f.active[i].attr}
		}
	}
	for i, u := range f.p.ups {
		if u.name == name {
			return place{placeUpvalue, i, f.attrOfUpvalue(i)}
		}
	}
	if f.parent == nil {
		return place{}
	}
	at := f.parent.find(name)
	if at.kind == placeGlobal {
		return at
	}
	if at.kind == placeLocal {
		f.parent.capture(at.index)
	}
	if len(f.p.ups) >= maxUpvalues {
		f.fail(syntax.Pos{Line: f.line, Col: 1}, "too many upvalues (limit is %d) in function at line %d", maxUpvalues, f.p.line)
	}
	f.p.ups = append(f.p.ups, upDesc{name: name, inStack: at.kind == placeLocal, index: at.index})
	return place{placeUpvalue, len(f.p.ups) - 1, at.attr}
}

func (f *funcState) attrOfUpvalue(i int) syntax.Attrib {
	if f.parent == nil {
		return syntax.Regular
	}
	u := f.p.ups[i]
	if u.inStack {
		return f.parent.active[u.index].attr
	}
	return f.parent.attrOfUpvalue(u.index)
}

// capture marks the block of a local: closures share it.
func (f *funcState) capture(i int) {
	b := f.block
	for b.active > i {
		b = b.parent
	}
	b.captured = true
}

// string is the index of a constant.
func (f *funcState) string(s string) int {
	if i, ok := f.strings[s]; ok {
		return i
	}
	i := f.constant(value{o: &constant(s).object})
	f.strings[s] = i
	return i
}

// number is the index of a constant that is a number, nil, true or false.
func (f *funcState) number(v value) int {
	if i, ok := f.numbers[v]; ok {
		return i
	}
	i := f.constant(v)
	f.numbers[v] = i
	return i
}

func (f *funcState) constant(v value) int {
	if len(f.p.k) >= math.MaxInt32 {
		f.fail(syntax.Pos{Line: f.line, Col: 1}, "function has too many constants")
	}
	f.p.k = append(f.p.k, v)
	return len(f.p.k) - 1
}
