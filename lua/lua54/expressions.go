package lua54

import (
	"math"

	"github.com/skua-go/skua/lua/syntax"
)

func isCall(e syntax.Expr) bool {
	switch e.(type) {
	case *syntax.CallExpr, *syntax.MethodExpr:
		return true
	}
	return false
}

// isMulti tells whether an expression may have any number of values.
func isMulti(e syntax.Expr) bool {
	if _, ok := e.(*syntax.VarargExpr); ok {
		return true
	}
	return isCall(e)
}

// next puts an expression into the first free register, which it takes.
func (f *funcState) next(e syntax.Expr) int {
	if isCall(e) {
		r := f.call(e, 1)
		f.free = r
		return f.reserve(1, e.At())
	}
	r := f.reserve(1, e.At())
	f.exp(e, r)
	return r
}

// any puts an expression into a register; a local is in one already.
func (f *funcState) any(e syntax.Expr) int {
	switch x := e.(type) {
	case *syntax.NameExpr:
		if at := f.find(x.Name); at.kind == placeLocal {
			return at.index
		}
	case *syntax.ParenExpr:
		if !isMulti(x.X) {
			return f.any(x.X)
		}
	}
	return f.next(e)
}

// constantOrRegister is the operand RK(B) of an expression.
func (f *funcState) constantOrRegister(e syntax.Expr) int {
	if v, ok := f.fold(e); ok {
		if i := f.constantOf(v); i < maxB-constantB {
			return i + constantB
		}
	}
	return f.any(e)
}

func (f *funcState) constantOf(v value) int {
	if v.isString() {
		return f.string(v.text())
	}
	return f.number(v)
}

// fold is the value of an expression that is a constant. Arithmetic is folded unless it fails, or gives NaN or -0, which are not equal to themselves or to 0.
func (f *funcState) fold(e syntax.Expr) (value, bool) {
	switch e := e.(type) {
	case *syntax.NilExpr:
		return value{}, true
	case *syntax.TrueExpr:
		return boolValue(true), true
	case *syntax.FalseExpr:
		return boolValue(false), true
	case *syntax.StringExpr:
		return value{o: &constant(e.Value).object}, true
	}
	return f.foldNumber(e)
}

func (f *funcState) foldNumber(e syntax.Expr) (value, bool) {
	switch e := e.(type) {
	case *syntax.IntExpr:
		return intValue(e.Value), true
	case *syntax.FloatExpr:
		return floatValue(e.Value), true
	case *syntax.ParenExpr:
		return f.foldNumber(e.X)
	case *syntax.UnaryExpr:
		x, ok := f.foldNumber(e.X)
		if !ok {
			return value{}, false
		}
		switch {
		case e.Op == syntax.Neg && x.isInt():
			return intValue(-x.int()), true
		case e.Op == syntax.Neg && x.float() != 0:
			return floatValue(-x.float()), true
		case e.Op == syntax.BNot && x.isInt():
			return intValue(^x.int()), true
		}
	case *syntax.BinaryExpr:
		if e.Op <= syntax.Shr {
			return f.foldChain(e)
		}
	}
	return value{}, false
}

// operations are those of arithmetic that e is made of from the left, the outermost first, and what stands at their left end. A chain of them may be long: it
// is walked along without recursion.
func operations(e *syntax.BinaryExpr) (chain []*syntax.BinaryExpr, first syntax.Expr) {
	for {
		chain = append(chain, e)
		left, ok := e.Left.(*syntax.BinaryExpr)
		if !ok || left.Op > syntax.Shr {
			return chain, e.Left
		}
		e = left
	}
}

func (f *funcState) foldChain(e *syntax.BinaryExpr) (value, bool) {
	chain, first := operations(e)
	v, ok := f.foldNumber(first)
	for i := len(chain) - 1; i >= 0 && ok; i-- {
		v, ok = f.foldOne(chain[i], v)
	}
	return v, ok
}

// foldOne is the value of an operation whose left side is x.
func (f *funcState) foldOne(e *syntax.BinaryExpr, x value) (value, bool) {
	y, ok := f.foldNumber(e.Right)
	if !ok {
		return value{}, false
	}
	v, ok := arith(binaryOps[e.Op], x, y)
	if !ok || v.isFloat() && (math.IsNaN(v.float()) || v.float() == 0) {
		return value{}, false
	}
	return v, true
}

