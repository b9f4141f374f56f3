package gopher

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// Arithmetic on strings, as metamethods of strings, which is where Lua 5.4 has it. The library's own, which takes strings without being asked for them, would go over
// a million digits in an instruction like any other. Numbers do not come here.

// stringArith are the metamethods of strings by their names.
var stringArith = map[string]*lua.LFunction{ //nolint:gochecknoglobals // a constant
	"__add": arith("__add", func(x, y float64) float64 { return x + y }),
	"__sub": arith("__sub", func(x, y float64) float64 { return x - y }),
	"__mul": arith("__mul", func(x, y float64) float64 { return x * y }),
	"__div": arith("__div", func(x, y float64) float64 { return x / y }),
	"__mod": arith("__mod", modulo),
	"__pow": arith("__pow", math.Pow),
	"__unm": {IsG: true, GFunction: func(l *lua.LState) int {
		t := stateOf(l)
		x, ok := t.operand(l.Get(1))
		if !ok {
			t.Errorf("attempt to perform arithmetic on a %s value", typeOf(l.Get(1)))
		}
		l.Push(lua.LNumber(-x))
		return 1
	}},
}

func arith(event string, f func(x, y float64) float64) *lua.LFunction {
	return &lua.LFunction{IsG: true, GFunction: func(l *lua.LState) int {
		t, a, b := stateOf(l), l.Get(1), l.Get(2)
		x, okX := t.operand(a)
		y, okY := t.operand(b)
		if okX && okY {
			l.Push(lua.LNumber(f(x, y)))
			return 1
		}
		if _, isText := b.(lua.LString); !isText { // a string is asked first, and knows nothing of tables
			if method := l.GetMetaField(b, event); method != lua.LNil {
				l.Push(method)
				l.Push(a)
				l.Push(b)
				l.Call(2, 1)
				return 1
			}
		}
		wrong := a
		if _, isText := a.(lua.LString); okX || isText && !okY {
			wrong = b
		}
		t.Errorf("attempt to perform arithmetic on a %s value", typeOf(wrong))
		return 0
	}}
}

// operand is a number, or a string that is one.
func (t *thread) operand(v lua.LValue) (float64, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		t.m.pass(v, 8)
		return parseNumber(string(v), 10)
	}
	return 0, false
}

// modulo is % of Lua 5.4: the result has the sign of y.
func modulo(x, y float64) float64 {
	m := math.Mod(x, y)
	if m > 0 && y < 0 || m < 0 && y > 0 {
		m += y
	}
	return m
}
