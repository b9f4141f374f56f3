package lua54

import (
	"fmt"
	"strings"

	"github.com/skua-go/skua/lua/std"
)

//nolint:gochecknoglobals // a constant
var kindNames = [...]string{"nil", "boolean", "boolean", "number", "number", "string", "table", "function", "function", "userdata", "thread"}

func typeName(v value) string { return kindNames[v.kind()] }

// typeNameOf is what messages call the type of a value: what its metatable's __name says, if it has one.
func (m *machine) typeNameOf(v value) string {
	if name := m.methodOf(v, evName); name.isString() && !v.isString() {
		return name.text()
	}
	return typeName(v)
}

// operandError is the error of an operation on a value of the wrong type.
func (th *thread) operandError(f *frame, i instr, bad value, what string) {
	th.errorf("attempt to %s a %s value%s", what, th.m.typeNameOf(bad), th.describe(f, i, bad))
}

// describeFloat names the operand that is a float without an integer representation.
func (th *thread) describeFloat(f *frame, i instr, a, b value) string {
	if x, ok := toNumber(a); ok {
		if _, ok := x.toInt(); !ok {
			return th.describe(f, i, a)
		}
	}
	return th.describe(f, i, b)
}

// typeError is the error of a call of a value, which is at an index of the stack.
func (th *thread) typeError(v value, what string, at int) {
	name := ""
	if len(th.frames) > 0 {
		if f := &th.frames[len(th.frames)-1]; f.fn != nil && f.pc > 0 {
			switch i := f.fn.p.code[f.pc-1]; i.op() {
			case opCall, opTailCall:
				if at == f.base+i.a() {
					name = f.fn.p.nameOf(f.pc-1, i.a())
				}
			case opTForCall:
				th.errorf("attempt to %s a %s value (for iterator 'for iterator')", what, th.m.typeNameOf(v))
			}
		}
	}
	th.errorf("attempt to %s a %s value%s", what, th.m.typeNameOf(v), name)
}

// indexError is the error of an index into what has none.
func (th *thread) indexError(f *frame, obj, key value) {
	name := ""
	if f != nil {
		name = th.describe(f, f.fn.p.code[f.pc-1], obj)
	}
	th.errorf("attempt to index a %s value%s", th.m.typeNameOf(obj), name)
}

// describe tells where an instruction has a value from: " (local 'x')", or nothing.
func (th *thread) describe(f *frame, i instr, v value) string {
	p, pc := f.fn.p, f.pc-1
	same := func(x value) bool { return x.o == v.o && (x.n == v.n || !x.isNumber()) }
	register := func(r int) string {
		if r < p.regs && same(th.stack[f.base+r]) {
			return p.nameOf(pc, r)
		}
		return ""
	}
	constant := func(c int) string {
		if same(p.k[c]) && v.isString() {
			return " (constant '" + v.text() + "')"
		}
		return ""
	}
	first := func(names ...string) string {
		for _, n := range names {
			if n != "" {
				return n
			}
		}
		return ""
	}
	switch op := i.op(); {
	case op == opGetTabUp:
		return p.upvalueName(i.b())
	case op == opSetTabUp:
		return p.upvalueName(i.a())
	case op == opGetTable || op == opGetField || op == opGetInt:
		return register(i.b())
	case op == opSelf:
		return first(register(i.b()))
	case op == opSetTable || op == opSetField || op == opSetInt:
		return register(i.a())
	case op >= opAdd && op <= opShr:
		return first(register(i.b()), register(i.c())) // if both are wrong, the left one is named
	case op >= opAddK && op <= opShrK:
		return first(register(i.b()), constant(i.c()))
	case op == opUnm || op == opBNot || op == opLen:
		return register(i.b())
	case op == opConcat:
		for r := i.a() + f.aux - 1; r >= i.a(); r-- {
			if same(th.stack[f.base+r]) {
				return p.nameOf(pc, r)
			}
		}
	}
	return ""
}

func (p *proto) upvalueName(i int) string {
	if name := p.ups[i].name; name != "" {
		return " (upvalue '" + name + "')"
	}
	return ""
}

// localName is the local that is in a register at an instruction.
func (p *proto) localName(r, pc int) string {
	for i := len(p.locals) - 1; i >= 0; i-- {
		if l := &p.locals[i]; l.reg == r && l.start <= pc && (pc < l.end || l.end < 0) {
			return l.name
		}
	}
	return ""
}

// nameOf is what the source calls the value of a register at an instruction, with its kind and a space before, or "".
func (p *proto) nameOf(pc, r int) string {
	kind, name := p.origin(pc, r)
	if kind == "" {
		return ""
	}
	return fmt.Sprintf(" (%s '%s')", kind, name)
}

// origin follows a register back to where its value is from, as PUC Lua's ldebug.c does.
func (p *proto) origin(pc, r int) (kind, name string) {
	if name = p.localName(r, pc); name != "" {
		return "local", name
	}
	at := p.setter(pc, r)
	if at < 0 {
		return "", ""
	}
	i := p.code[at]
	switch i.op() {
	case opMove:
		if i.b() < i.a() {
			return p.origin(at, i.b())
		}
	case opGetTabUp:
		if p.ups[i.b()].name == "_ENV" {
			return "global", p.k[i.c()].text()
		}
		return "field", p.k[i.c()].text()
	case opGetField:
		if p.localName(i.b(), at) == "_ENV" {
			return "global", p.k[i.c()].text()
		}
		return "field", p.k[i.c()].text()
	case opGetInt:
		return "field", "?"
	case opGetTable:
		if kind, name := p.origin(at, i.c()); kind == "constant" {
			return "field", name
		}
		return "field", "?"
	case opSelf:
		return "method", p.k[i.c()].text()
	case opGetUpval:
		return "upvalue", p.ups[i.b()].name
	case opLoadK:
		if k := p.k[i.c()]; k.isString() {
			return "constant", k.text()
		}
	}
	return "", ""
}

