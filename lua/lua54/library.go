package lua54

import (
	"strings"
	"time"

	lua "github.com/speedata/go-lua"
)

// maxString bounds the strings that one call can make of small arguments.
const maxString = 256 << 20

// mendLibrary replaces functions of the engine's libraries that differ from Lua 5.4, or that a script could use to take the memory of the whole node.
func mendLibrary(l *lua.State) {
	for _, lib := range []struct {
		name  string
		funcs map[string]lua.Function
	}{
		{"math", map[string]lua.Function{
			"max": extreme(func(l *lua.State, i, best int) bool { return l.Compare(best, i, lua.OpLT) }),
			"min": extreme(func(l *lua.State, i, best int) bool { return l.Compare(i, best, lua.OpLT) }),
		}},
		{"string", map[string]lua.Function{"rep": stringRep, "upper": letters('a', 'z', 'A'-'a'), "lower": letters('A', 'Z', 'a'-'A'), armName: arm}},
	} {
		l.Global(lib.name)
		for name, f := range lib.funcs {
			l.PushGoFunction(f)
			l.SetField(-2, name)
		}
		l.Pop(1)
	}
	l.Global("os")
	l.Field(-1, "time")
	l.PushGoClosure(osTime, 1)
	l.SetField(-2, "time")
	l.Pop(1)
}

// extreme is math.max or math.min: one of its arguments as it is. The engine's makes floats of all when one is a float, which loses 64-bit integers.
func extreme(better func(l *lua.State, i, best int) bool) lua.Function {
	return func(l *lua.State) int {
		lua.CheckNumber(l, 1)
		best := 1
		for i := 2; i <= l.Top(); i++ {
			lua.CheckNumber(l, i)
			if better(l, i, best) {
				best = i
			}
		}
		l.PushValue(best)
		return 1
	}
}

// letters is string.upper or string.lower of ASCII. The engine's break bytes that are not UTF-8.
func letters(from, to byte, distance int) lua.Function {
	return func(l *lua.State) int {
		b := []byte(lua.CheckString(l, 1))
		for i, c := range b {
			if c >= from && c <= to {
				b[i] = byte(int(c) + distance)
			}
		}
		l.PushString(string(b))
		return 1
	}
}

// stringRep is string.rep with a bound on its result.
func stringRep(l *lua.State) int {
	s, n, sep := lua.CheckString(l, 1), lua.CheckInteger(l, 2), lua.OptString(l, 3, "")
	if n <= 0 {
		l.PushString("")
		return 1
	}
	if each := len(s) + len(sep); each > 0 && n > maxString/each {
		lua.Errorf(l, "resulting string too large")
	}
	if sep == "" {
		l.PushString(strings.Repeat(s, n))
		return 1
	}
	l.PushString(strings.Repeat(s+sep, n-1) + s)
	return 1
}

// osTime is os.time with an integer as its result; the engine's is upvalue 1.
func osTime(l *lua.State) int {
	if l.IsNoneOrNil(1) {
		l.PushInteger64(time.Now().Unix())
		return 1
	}
	l.SetTop(1)
	l.PushValue(lua.UpValueIndex(1))
	l.Insert(1)
	l.Call(1, 1)
	if n, ok := l.ToInteger64(-1); ok {
		l.PushInteger64(n)
	}
	return 1
}