//nolint:gochecknoglobals // a constant
var binaryOps = [...]opcode{
	syntax.Add: opAdd, syntax.Sub: opSub, syntax.Mul: opMul, syntax.Mod: opMod, syntax.Pow: opPow, syntax.Div: opDiv, syntax.IDiv: opIDiv,
	syntax.BAnd: opBAnd, syntax.BOr: opBOr, syntax.BXor: opBXor, syntax.Shl: opShl, syntax.Shr: opShr,
}

// load puts a constant into a register.
func (f *funcState) load(v value, dst int) {
	switch {
	case v.o == nil:
		f.emit(opLoadNil, dst, 0, 0)
	case v.o == &trueObj:
		f.emit(opLoadTrue, dst, 0, 0)
	case v.o == &falseObj:
		f.emit(opLoadFalse, dst, 0, 0)
	case v.isInt() && v.int() == int64(int32(v.int())):
		f.emit(opLoadInt, dst, 0, int(v.int()))
	default:
		f.emit(opLoadK, dst, 0, f.constantOf(v))
	}
}

// exp puts an expression into a register, which may be that of a local that the expression reads: it is written at the end only.
func (f *funcState) exp(e syntax.Expr, dst int) {
	f.line = e.At().Line
	if v, ok := f.fold(e); ok {
		f.load(v, dst)
		return
	}
	free := f.free
	switch e := e.(type) {
	case *syntax.VarargExpr:
		f.emit(opVararg, dst, 2, 0)
	case *syntax.FuncExpr:
		f.closure(e, dst)
	case *syntax.NameExpr:
		f.name(e, dst)
	case *syntax.ParenExpr:
		f.exp(e.X, dst)
	case *syntax.IndexExpr:
		f.index(e, dst)
	case *syntax.CallExpr, *syntax.MethodExpr:
		if r := f.call(e, 1); r != dst {
			f.emit(opMove, dst, r, 0)
		}
	case *syntax.BinaryExpr:
		f.binary(e, dst)
	case *syntax.UnaryExpr:
		f.unary(e, dst)
	case *syntax.TableExpr:
		f.fresh(dst, e.Pos, func(r int) { f.table(e, r) })
	}
	f.free = free
}

// fresh lets what writes its register early use another one if that is a local's.
func (f *funcState) fresh(dst int, pos syntax.Pos, write func(r int)) {
	if dst >= len(f.active) {
		write(dst)
		return
	}
	r := f.reserve(1, pos)
	write(r)
	f.emit(opMove, dst, r, 0)
}

func (f *funcState) name(e *syntax.NameExpr, dst int) {
	switch at := f.find(e.Name); at.kind {
	case placeLocal:
		if at.index != dst {
			f.emit(opMove, dst, at.index, 0)
		}
	case placeUpvalue:
		f.emit(opGetUpval, dst, at.index, 0)
	default:
		if env := f.env(); env < 0 {
			f.emit(opGetTabUp, dst, -1-env, f.string(e.Name))
		} else {
			f.emit(opGetField, dst, env, f.string(e.Name))
		}
	}
}

func (f *funcState) index(e *syntax.IndexExpr, dst int) {
	if name, ok := e.Obj.(*syntax.NameExpr); ok {
		if at := f.find(name.Name); at.kind == placeUpvalue {
			if s, ok := e.Key.(*syntax.StringExpr); ok {
				f.line = e.Pos.Line
				f.emit(opGetTabUp, dst, at.index, f.string(s.Value))
				return
			}
		}
	}
	obj := f.into(e.Obj, dst)
	kind, key := f.key(e.Key, false)
	f.line = e.Pos.Line
	switch kind {
	case keyString:
		f.emit(opGetField, dst, obj, key)
	case keyInt:
		f.emit(opGetInt, dst, obj, key)
	default:
		f.emit(opGetTable, dst, obj, key)
	}
}

func (f *funcState) closure(e *syntax.FuncExpr, dst int) {
	g := newFuncState(f, f.p.chunk, e)
	g.function(e)
	f.p.protos = append(f.p.protos, g.p)
	f.line = e.End.Line
	f.emit(opClosure, dst, 0, len(f.p.protos)-1)
}

