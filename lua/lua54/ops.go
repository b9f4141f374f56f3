package lua54

import (
	"math"
	"math/bits"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// arith computes R = a op b for numbers.
func arith(op opcode, a, b value) (value, bool) {
	if !a.isNumber() || !b.isNumber() {
		return value{}, false
	}
	switch op {
	case opBAnd, opBOr, opBXor, opShl, opShr:
		x, okX := a.toInt()
		y, okY := b.toInt()
		if !okX || !okY {
			return value{}, false
		}
		return bitwise(op, x, y), true
	case opDiv, opPow:
	default:
		if a.isInt() && b.isInt() {
			return arithInt(op, a.int(), b.int())
		}
	}
	x, _ := a.toFloat()
	y, _ := b.toFloat()
	switch op {
	case opAdd:
		return floatValue(x + y), true
	case opSub:
		return floatValue(x - y), true
	case opMul:
		return floatValue(x * y), true
	case opDiv:
		return floatValue(x / y), true
	case opPow:
		return floatValue(power(x, y)), true
	case opIDiv:
		return floatValue(math.Floor(x / y)), true
	default:
		return floatValue(modFloat(x, y)), true
	}
}

func power(x, y float64) float64 {
	if y == 2 {
		return x * x
	}
	return math.Pow(x, y)
}

// modFloat is lua's %: it has the sign of y.
func modFloat(x, y float64) float64 {
	r := math.Mod(x, y)
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	return r
}

func bitwise(op opcode, x, y int64) value {
	switch op {
	case opBAnd:
		return intValue(x & y)
	case opBOr:
		return intValue(x | y)
	case opBXor:
		return intValue(x ^ y)
	case opShr:
		if y == math.MinInt64 {
			return intValue(0)
		}
		y = -y
	}
	switch {
	case y <= -64 || y >= 64:
		return intValue(0)
	case y >= 0:
		return intValue(x << uint(y))
	default:
		return intValue(int64(uint64(x) >> uint(-y)))
	}
}

// arithInt is false for a division by zero, which is an error.
func arithInt(op opcode, x, y int64) (value, bool) {
	switch op {
	case opAdd:
		return intValue(x + y), true
	case opSub:
		return intValue(x - y), true
	case opMul:
		return intValue(x * y), true
	}
	if y == 0 {
		return value{}, false
	}
	if y == -1 { // the quotient may overflow
		if op == opIDiv {
			return intValue(-x), true
		}
		return intValue(0), true
	}
	q, r := x/y, x%y
	if r != 0 && (r < 0) != (y < 0) {
		q--
		r += y
	}
	if op == opIDiv {
		return intValue(q), true
	}
	return intValue(r), true
}

// eventOf is the metamethod of an operation of arithmetic.
func eventOf(op opcode) event {
	if op >= opAddK && op <= opShrK {
		op = op - opAddK + opAdd
	}
	return evAdd + event(op-opAdd)
}

// arithMeta is arithmetic on what arith can't do: strings that are numbers, metamethods, errors.
func (th *thread) arithMeta(f *frame, i instr, a, b value, stop int) bool {
	e := eventOf(i.op())
	method := th.m.methodOf(a, e)
	if method.o == nil {
		method = th.m.methodOf(b, e)
	}
	if method.o != nil {
		return th.callMeta(f, method, a, b, stop)
	}
	x, okX := th.m.number(a)
	y, okY := th.m.number(b)
	if e >= evBAnd && e <= evShr { // strings are numbers for the metamethods of strings only, which are those of arithmetic
		okX, okY = a.isNumber(), b.isNumber()
	}
	if okX && okY {
		if v, ok := arith(opAdd+opcode(e-evAdd), x, y); ok {
			th.stack[f.base+i.a()] = v
			return true
		}
	}
	th.arithError(f, i, a, b, okX && okY)
	return false
}

func (th *thread) arithError(f *frame, i instr, a, b value, numbers bool) {
	e := eventOf(i.op())
	isBitwise := e >= evBAnd && e <= evShr
	switch {
	case numbers && e == evIDiv:
		th.errorf("attempt to divide by zero")
	case numbers && e == evMod:
		th.errorf("attempt to perform 'n%%0'")
	case numbers && !a.isString() && !b.isString():
		th.errorf("number%s has no integer representation", th.describeFloat(f, i, a, b))
	case !isBitwise && (a.isString() || b.isString()):
		th.errorf("attempt to %s a '%s' with a '%s'", strings.TrimPrefix(eventNames[e].s, "__"), th.m.typeNameOf(a), th.m.typeNameOf(b))
	}
	bad := b
	if !a.isNumber() {
		bad = a
	}
	if isBitwise {
		th.operandError(f, i, bad, "perform bitwise operation on")
	}
	th.operandError(f, i, bad, "perform arithmetic on")
}

// toNumber is the number that a value is, or that a string says.
func toNumber(v value) (value, bool) {
	if v.isNumber() {
		return v, true
	}
	if v.isString() {
		if n, x, isInt, ok := syntax.Number(v.text()); ok {
			if isInt {
				return intValue(n), true
			}
			return floatValue(x), true
		}
	}
	return value{}, false
}

// number is toNumber, and counts the work of reading a long string.
func (m *machine) number(v value) (value, bool) {
	m.numeral(v)
	return toNumber(v)
}

// numeral counts the work of reading a string as a number.
func (m *machine) numeral(v value) {
	if v.isString() {
		m.fuel -= len(v.text()) / 16
	}
}

// unary does -, ~ and # of what run does not do itself.
func (th *thread) unary(f *frame, i instr, b value, stop int) bool {
	dst := f.base + i.a()
	if i.op() == opLen {
		if method := th.m.methodOf(b, evLen); method.o != nil && !b.isString() {
			return th.callMeta(f, method, b, b, stop)
		}
		t := b.asTable()
		if t == nil {
			th.operandError(f, i, b, "get length of")
		}
		th.stack[dst] = intValue(t.length())
		return true
	}
	e := evUnm
	if i.op() == opBNot {
		e = evBNot
		if n, ok := b.toInt(); ok {
			th.stack[dst] = intValue(^n)
			return true
		}
	}
	if method := th.m.methodOf(b, e); method.o != nil {
		return th.callMeta(f, method, b, b, stop)
	}
	x, ok := th.m.number(b)
	if !ok || e == evBNot && b.isString() {
		if e == evBNot {
			th.operandError(f, i, b, "perform bitwise operation on")
		}
		if b.isString() {
			th.errorf("attempt to unm a 'string' with a 'string'")
		}
		th.operandError(f, i, b, "perform arithmetic on")
	}
	if e == evBNot {
		n, ok := x.toInt()
		if !ok {
			th.errorf("number%s has no integer representation", th.describeFloat(f, i, b, b))
		}
		th.stack[dst] = intValue(^n)
		return true
	}
	if x.isInt() {
		th.stack[dst] = intValue(-x.int())
	} else {
		th.stack[dst] = floatValue(-x.float())
	}
	return true
}

// callMeta calls a metamethod of the instruction that f is at; finish goes on with its result. It is false if the thread has to leave its loop.
func (th *thread) callMeta(f *frame, method, a, b value, stop int) bool {
	if th.m.fuel--; th.m.fuel < 0 {
		th.refuel()
	}
	at := f.base + f.fn.p.regs
	th.grow(at, 4)
	th.stack[at], th.stack[at+1], th.stack[at+2] = method, a, b
	return th.enter(at, 2, 1, stop, true) == goOn
}

// finish ends the instruction that f is at with the result of a metamethod, which is at index at.
func (th *thread) finish(f *frame, at, stop int) outcome {
	i := f.fn.p.code[f.pc-1]
	v := th.stack[at]
	switch op := i.op(); op {
	case opEq, opLt, opLe, opLtK, opLeK, opGtK, opGeK:
		if v.falsy() == (i.b()&negate != 0) {
			f.pc += i.c()
		}
	case opSetTabUp, opSetField, opSetTable, opSetInt:
	case opConcat:
		f.aux--
		th.stack[f.base+i.a()+f.aux-1] = v
		if !th.concat(f, i.a(), stop) {
			return leave
		}
	default:
		th.stack[f.base+i.a()] = v
	}
	return goOn
}

// concat joins the f.aux values from register a on, from the right, as .. associates.
func (th *thread) concat(f *frame, a, stop int) bool {
	for f.aux > 1 {
		v := th.stack[f.base+a : f.base+a+f.aux]
		n := len(v)
		x, y := v[n-2], v[n-1]
		if !concatenable(x) || !concatenable(y) {
			method := th.m.methodOf(x, evConcat)
			if method.o == nil {
				method = th.m.methodOf(y, evConcat)
			}
			if method.o == nil {
				if concatenable(x) {
					x = y
				}
				th.operandError(f, f.fn.p.code[f.pc-1], x, "concatenate")
			}
			return th.callMeta(f, method, x, y, stop)
		}
		from := n - 2
		for from > 0 && concatenable(v[from-1]) {
			from--
		}
		v[from] = th.join(v[from:])
		f.aux = from + 1
	}
	return true
}

func concatenable(v value) bool { return v.isString() || v.isNumber() }

// maxString bounds what a script can make of strings at once.
const maxString = 256 << 20

func (th *thread) join(v []value) value {
	if len(v) == 2 && v[0].isString() && v[1].isString() {
		x, y := v[0].text(), v[1].text()
		if x == "" {
			return v[1]
		}
		if y == "" {
			return v[0]
		}
		th.reserve(len(x) + len(y))
		return th.m.newString(x + y)
	}
	size := 0
	for _, x := range v {
		if x.isString() {
			size += len(x.text())
		} else {
			size += 12
		}
	}
	th.reserve(size)
	var b strings.Builder
	b.Grow(size)
	for _, x := range v {
		if x.isString() {
			b.WriteString(x.text())
		} else {
			b.WriteString(numberText(x))
		}
	}
	return th.m.newString(b.String())
}

// reserve checks that a string of so many bytes may be made, and counts the work.
func (th *thread) reserve(n int) {
	if n > maxString {
		th.errorf("resulting string too large")
	}
	th.m.reserve(th, n)
	if n > 256 {
		th.m.fuel -= n / 64
	}
}

// equalMeta compares two tables or userdata that are not the same.
func (th *thread) equalMeta(f *frame, i instr, a, b value, stop int) bool {
	method := th.m.methodOf(a, evEq)
	if method.o == nil {
		method = th.m.methodOf(b, evEq)
	}
	if method.o == nil {
		if i.b()&negate != 0 {
			f.pc += i.c()
		}
		return true
	}
	return th.callMeta(f, method, a, b, stop)
}

// compare does < and <= of what run does not do itself.
func (th *thread) compare(f *frame, i instr, a, b value, e event, stop int) bool {
	th.m.longText(a)
	less, ok := lessThan(a, b, e)
	if !ok {
		method := th.m.methodOf(a, e)
		if method.o == nil {
			method = th.m.methodOf(b, e)
		}
		if method.o == nil {
			th.compareError(a, b)
		}
		return th.callMeta(f, method, a, b, stop)
	}
	if less != (i.b()&negate != 0) {
		f.pc += i.c()
	}
	return true
}

// longText counts the work of comparing a long string with another.
func (m *machine) longText(v value) {
	const long = 4096
	if v.isString() && len(v.text()) > long {
		m.fuel -= len(v.text()) / 256
	}
}

func (th *thread) compareError(a, b value) {
	x, y := th.m.typeNameOf(a), th.m.typeNameOf(b)
	if x == y {
		th.errorf("attempt to compare two %s values", x)
	}
	th.errorf("attempt to compare %s with %s", x, y)
}

// lessThan is a < b, or a <= b, of two numbers or two strings.
func lessThan(a, b value, e event) (less, ok bool) {
	if a.isString() && b.isString() {
		if e == evLt {
			return a.text() < b.text(), true
		}
		return a.text() <= b.text(), true
	}
	if !a.isNumber() || !b.isNumber() {
		return false, false
	}
	switch {
	case a.isInt() && b.isInt():
		if e == evLt {
			return a.int() < b.int(), true
		}
		return a.int() <= b.int(), true
	case a.isFloat() && b.isFloat():
		if e == evLt {
			return a.float() < b.float(), true
		}
		return a.float() <= b.float(), true
	case a.isInt():
		c, ok := compareIntFloat(a.int(), b.float())
		return ok && (c < 0 || c == 0 && e == evLe), true
	default:
		c, ok := compareIntFloat(b.int(), a.float())
		return ok && (c > 0 || c == 0 && e == evLe), true
	}
}

// compareIntFloat compares exactly; it is false for NaN.
func compareIntFloat(i int64, f float64) (int, bool) {
	switch {
	case math.IsNaN(f):
		return 0, false
	case f >= 0x1p63:
		return -1, true
	case f < -0x1p63:
		return 1, true
	}
	n := int64(f)
	switch {
	case i < n:
		return -1, true
	case i > n:
		return 1, true
	}
	switch frac := f - math.Trunc(f); {
	case frac > 0:
		return -1, true
	case frac < 0:
		return 1, true
	}
	return 0, true
}

// maxChain bounds tables whose __index is a table whose __index is a table.
const maxChain = 2000

// freeChain is how far such a chain is followed within one step.
const freeChain = 8

// index puts obj[key] into register dst, or calls what gives it.
func (th *thread) index(f *frame, obj, key value, dst, stop int) bool {
	v, method, self := th.lookup(obj, key, f)
	if method.o == nil {
		th.stack[f.base+dst] = v
		return true
	}
	return th.callMeta(f, method, self, key, stop)
}

// lookup is obj[key], or the function that has to be called for it, with its first argument. f is the frame that an error is described for, nil in functions of Go.
func (th *thread) lookup(obj, key value, f *frame) (v, method, self value) {
	for n := range maxChain {
		if n > freeChain {
			th.m.fuel--
		}
		var h value
		if t := obj.asTable(); t != nil {
			if v = t.get(key); v.o != nil || t.meta == nil {
				return v, value{}, value{}
			}
			if h = t.meta.method(evIndex); h.o == nil {
				return value{}, value{}, value{}
			}
		} else if h = th.m.methodOf(obj, evIndex); h.o == nil {
			th.indexError(f, obj, key)
		}
		if h.o.kind == kindClosure || h.o.kind == kindGoFunc {
			return value{}, h, obj
		}
		obj = h
	}
	th.errorf("'__index' chain too long; possibly a loop")
	return value{}, value{}, value{}
}

// setIndex is obj[key] = v.
func (th *thread) setIndex(f *frame, obj, key, v value, stop int) bool {
	method, self := th.store(obj, key, v, f)
	if method.o == nil {
		return true
	}
	if th.m.fuel--; th.m.fuel < 0 {
		th.refuel()
	}
	at := f.base + f.fn.p.regs
	th.grow(at, 5)
	th.stack[at], th.stack[at+1], th.stack[at+2], th.stack[at+3] = method, self, key, v
	return th.enter(at, 3, 0, stop, true) == goOn
}

// store is obj[key] = v, or the function that has to be called for it, with its first argument.
func (th *thread) store(obj, key, v value, f *frame) (method, self value) {
	for n := range maxChain {
		if n > freeChain {
			th.m.fuel--
		}
		var h value
		if t := obj.asTable(); t != nil {
			if t.meta == nil || t.get(key).o != nil {
				th.rawSet(t, key, v)
				return value{}, value{}
			}
			if h = t.meta.method(evNewIndex); h.o == nil {
				th.rawSet(t, key, v)
				return value{}, value{}
			}
		} else if h = th.m.methodOf(obj, evNewIndex); h.o == nil {
			th.indexError(f, obj, key)
		}
		if h.o.kind == kindClosure || h.o.kind == kindGoFunc {
			return h, obj
		}
		obj = h
	}
	th.errorf("'__newindex' chain too long; possibly a loop")
	return value{}, value{}
}

func (th *thread) rawSet(t *table, key, v value) {
	if key.o == nil {
		th.errorf("table index is nil")
	}
	if key.o == &floatObj && math.IsNaN(key.float()) {
		th.errorf("table index is NaN")
	}
	th.m.grown(t.set(key, v))
}

// setList is the list of a constructor: values for the keys from behind n on.
func (t *table) setList(n int, list []value) (grown int) {
	if t.frozen {
		t.thaw()
	}
	if n != len(t.arr) { // the list's beginning ended with nils
		for i, v := range list {
			grown += t.setInt(int64(n+i)+1, v)
		}
		return grown
	}
	for i := 0; i < len(list) && len(t.nodes) > 0; i++ { // keys that the constructor has given, too
		if nd := t.findInt(int64(n+i) + 1); nd != nil {
			given := nd.val.o != nil
			if nd.key, nd.val = (value{o: &goneKey}), (value{}); given {
				t.deleted()
			}
		}
	}
	if cap(t.arr)-len(t.arr) < len(list) {
		grown = (1<<bits.Len(uint(n+len(list))) - cap(t.arr)) * valueSize
		arr := make([]value, n, n+len(list))
		copy(arr, t.arr)
		t.arr = arr
	}
	t.arr = append(t.arr, list...)
	t.trim()
	t.promote()
	return grown
}
