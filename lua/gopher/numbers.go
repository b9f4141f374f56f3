package gopher

import (
	"math"
	"math/rand/v2"

	lua "github.com/yuin/gopher-lua"
)

// mathConstants: the largest and the smallest integer are those up to which a number has all, not those of 64 bits.
func mathConstants() map[string]lua.LValue {
	return map[string]lua.LValue{
		"huge": lua.LNumber(math.Inf(1)), "maxinteger": lua.LNumber(maxExact), "mininteger": lua.LNumber(-maxExact),
	}
}

func mathType(l *lua.LState) int {
	if l.GetTop() == 0 {
		badArgument(l, 1, "value expected")
	}
	n, ok := l.Get(1).(lua.LNumber)
	switch _, isInt := exact(float64(n)); {
	case !ok:
		l.Push(lua.LNil)
	case isInt:
		l.Push(lua.LString("integer"))
	default:
		l.Push(lua.LString("float"))
	}
	return 1
}

func mathToInteger(l *lua.LState) int {
	var n float64
	ok := true
	switch v := l.Get(1).(type) {
	case lua.LNumber:
		n = float64(v)
	case lua.LString:
		n, ok = parseNumber(string(v), 10)
	default:
		ok = false
	}
	if i, isInt := exact(n); ok && isInt {
		l.Push(lua.LNumber(i))
	} else {
		l.Push(lua.LNil)
	}
	return 1
}

func mathLog(l *lua.LState) int {
	x := checkNumber64(l, 1)
	switch base := l.Get(2); {
	case base == lua.LNil:
		l.Push(lua.LNumber(math.Log(x)))
	case checkNumber64(l, 2) == 2:
		l.Push(lua.LNumber(math.Log2(x)))
	case checkNumber64(l, 2) == 10:
		l.Push(lua.LNumber(math.Log10(x)))
	default:
		l.Push(lua.LNumber(math.Log(x) / math.Log(checkNumber64(l, 2))))
	}
	return 1
}

func mathRandom(l *lua.LState) int {
	if l.GetTop() == 0 {
		l.Push(lua.LNumber(rand.Float64()))
		return 1
	}
	low, high := 1, checkInt(l, 1)
	if l.GetTop() > 1 {
		low, high = high, checkInt(l, 2)
	}
	if low > high {
		badArgument(l, min(l.GetTop(), 2), "interval is empty")
	}
	l.Push(lua.LNumber(low + rand.IntN(high-low+1)))
	return 1
}

func mathFmod(l *lua.LState) int {
	a, b := checkNumber64(l, 1), checkNumber64(l, 2)
	l.Push(lua.LNumber(math.Mod(a, b)))
	return 1
}

func mathUlt(l *lua.LState) int {
	a, b := checkInteger(l, 1), checkInteger(l, 2)
	l.Push(lua.LBool(uint64(a) < uint64(b)))
	return 1
}
