package lua54

import (
	"slices"

	"github.com/skua-go/skua/lua/syntax"
)

const breakLabel = "break" // no name that a script can give

func (f *funcState) stats(b *syntax.Block) { f.statsBefore(b, false) }

// statsBefore is stats; what until asks for behind a block is in the scope of its locals.
func (f *funcState) statsBefore(b *syntax.Block, until bool) {
	for i, s := range b.Stats {
		if l, ok := s.(*syntax.LabelStat); ok {
			f.label(l, !until && onlyVoid(b.Stats[i+1:]))
			continue
		}
		f.stat(s)
		f.free = len(f.active)
	}
	f.line = b.End.Line
}

// onlyVoid tells whether nothing but labels follows: a label at the end of a block is outside the scope of the block's locals.
func onlyVoid(rest []syntax.Stat) bool {
	for _, s := range rest {
		if _, ok := s.(*syntax.LabelStat); !ok {
			return false
		}
	}
	return true
}

// scope compiles a block with a scope of its own.
func (f *funcState) scope(b *syntax.Block) {
	f.enterBlock()
	f.stats(b)
	f.leaveBlock()
}

func (f *funcState) stat(s syntax.Stat) { //nolint:gocyclo,cyclop // one case a statement
	switch s := s.(type) {
	case *syntax.LocalStat:
		f.line = s.Pos.Line
		f.local(s)
	case *syntax.AssignStat:
		f.line = s.Pos.Line
		f.assign(s)
	case *syntax.CallStat:
		f.line = s.Call.At().Line
		f.call(s.Call, 0)
	case *syntax.DoStat:
		f.scope(s.Body)
	case *syntax.WhileStat:
		f.line = s.Pos.Line
		f.while(s)
	case *syntax.RepeatStat:
		f.repeat(s)
	case *syntax.IfStat:
		f.ifStat(s)
	case *syntax.NumForStat:
		f.line = s.Pos.Line
		f.numFor(s)
	case *syntax.GenForStat:
		f.line = s.Pos.Line
		f.genFor(s)
	case *syntax.FuncStat:
		f.line = s.Pos.Line
		f.assignOne(s.Target, s.Func)
	case *syntax.LocalFuncStat:
		f.line = s.Pos.Line
		r := f.reserve(1, s.Name.Pos)
		f.declare(s.Name)
		f.exp(s.Func, r)
	case *syntax.ReturnStat:
		f.line = s.Pos.Line
		f.ret(s)
	case *syntax.BreakStat:
		f.line = s.Pos.Line
		f.gotoStat(breakLabel, s.Pos.Line)
	case *syntax.GotoStat:
		f.line = s.Pos.Line
		f.gotoStat(s.Label, s.Pos.Line)
	}
}

func (f *funcState) local(s *syntax.LocalStat) {
	first := f.free
	f.list(s.Exprs, len(s.Names), s.Pos)
	for i, name := range s.Names {
		f.declare(name)
		if name.Attr == syntax.Close {
			f.block.closes = true
			f.emit(opTBC, first+i, 0, 0)
		}
	}
}

// list puts expressions into registers from the first free on, and makes them n values.
func (f *funcState) list(exprs []syntax.Expr, n int, pos syntax.Pos) {
	for i, e := range exprs {
		if i == len(exprs)-1 && n > i+1 && isMulti(e) {
			f.multi(e, n-i)
			return
		}
		if i < n {
			f.next(e)
			continue
		}
		free := f.free // more than are wanted: for their effects only
		f.next(e)
		f.free = free
	}
	if missing := n - len(exprs); missing > 0 {
		r := f.reserve(missing, pos)
		f.emit(opLoadNil, r, missing-1, 0)
	}
}

func (f *funcState) assign(s *syntax.AssignStat) {
	if len(s.Targets) == 1 && len(s.Exprs) == 1 {
		f.assignOne(s.Targets[0], s.Exprs[0])
		return
	}
	targets := make([]target, len(s.Targets))
	env := slices.ContainsFunc(s.Targets, isEnv)
	for i, t := range s.Targets {
		targets[i] = f.target(t, true)
		if env && targets[i].name != nil && targets[i].at.kind == placeGlobal { // it goes where it would have gone before the statement
			obj := f.next(&syntax.NameExpr{Pos: s.Pos, Name: "_ENV"})
			targets[i] = target{obj: obj, keyKind: keyString, key: targets[i].key, line: targets[i].line}
		}
	}
	first := f.free
	f.list(s.Exprs, len(targets), s.Pos)
	for i := len(targets) - 1; i >= 0; i-- {
		f.line = s.Pos.Line
		f.storeTo(targets[i], first+i)
	}
}

func isEnv(e syntax.Expr) bool {
	name, ok := e.(*syntax.NameExpr)
	return ok && name.Name == "_ENV"
}

// target is what is assigned to: a variable, or the registers of an object and a key.
type target struct {
	name     *syntax.NameExpr
	at       place
	obj, key int
	keyKind  keyKind
	line     int32
}