// setter is the last instruction before pc that set a register on every way to pc, or -1.
func (p *proto) setter(pc, r int) int {
	last, jumpsTo := -1, 0
	for at := range pc {
		i := p.code[at]
		a, sets := i.a(), false
		switch op := i.op(); op {
		case opLoadNil:
			sets = a <= r && r <= a+i.b()
		case opTForCall:
			sets = r >= a+4
		case opCall, opTailCall:
			sets = r >= a
		case opJmp, opEq, opLt, opLe, opEqK, opLtK, opLeK, opGtK, opGeK, opTest:
			if to := at + 1 + i.c(); to <= pc {
				jumpsTo = max(jumpsTo, to)
			}
		case opTestSet:
			sets = a == r
		case opSelf:
			sets = a == r || a+1 == r
		case opVararg:
			sets = r >= a
		case opForLoop, opForPrep, opTForLoop, opTForPrep:
			sets = a <= r && r <= a+3
		case opSetUpval, opSetTabUp, opSetTable, opSetField, opSetInt, opSetList, opReturn, opReturn0, opReturn1, opClose, opTBC:
		default:
			sets = a == r
		}
		if sets {
			if last = at; at < jumpsTo {
				last = -1 // a jump may have gone round it
			}
		}
	}
	return last
}

func numberText(v value) string {
	if v.isInt() {
		return intText(v.int())
	}
	return std.Float(v.float())
}

// Traceback describes the thread's stack as debug.traceback does.
func (th *thread) Traceback(msg string) string { return th.traceback(msg, 0) }

func (th *thread) traceback(msg string, level int) string {
	const first, last = 10, 11
	var b strings.Builder
	if msg != "" {
		b.WriteString(msg)
		b.WriteByte('\n')
	}
	b.WriteString("stack traceback:")
	n := len(th.frames)
	for l := level; l < n; l++ {
		if l-level == first && n-l > last {
			skip := n - l - last
			fmt.Fprintf(&b, "\n\t...\t(skipping %d levels)", skip)
			l += skip
		}
		b.WriteString("\n\t")
		th.describeFrame(&b, n-1-l)
	}
	return b.String()
}

func (th *thread) describeFrame(b *strings.Builder, i int) {
	f := &th.frames[i]
	if f.fn == nil {
		fmt.Fprintf(b, "[C]: in %s", th.functionName(i))
		return
	}
	fmt.Fprintf(b, "%s:%d: in %s", f.fn.p.chunk, f.line(), th.functionName(i))
}

// functionName tells what a frame's function is called where it was called.
func (th *thread) functionName(i int) string {
	f := &th.frames[i]
	if name := th.m.loadedName(f); name != "" {
		return "function '" + name + "'"
	}
	if kind, name := th.calledAs(i); kind != "" {
		return kind + " '" + name + "'"
	}
	if f.fn == nil {
		if f.g.name != "" {
			return "function '" + f.g.name + "'"
		}
		return "?"
	}
	if f.fn.p.line == 0 {
		return "main chunk"
	}
	return fmt.Sprintf("function <%s:%d>", f.fn.p.chunk, f.fn.p.line)
}

// calledAs is how the caller of a frame names its function.
func (th *thread) calledAs(i int) (kind, name string) {
	f := &th.frames[i]
	if i == 0 || th.frames[i-1].fn == nil {
		return "", ""
	}
	c := &th.frames[i-1]
	in := c.fn.p.code[c.pc-1]
	switch op := in.op(); {
	case f.meta:
		return "metamethod", strings.TrimPrefix(eventNames[eventOfInstr(in)].s, "__")
	case op == opCall || op == opTailCall:
		return c.fn.p.origin(c.pc-1, in.a())
	case op == opTForCall:
		return "for iterator", "for iterator"
	}
	return "", ""
}

func eventOfInstr(i instr) event {
	switch op := i.op(); {
	case op >= opAdd && op <= opShrK:
		return eventOf(op)
	case op == opUnm:
		return evUnm
	case op == opBNot:
		return evBNot
	case op == opLen:
		return evLen
	case op == opConcat:
		return evConcat
	case op == opEq:
		return evEq
	case op == opLt || op == opLtK || op == opGtK:
		return evLt
	case op == opLe || op == opLeK || op == opGeK:
		return evLe
	case op == opSetTabUp || op == opSetTable || op == opSetField || op == opSetInt:
		return evNewIndex
	default:
		return evIndex
	}
}

// loadedName is the name of a function of a library, or of a global one: "string.rep", "print".
func (m *machine) loadedName(f *frame) string {
	if f.fn != nil {
		return m.globalName(value{o: &f.fn.object})
	}
	if f.g.co != nil {
		return ""
	}
	return m.globalName(value{o: &f.g.object})
}

func (m *machine) globalName(v value) string {
	m.fuel -= len(m.globals.nodes) / 16
	for i := range m.globals.nodes {
		nd := &m.globals.nodes[i]
		if nd.val.o == v.o && nd.key.isString() {
			return nd.key.text()
		}
	}
	for i := range m.globals.nodes {
		nd := &m.globals.nodes[i]
		t := nd.val.asTable()
		if t == nil || !nd.key.isString() || t == m.globals || !t.library {
			continue
		}
		for j := range t.nodes {
			if fn := &t.nodes[j]; fn.val.o == v.o && fn.key.isString() {
				return nd.key.text() + "." + fn.key.text()
			}
		}
	}
	return ""
}