// multi puts the values of an expression into registers from the first free on: n of them, which it takes, or all if n is below 0.
func (f *funcState) multi(e syntax.Expr, n int) {
	if isCall(e) {
		r := f.call(e, n)
		f.free = r
		if n > 0 {
			f.reserve(n, e.At())
		}
		return
	}
	f.line = e.At().Line
	r := f.free
	if n > 0 {
		f.reserve(n, e.At())
	}
	f.emit(opVararg, r, n+1, 0)
}

// call calls with n results, all if n is below 0; they are in the registers from the one that it returns on, which are free.
func (f *funcState) call(e syntax.Expr, n int) int {
	base := f.free
	var args []syntax.Expr
	first := 1
	switch e := e.(type) {
	case *syntax.CallExpr:
		f.next(e.Fn)
		args = e.Args
	case *syntax.MethodExpr:
		obj := f.any(e.Obj)
		f.free = base
		f.reserve(2, e.Pos)
		f.line = e.NamePos.Line
		f.emit(opSelf, base, obj, f.string(e.Name))
		args, first = e.Args, 2
	}
	b := first + len(args)
	for i, arg := range args {
		if i == len(args)-1 && isMulti(arg) {
			f.multi(arg, -1)
			b = 0
			break
		}
		f.next(arg)
	}
	f.line = e.At().Line
	f.emit(opCall, base, b, n+1)
	f.free = base
	if n > 0 { // the registers of the results exist
		f.reserve(n, e.At())
		f.free = base
	}
	return base
}

func (f *funcState) unary(e *syntax.UnaryExpr, dst int) {
	if e.Op == syntax.Not {
		if isTest(e.X) {
			f.truth(e, dst)
			return
		}
		r := f.any(e.X)
		f.emit(opNot, dst, r, 0)
		return
	}
	r := f.any(e.X)
	f.line = e.Pos.Line
	switch e.Op {
	case syntax.Neg:
		f.emit(opUnm, dst, r, 0)
	case syntax.BNot:
		f.emit(opBNot, dst, r, 0)
	default:
		f.emit(opLen, dst, r, 0)
	}
}

func (f *funcState) binary(e *syntax.BinaryExpr, dst int) {
	switch e.Op {
	case syntax.And:
		f.fresh(dst, e.Pos, func(r int) { f.and(e, r) })
	case syntax.Or:
		f.fresh(dst, e.Pos, func(r int) { f.or(e, r) })
	case syntax.Concat:
		f.concat(e, dst)
	case syntax.Eq, syntax.Ne, syntax.Lt, syntax.Le, syntax.Gt, syntax.Ge:
		f.truth(e, dst)
	default:
		f.arithmetic(e, dst)
	}
}

func (f *funcState) arithmetic(e *syntax.BinaryExpr, dst int) {
	chain, first := operations(e)
	i := len(chain) - 1
	v, folded := f.foldNumber(first)
	for ; folded && i >= 0; i-- {
		next, ok := f.foldOne(chain[i], v)
		if !ok {
			break
		}
		v = next
	}
	tmp := dst // of what comes before the end
	if dst < len(f.active) && i > 0 {
		tmp = f.reserve(1, e.Pos)
	}
	var left int
	if folded {
		left = f.reserve(1, e.Pos)
		f.load(v, left)
	} else {
		left = f.into(first, tmp)
	}
	for free := f.free; i >= 0; i-- {
		to := tmp
		if i == 0 {
			to = dst
		}
		f.operation(chain[i], to, left)
		left, f.free = to, free
	}
}

// operation computes an operation of arithmetic whose left side is in a register.
func (f *funcState) operation(e *syntax.BinaryExpr, dst, left int) {
	op := binaryOps[e.Op]
	if v, ok := f.foldNumber(e.Right); ok {
		f.line = e.Pos.Line
		f.emit(op-opAdd+opAddK, dst, left, f.number(v))
		return
	}
	right := f.any(e.Right)
	f.line = e.Pos.Line
	f.emit(op, dst, left, right)
}

// into is any, with a register that may be used for it.
func (f *funcState) into(e syntax.Expr, dst int) int {
	switch e.(type) {
	case *syntax.IndexExpr, *syntax.BinaryExpr, *syntax.UnaryExpr, *syntax.StringExpr:
		if dst >= len(f.active) {
			f.exp(e, dst)
			return dst
		}
	}
	return f.any(e)
}