type keyKind uint8

const (
	keyRegister keyKind = iota
	keyString           // key is a constant
	keyInt              // key is the integer itself
)

// target evaluates what an assignment needs to know of where it goes. With apart, into registers of their own, which no other assignment of the statement changes.
func (f *funcState) target(e syntax.Expr, apart bool) target {
	if name, ok := e.(*syntax.NameExpr); ok {
		at := f.find(name.Name)
		if at.attr != syntax.Regular {
			f.fail(name.Pos, "attempt to assign to const variable '%s'", name.Name)
		}
		if at.kind != placeGlobal {
			return target{name: name, at: at, line: name.Pos.Line}
		}
		return target{name: name, obj: f.env(), keyKind: keyString, key: f.string(name.Name), line: name.Pos.Line}
	}
	ix := e.(*syntax.IndexExpr) //nolint:forcetypeassert // the grammar has no other
	t := target{line: ix.Pos.Line}
	if apart {
		t.obj = f.next(ix.Obj)
	} else {
		t.obj = f.any(ix.Obj)
	}
	t.keyKind, t.key = f.key(ix.Key, apart)
	return t
}

// env is where _ENV is: a register, or -1-n for the upvalue n.
func (f *funcState) env() int {
	if at := f.find("_ENV"); at.kind == placeUpvalue {
		return -1 - at.index
	} else { //nolint:revive // at is needed
		return at.index
	}
}

// key evaluates a key.
func (f *funcState) key(e syntax.Expr, apart bool) (keyKind, int) {
	switch e := e.(type) {
	case *syntax.StringExpr:
		return keyString, f.string(e.Value)
	case *syntax.IntExpr:
		if e.Value == int64(int32(e.Value)) {
			return keyInt, int(e.Value)
		}
	}
	if apart {
		return keyRegister, f.next(e)
	}
	return keyRegister, f.any(e)
}

func (f *funcState) assignOne(to, e syntax.Expr) {
	t := f.target(to, false)
	if t.name != nil && t.at.kind == placeLocal {
		f.exp(e, t.at.index)
		return
	}
	b := f.constantOrRegister(e)
	f.line = t.line
	f.storeTo(t, b)
}

// storeTo stores RK(b).
func (f *funcState) storeTo(t target, b int) {
	switch {
	case t.name != nil && t.at.kind == placeLocal:
		if b != t.at.index {
			f.emit(opMove, t.at.index, b, 0)
		}
	case t.name != nil && t.at.kind == placeUpvalue:
		f.emit(opSetUpval, f.register(b), t.at.index, 0)
	case t.name != nil && t.obj < 0:
		f.emit(opSetTabUp, -1-t.obj, b, t.key)
	case t.keyKind == keyString:
		f.emit(opSetField, t.obj, b, t.key)
	case t.keyKind == keyInt:
		f.emit(opSetInt, t.obj, b, t.key)
	default:
		f.emit(opSetTable, t.obj, b, t.key)
	}
}

// register is RK(b) in a register.
func (f *funcState) register(b int) int {
	if b < constantB {
		return b
	}
	r := f.reserve(1, syntax.Pos{Line: f.line, Col: 1})
	f.emit(opLoadK, r, 0, b-constantB)
	return r
}

func (f *funcState) while(s *syntax.WhileStat) {
	top := len(f.p.code)
	out := f.jumpIf(s.Cond, false)
	f.free = len(f.active)
	f.loop()
	f.scope(s.Body)
	f.jumpTo(top, len(f.active))
	f.patchHere(out)
	f.endLoop()
}

// loop begins a block that break leaves, endLoop ends it.
func (f *funcState) loop() { f.enterBlock() }

func (f *funcState) endLoop() {
	b := f.block
	breaks := b.gotos[breakLabel]
	delete(b.gotos, breakLabel)
	f.leaveBlock()
	for _, g := range breaks {
		f.land(g, len(f.p.code), b.active)
	}
}

// land lets a goto lead to a place where so many locals are in scope.
func (f *funcState) land(g pending, pc, active int) {
	a := 0
	if g.active > active || f.p.code[g.pc].a() > 0 {
		a = active + 1
	}
	f.p.code[g.pc] = make3(opJmp, a, 0, pc-g.pc-1)
}

func (f *funcState) repeat(s *syntax.RepeatStat) {
	top := len(f.p.code)
	f.loop()
	b := f.enterBlock()
	f.statsBefore(s.Body, true)
	f.line = s.Cond.At().Line
	out := f.jumpIf(s.Cond, true)
	f.jumpTo(top, b.active)
	f.patchHere(out)
	f.leaveBlock()
	f.endLoop()
}

