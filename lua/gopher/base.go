package gopher

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// badArgument raises the error of a function of the library that got something it does not take.
func badArgument(l *lua.LState, i int, format string, args ...any) {
	stateOf(l).Errorf("bad argument #%d to '%s' (%s)", i, calledAs(l), fmt.Sprintf(format, args...))
}

// calledAs is the name by which the running function was called.
func calledAs(l *lua.LState) string {
	if name, _ := stateOf(l).CalledAs(); name != "" {
		return name
	}
	return "?"
}

// CalledAs is how the running function was called, see std.Caller.
func (t *thread) CalledAs() (name string, method bool) {
	f := t.frame()
	if name = nameOf(f); name == "" || t.m.engine.shimOf(f.Parent.Fn.Proto) != nil {
		return "", false
	}
	return name[strings.LastIndexAny(name, ".:")+1:], isMethodCall(f.Parent)
}

// isMethodCall tells whether the call that a frame waits for is one of a method: whether what it calls was got with OP_SELF.
func isMethodCall(f *frame) bool {
	code := f.Fn.Proto.Code
	register := code[f.Pc-1] >> 18 & 0xff
	for pc := f.Pc - 2; pc >= 0; pc-- {
		if code[pc]>>18&0xff != register {
			continue
		}
		switch int(code[pc] >> 26) {
		case lua.OP_SELF:
			return true
		case lua.OP_MOVE, lua.OP_LOADK, lua.OP_GETUPVAL, lua.OP_GETGLOBAL, lua.OP_GETTABLE, lua.OP_GETTABLEKS, lua.OP_CLOSURE, lua.OP_CALL:
			return false
		}
	}
	return false
}

func wrongType(l *lua.LState, i int, want string) {
	got := "no value"
	if i <= l.GetTop() {
		got = l.Get(i).Type().String()
	}
	badArgument(l, i, "%s expected, got %s", want, got)
}

func checkTable(l *lua.LState, i int) *lua.LTable {
	t, ok := l.Get(i).(*lua.LTable)
	if !ok {
		wrongType(l, i, "table")
	}
	return t
}

func checkNumber64(l *lua.LState, i int) float64 {
	switch v := l.Get(i).(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		stateOf(l).m.pass(v, 8)
		if n, ok := parseNumber(string(v), 10); ok {
			return n
		}
	}
	wrongType(l, i, "number")
	return 0
}

// checkInt is an integer argument; one beyond what an int holds becomes the nearest that it does.
func checkInt(l *lua.LState, i int) int {
	n := checkNumber64(l, i)
	if n != math.Trunc(n) && !math.IsInf(n, 0) {
		badArgument(l, i, "number has no integer representation")
	}
	return clamp(n)
}

func clamp(n float64) int {
	switch {
	case n >= maxExact:
		return maxExact
	case n <= -maxExact:
		return -maxExact
	}
	return int(n)
}

func optInt(l *lua.LState, i, otherwise int) int {
	if l.Get(i) == lua.LNil {
		return otherwise
	}
	return checkInt(l, i)
}

func baseAssert(l *lua.LState) int {
	if l.GetTop() == 0 {
		badArgument(l, 1, "value expected")
	}
	if l.ToBool(1) {
		return l.GetTop()
	}
	t := stateOf(l)
	if l.GetTop() < 2 {
		t.Errorf("assertion failed!")
	}
	if text, ok := l.Get(2).(lua.LString); ok { // as error does
		t.Errorf("%s", string(text))
	}
	t.raise(l.Get(2))
	return 0
}

// baseError is error: the position is that of the function at the level, if that is one of Lua.
func baseError(l *lua.LState) int {
	t := stateOf(l)
	v := l.Get(1)
	if s, ok := v.(lua.LString); ok {
		f := t.frame()
		level := optInt(l, 2, 1)
		for i := 0; i < level && f != nil; i++ {
			f = f.Parent
		}
		if level > 0 {
			v = lua.LString(t.where(f)) + s
		}
	}
	t.raise(v)
	return 0
}

// treeSize is about how many bytes the tokens and the tree of a source take for each of its bytes.
const treeSize = 96