// concat puts the operands of a chain of .. side by side.
func (f *funcState) concat(e *syntax.BinaryExpr, dst int) {
	first, n := f.free, 1
	f.next(e.Left)
	right := e.Right
	for {
		next, ok := right.(*syntax.BinaryExpr)
		if !ok || next.Op != syntax.Concat {
			break
		}
		f.next(next.Left)
		right = next.Right
		n++
	}
	f.next(right)
	f.line = e.Pos.Line
	f.emit(opConcat, first, n+1, 0)
	f.emit(opMove, dst, first, 0)
}

// isTest tells whether an expression is a comparison or made of tests, so that jumps decide it.
func isTest(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return isTest(e.X)
	case *syntax.BinaryExpr:
		return e.Op >= syntax.Eq && e.Op <= syntax.Ge
	case *syntax.UnaryExpr:
		return e.Op == syntax.Not
	}
	return false
}

// truth makes true or false of a test.
func (f *funcState) truth(e syntax.Expr, dst int) {
	yes := f.jumpIf(e, true)
	f.emit(opLoadFalse, dst, 0, 0)
	end := f.jump()
	f.patchHere(yes)
	f.emit(opLoadTrue, dst, 0, 0)
	f.patchHere([]int{end})
}

func (f *funcState) and(e *syntax.BinaryExpr, dst int) {
	free := f.free
	if isTest(e.Left) {
		no := f.jumpIf(e.Left, false)
		f.free = free
		f.exp(e.Right, dst)
		end := f.jump()
		f.patchHere(no)
		f.emit(opLoadFalse, dst, 0, 0)
		f.patchHere([]int{end})
		return
	}
	end := f.keepIf(e.Left, dst, false)
	f.free = free
	f.exp(e.Right, dst)
	f.patchHere([]int{end})
}

func (f *funcState) or(e *syntax.BinaryExpr, dst int) {
	free := f.free
	if left, ok := bare(e.Left).(*syntax.BinaryExpr); ok && left.Op == syntax.And { // a and b or c
		no := f.jumpIf(left.Left, false)
		f.free = free
		end := f.keepIf(left.Right, dst, true)
		f.patchHere(no)
		f.free = free
		f.exp(e.Right, dst)
		f.patchHere([]int{end})
		return
	}
	if isTest(e.Left) {
		yes := f.jumpIf(e.Left, true)
		f.free = free
		f.exp(e.Right, dst)
		end := f.jump()
		f.patchHere(yes)
		f.emit(opLoadTrue, dst, 0, 0)
		f.patchHere([]int{end})
		return
	}
	end := f.keepIf(e.Left, dst, true)
	f.free = free
	f.exp(e.Right, dst)
	f.patchHere([]int{end})
}