func (f *funcState) ifStat(s *syntax.IfStat) {
	var ends []int
	for i, cond := range s.Conds {
		f.line = cond.At().Line
		next := f.jumpIf(cond, false)
		f.free = len(f.active)
		f.scope(s.Blocks[i])
		if i < len(s.Conds)-1 || s.Else != nil {
			ends = append(ends, f.jump())
		}
		f.patchHere(next)
	}
	if s.Else != nil {
		f.scope(s.Else)
	}
	f.patchHere(ends)
}

func hidden(pos syntax.Pos) syntax.Ident { return syntax.Ident{Name: "(for state)", Pos: pos} }

func (f *funcState) numFor(s *syntax.NumForStat) {
	f.loop()
	base := f.next(s.Start)
	f.next(s.Limit)
	if s.Step != nil {
		f.next(s.Step)
	} else {
		f.emit(opLoadInt, f.reserve(1, s.Pos), 0, 1)
	}
	for range 3 {
		f.declare(hidden(s.Pos))
	}
	f.line = s.Pos.Line
	prep := f.emit(opForPrep, base, 0, 0)
	f.enterBlock()
	f.reserve(1, s.Var.Pos)
	f.declare(s.Var)
	f.stats(s.Body)
	f.leaveBlock()
	f.line = s.Pos.Line
	end := f.emit(opForLoop, base, 0, len(f.p.code)-prep)
	f.patch(prep, end+1)
	f.endLoop()
}

func (f *funcState) genFor(s *syntax.GenForStat) {
	f.loop()
	base := f.free
	f.list(s.Exprs, 4, s.Pos)
	for range 4 {
		f.declare(hidden(s.Pos))
	}
	f.block.closes = true
	f.reserve(3, s.Pos) // for the call
	f.free -= 3
	f.line = s.Pos.Line
	prep := f.emit(opTForPrep, base, 0, 0)
	f.enterBlock()
	f.reserve(len(s.Names), s.Pos)
	for _, name := range s.Names {
		f.declare(name)
	}
	f.stats(s.Body)
	f.leaveBlock()
	f.patch(prep, len(f.p.code))
	f.line = s.Pos.Line
	f.emit(opTForCall, base, len(s.Names), 0)
	f.emit(opTForLoop, base, 0, len(f.p.code)-prep)
	f.endLoop()
}

func (f *funcState) ret(s *syntax.ReturnStat) {
	if len(s.Exprs) == 1 {
		if isCall(s.Exprs[0]) && !f.closes() {
			r := f.call(s.Exprs[0], -1)
			pc := len(f.p.code) - 1
			i := f.p.code[pc]
			f.p.code[pc] = make3(opTailCall, i.a(), i.b(), 0)
			f.emit(opReturn, r, 0, 0)
			return
		}
		if !isMulti(s.Exprs[0]) {
			f.emitAt(s.Pos, opReturn1, f.any(s.Exprs[0]))
			return
		}
	}
	if len(s.Exprs) == 0 {
		f.emit(opReturn0, 0, 0, 0)
		return
	}
	first := f.free
	last := s.Exprs[len(s.Exprs)-1]
	for _, e := range s.Exprs[:len(s.Exprs)-1] {
		f.next(e)
	}
	n := len(s.Exprs) + 1
	if isMulti(last) {
		f.multi(last, -1)
		n = 0
	} else {
		f.next(last)
	}
	f.line = s.Pos.Line
	f.emit(opReturn, first, n, 0)
}

func (f *funcState) emitAt(pos syntax.Pos, op opcode, a int) {
	f.line = pos.Line
	f.emit(op, a, 0, 0)
}

// closes tells whether a variable that is to be closed is in scope: what is called then is not called in the place of its caller.
func (f *funcState) closes() bool {
	for b := f.block; b != nil; b = b.parent {
		if b.closes {
			return true
		}
	}
	return false
}

func (f *funcState) gotoStat(name string, line int32) {
	if i, ok := f.named[name]; ok {
		f.jumpTo(f.labels[i].pc, f.labels[i].active)
		return
	}
	f.wait(name, pending{f.jump(), len(f.active), line})
}

func (f *funcState) label(s *syntax.LabelStat, last bool) {
	if i, ok := f.named[s.Name]; ok {
		f.fail(s.Pos, "label '%s' already defined on line %d", s.Name, f.labels[i].line)
	}
	l := label{s.Name, len(f.p.code), len(f.active), s.Pos.Line}
	if last {
		l.active = f.block.active
	}
	if f.named == nil {
		f.named = map[string]int{}
	}
	f.named[s.Name] = len(f.labels)
	f.labels = append(f.labels, l)
	f.resolve(l)
}

// resolve lets the gotos of the present block that wait for a label lead there.
func (f *funcState) resolve(l label) {
	for _, g := range f.block.gotos[l.name] {
		if g.active < l.active {
			name := f.active[g.active].name
			f.fail(syntax.Pos{Line: g.line, Col: 1}, "<goto %s> at line %d jumps into the scope of local '%s'", l.name, g.line, name)
		}
		f.land(g, l.pc, l.active)
	}
	delete(f.block.gotos, l.name)
}