// baseLoad is load of Lua 5.4, and loadstring: text, or a function that gives it piece by piece; a name; a mode; an environment.
func baseLoad(l *lua.LState) int {
	t := stateOf(l)
	source, problem := chunkText(t)
	name := "(load)"
	if s, ok := l.Get(2).(lua.LString); ok {
		name = chunkName(string(s))
	} else if s, ok := l.Get(1).(lua.LString); ok {
		name = fmt.Sprintf("[string %q]", firstLine(string(s)))
	}
	if mode, ok := l.Get(3).(lua.LString); ok && problem == nil && !strings.Contains(string(mode), "t") {
		problem = lua.LString("attempt to load a text chunk (mode is '" + string(mode) + "')")
	}
	if problem == nil {
		t.Alloc(treeSize * len(source))
		if err := tooMuch(name, source); err != nil {
			problem = lua.LString(err.Error())
		}
	}
	if problem == nil {
		proto, err := compile(name, source)
		t.Spend(len(source))
		if err == nil {
			f := t.m.root.NewFunctionFromProto(proto)
			if env, ok := l.Get(4).(*lua.LTable); ok {
				f.Env = env
			}
			l.Push(f)
			return 1
		}
		problem = lua.LString(err.Error())
	}
	l.Push(lua.LNil)
	l.Push(problem)
	return 2
}

func firstLine(s string) string {
	s, more, cut := strings.Cut(s, "\n")
	if const60 := 60; len(s) > const60 {
		s, cut = s[:const60], true
	}
	if cut && more != "" {
		s += "..."
	}
	return s
}

func chunkText(t *thread) (string, lua.LValue) {
	l := t.l
	switch v := l.Get(1).(type) {
	case lua.LString:
		return string(v), nil
	case *lua.LFunction:
		var b strings.Builder
		for {
			l.Push(v)
			if problem := t.protected(0, 1, nil); problem != nil {
				return "", problem
			}
			piece, isText := t.pop().(lua.LString)
			if !isText || piece == "" {
				return b.String(), nil
			}
			if b.Len()+len(piece) > maxString {
				return "", lua.LString("chunk too large")
			}
			b.WriteString(string(piece))
		}
	}
	wrongType(l, 1, "string")
	return "", nil
}

func baseNext(l *lua.LState) int {
	k, v, ok := next(checkTable(l, 1), l.Get(2))
	if !ok {
		stateOf(l).Errorf("invalid key to 'next'")
	}
	l.Push(k)
	if k == lua.LNil {
		return 1
	}
	l.Push(v)
	return 2
}

// inArray tells whether a key is one of the array part.
func inArray(n lua.LNumber) bool {
	return n >= 1 && n < maxArray && float64(n) == math.Trunc(float64(n))
}

var (
	nextFunction  = &lua.LFunction{IsG: true, GFunction: baseNext}   //nolint:gochecknoglobals // constants
	ipairsCounter = &lua.LFunction{IsG: true, GFunction: ipairsNext} //nolint:gochecknoglobals // constants
)

// basePairs is pairs with __pairs.
func basePairs(l *lua.LState) int {
	if l.GetTop() == 0 {
		wrongType(l, 1, "table")
	}
	v := l.Get(1)
	if f, ok := l.GetMetaField(v, "__pairs").(*lua.LFunction); ok {
		l.Push(f)
		l.Push(v)
		l.Call(1, 3)
		return 3
	}
	l.Push(nextFunction)
	l.Push(checkTable(l, 1))
	l.Push(lua.LNil)
	return 3
}

func baseIpairs(l *lua.LState) int {
	if l.GetTop() == 0 {
		wrongType(l, 1, "table")
	}
	l.Push(ipairsCounter)
	l.Push(l.Get(1))
	l.Push(lua.LNumber(0))
	return 3
}