func bare(e syntax.Expr) syntax.Expr {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

// keepIf puts an expression into dst and jumps if its truth is as said; else dst may be anything.
func (f *funcState) keepIf(e syntax.Expr, dst int, truth bool) (jump int) {
	if name, ok := bare(e).(*syntax.NameExpr); ok {
		if at := f.find(name.Name); at.kind == placeLocal && at.index != dst {
			return f.emit(opTestSet, dst, at.index|flag(truth), 0)
		}
	}
	f.exp(e, dst)
	return f.emit(opTest, dst, one(!truth), 0)
}

func flag(k bool) int {
	if k {
		return negate
	}
	return 0
}

func one(k bool) int {
	if k {
		return 1
	}
	return 0
}

// jumpIf evaluates a condition and jumps if its truth is as said; it returns the jumps.
func (f *funcState) jumpIf(e syntax.Expr, truth bool) []int {
	free := f.free
	defer func() { f.free = free }()
	if v, ok := f.fold(e); ok {
		if v.falsy() != truth {
			return []int{f.jump()}
		}
		return nil
	}
	switch x := e.(type) {
	case *syntax.ParenExpr:
		if !isMulti(x.X) {
			return f.jumpIf(x.X, truth)
		}
	case *syntax.UnaryExpr:
		if x.Op == syntax.Not {
			return f.jumpIf(x.X, !truth)
		}
	case *syntax.BinaryExpr:
		switch {
		case x.Op == syntax.And && !truth, x.Op == syntax.Or && truth:
			left := f.jumpIf(x.Left, truth)
			return append(left, f.jumpIf(x.Right, truth)...)
		case x.Op == syntax.And || x.Op == syntax.Or:
			skip := f.jumpIf(x.Left, !truth)
			jumps := f.jumpIf(x.Right, truth)
			f.patchHere(skip)
			return jumps
		case x.Op >= syntax.Eq && x.Op <= syntax.Ge:
			return []int{f.comparison(x, truth)}
		}
	}
	r := f.any(e)
	return []int{f.emit(opTest, r, one(!truth), 0)}
}

// comparison jumps if the comparison's result is as said.
func (f *funcState) comparison(e *syntax.BinaryExpr, truth bool) int {
	left, right, op := e.Left, e.Right, e.Op
	if op == syntax.Ne {
		op, truth = syntax.Eq, !truth
	}
	k := flag(!truth)
	if op == syntax.Eq {
		if _, ok := f.fold(left); ok {
			left, right = right, left
		}
		a := f.any(left)
		if v, ok := f.fold(right); ok {
			if i := f.constantOf(v); i < negate {
				f.line = e.Pos.Line
				return f.emit(opEqK, a, i|k, 0)
			}
		}
		b := f.any(right)
		f.line = e.Pos.Line
		return f.emit(opEq, a, b|k, 0)
	}
	if v, ok := f.foldNumber(right); ok {
		if i := f.number(v); i < negate {
			a := f.any(left)
			f.line = e.Pos.Line
			return f.emit(map[syntax.Op]opcode{syntax.Lt: opLtK, syntax.Le: opLeK, syntax.Gt: opGtK, syntax.Ge: opGeK}[op], a, i|k, 0)
		}
	}
	if v, ok := f.foldNumber(left); ok {
		if i := f.number(v); i < negate {
			a := f.any(right)
			f.line = e.Pos.Line
			return f.emit(map[syntax.Op]opcode{syntax.Lt: opGtK, syntax.Le: opGeK, syntax.Gt: opLtK, syntax.Ge: opLeK}[op], a, i|k, 0)
		}
	}
	a := f.any(left)
	b := f.any(right)
	f.line = e.Pos.Line
	switch op {
	case syntax.Lt:
		return f.emit(opLt, a, b|k, 0)
	case syntax.Le:
		return f.emit(opLe, a, b|k, 0)
	case syntax.Gt:
		return f.emit(opLt, b, a|k, 0)
	default:
		return f.emit(opLe, b, a|k, 0)
	}
}

// setListMax is how many items of a constructor are collected in registers.
const setListMax = 50

func (f *funcState) table(e *syntax.TableExpr, dst int) {
	items, fields := 0, 0
	for _, x := range e.Fields {
		if x.Key == nil {
			items++
		} else {
			fields++
		}
	}
	f.emit(opNewTable, dst, min(fields, maxB), items)
	done, n := 0, 0
	flush := func() {
		if n > 0 {
			f.setList(dst, n, done)
			done, n = done+n, 0
		}
	}
	// The list's items must follow the table's register.
	t := dst
	if f.free != dst+1 {
		t = f.reserve(1, e.Pos)
		f.emit(opMove, t, dst, 0)
	}
	table := dst
	dst = t
	for i, x := range e.Fields {
		if x.Key != nil {
			f.field(table, x)
			continue
		}
		if i == len(e.Fields)-1 && isMulti(x.Value) {
			f.multi(x.Value, -1)
			f.line = e.End.Line
			f.emit(opSetList, dst, 0, done)
			n = 0
			break
		}
		f.next(x.Value)
		if n++; n == setListMax {
			flush()
		}
	}
	flush()
}

// setList stores the n items behind the register dst.
func (f *funcState) setList(dst, n, done int) {
	f.emit(opSetList, dst, n, done)
	f.free -= n
}

func (f *funcState) field(t int, x syntax.Field) {
	free := f.free
	kind, key := f.key(x.Key, false)
	b := f.constantOrRegister(x.Value)
	f.line = x.Pos.Line
	switch kind {
	case keyString:
		f.emit(opSetField, t, b, key)
	case keyInt:
		f.emit(opSetInt, t, b, key)
	default:
		f.emit(opSetTable, t, b, key)
	}
	f.free = free
}
