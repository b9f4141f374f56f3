package gopher

import lua "github.com/yuin/gopher-lua"

// Instructions on long strings are counted as the work that they are, so that a budget stops a loop of them. Arithmetic on strings is in arith.go: a look at the
// operands of each instruction would cost all arithmetic a fifth.

// longString is from how many bytes on an operand is more work than an instruction.
const longString = 1024

// pass counts going over a string, at so many bytes a step. The next instruction looks at the clock if that is due.
func (m *machine) pass(v lua.LValue, bytes int) {
	if s, ok := v.(lua.LString); ok && len(s) >= longString {
		m.count -= len(s) / bytes
	}
}

// varargs is `...`, of which there may be a million.
func (e *Engine) varargs(l *lua.LState, inst uint32, base *frame) int {
	f := *e.o.frame(l)
	if n := f.NArgs - int(f.Fn.Proto.NumParameters); n > 8 {
		stateOf(l).m.count -= n / 8
	}
	return jumpTable[lua.OP_VARARG](l, inst, base)
}

// comparing is ==, < or <=. Numbers, which most are, it compares by itself.
func (e *Engine) comparing(op int, holds func(x, y lua.LNumber) bool) instruction {
	run := jumpTable[op]
	return func(l *lua.LState, inst uint32, base *frame) int {
		f := *e.o.frame(l)
		reg := e.o.registers(l)
		a, b := operand(f, reg, int(inst&0x1ff)), operand(f, reg, int(inst>>9)&0x1ff)
		switch x := a.(type) {
		case lua.LNumber:
			if y, ok := b.(lua.LNumber); ok {
				if holds(x, y) != (inst>>18&0xff != 0) {
					f.Pc++
				}
				return 0
			}
		case lua.LString:
			if y, ok := b.(lua.LString); ok && len(x) >= longString && (op != lua.OP_EQ || len(x) == len(y)) {
				stateOf(l).m.pass(x[:min(len(x), len(y))], 16)
			}
		}
		return run(l, inst, base)
	}
}