func ipairsNext(l *lua.LState) int {
	i := l.Get(2).(lua.LNumber) + 1 //nolint:forcetypeassert // only ipairs hands this function out
	var v lua.LValue
	if t, ok := l.Get(1).(*lua.LTable); ok {
		v = rawGet(t, i)
	}
	if v == nil || v == lua.LNil {
		if l.Get(1) == lua.LNil { // the commonest mistake that there is
			stateOf(l).Errorf("bad argument #1 to 'ipairs' (table expected, got nil)")
		}
		v = getIndex(l, l.Get(1), i)
	}
	if v == lua.LNil {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(i)
	l.Push(v)
	return 2
}

func baseRawLen(l *lua.LState) int {
	switch v := l.Get(1).(type) {
	case *lua.LTable:
		l.Push(lua.LNumber(v.Len()))
	case lua.LString:
		l.Push(lua.LNumber(len(v)))
	default:
		badArgument(l, 1, "table or string expected")
	}
	return 1
}

func baseSelect(l *lua.LState) int {
	n := l.GetTop()
	if s, ok := l.Get(1).(lua.LString); ok && s == "#" {
		l.Push(lua.LNumber(n - 1))
		return 1
	}
	i := checkInt(l, 1)
	switch {
	case i < 0:
		i += n
	case i > n:
		i = n
	}
	if i < 1 {
		badArgument(l, 1, "index out of range")
	}
	return n - i
}

func baseToNumber(l *lua.LState) int {
	if l.GetTop() == 0 {
		badArgument(l, 1, "value expected")
	}
	base := 10
	if l.Get(2) != lua.LNil {
		if base = checkInt(l, 2); base < 2 || base > 36 {
			badArgument(l, 2, "base out of range")
		}
		if _, ok := l.Get(1).(lua.LString); !ok {
			wrongType(l, 1, "string")
		}
	}
	switch v := l.Get(1).(type) {
	case lua.LNumber:
		l.Push(v)
	case lua.LString:
		stateOf(l).m.pass(v, 8)
		n, ok := parseNumber(string(v), base)
		if !ok {
			l.Push(lua.LNil)
			return 1
		}
		l.Push(lua.LNumber(n))
	default:
		l.Push(lua.LNil)
	}
	return 1
}

// parseNumber reads what tonumber takes. An integer that a float64 would round is none: the caller could not tell.
func parseNumber(s string, base int) (float64, bool) {
	s = strings.ToLower(strings.Trim(s, " \t\n\v\f\r"))
	digits, negative := s, false
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		digits, negative = digits[1:], digits[0] == '-'
	}
	hex, isHex := strings.CutPrefix(digits, "0x")
	switch {
	case base == 10 && isHex && !strings.ContainsAny(hex, ".p"):
		digits, base = hex, 16
	case base == 10 && strings.ContainsAny(digits, ".epx"):
		if strings.ContainsAny(digits, "in_+") && !strings.ContainsAny(digits, "ep") || strings.Contains(digits, "_") {
			return 0, false
		}
		if isHex && !strings.Contains(digits, "p") {
			s += "p0"
		}
		n, err := strconv.ParseFloat(s, 64)
		return n, err == nil || math.IsInf(n, 0)
	}
	if digits == "" || digits[0] == '+' || digits[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil || n > maxExact {
		return 0, false
	}
	if negative {
		return -float64(n), true
	}
	return float64(n), true
}

func baseToString(l *lua.LState) int {
	if l.GetTop() == 0 {
		badArgument(l, 1, "value expected")
	}
	l.Push(toText(stateOf(l), l.Get(1)))
	return 1
}

// toText is tostring.
func toText(t *thread, v lua.LValue) lua.LString {
	switch v := v.(type) {
	case lua.LString:
		return v
	case lua.LNumber:
		return lua.LString(v.String())
	}
	if f, ok := t.l.GetMetaField(v, "__tostring").(*lua.LFunction); ok {
		t.l.Push(f)
		t.l.Push(v)
		t.l.Call(1, 1)
		text := t.l.Get(-1)
		t.l.Pop(1)
		s, ok := text.(lua.LString)
		if !ok {
			t.Errorf("'__tostring' must return a string")
		}
		return s
	}
	if name, ok := t.l.GetMetaField(v, "__name").(lua.LString); ok {
		return lua.LString(fmt.Sprintf("%s: %p", name, v))
	}
	return lua.LString(v.String())
}
