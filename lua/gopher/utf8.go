package gopher

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The utf8 library of Lua 5.4 (lutf8lib.c). It decodes by itself, since Lua can be told to take what Unicode does not have.

func continues(c byte) bool { return c&0xc0 == 0x80 }

// decode reads a character at the start of s; size is 0 if there is none.
func decode(s string, lax bool) (r uint32, size int) {
	if s == "" {
		return 0, 0
	}
	c := s[0]
	switch {
	case c < 0x80:
		return uint32(c), 1
	case c < 0xc0:
		return 0, 0
	case c < 0xe0:
		r, size = uint32(c&0x1f), 2
	case c < 0xf0:
		r, size = uint32(c&0x0f), 3
	case c < 0xf8:
		r, size = uint32(c&0x07), 4
	case c < 0xfc:
		r, size = uint32(c&0x03), 5
	case c < 0xfe:
		r, size = uint32(c&0x01), 6
	default:
		return 0, 0
	}
	if len(s) < size {
		return 0, 0
	}
	for i := 1; i < size; i++ {
		if !continues(s[i]) {
			return 0, 0
		}
		r = r<<6 | uint32(s[i]&0x3f)
	}
	least := [...]uint32{0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000}[size]
	if r < least || !lax && (r > 0x10ffff || r >= 0xd800 && r < 0xe000) {
		return 0, 0
	}
	return r, size
}

func utf8Char(l *lua.LState) int {
	var b strings.Builder
	for i := 1; i <= l.GetTop(); i++ {
		n := checkInteger(l, i)
		if n < 0 || n > 0x7fffffff {
			badArgument(l, i, "value out of range")
		}
		b.Write(encodeUTF8(uint32(n)))
	}
	l.Push(lua.LString(b.String()))
	return 1
}

// place makes a position that may count from the end one from the start; 0 is before it.
func place(i, size int) int {
	switch {
	case i >= 0:
		return i
	case -i > size:
		return 0
	}
	return size + i + 1
}

func utf8Codepoint(l *lua.LState) int {
	s := checkString(l, 1)
	i := place(optInt(l, 2, 1), len(s))
	j := place(optInt(l, 3, i), len(s))
	if i < 1 {
		badArgument(l, 2, "out of bounds")
	}
	if j > len(s) {
		badArgument(l, 3, "out of bounds")
	}
	if j-i >= maxResults {
		stateOf(l).Errorf("string slice too long")
	}
	n := 0
	for at := i - 1; at < j; n++ {
		r, size := decode(s[at:], l.ToBool(4))
		if size == 0 {
			stateOf(l).Errorf("invalid UTF-8 code")
		}
		l.Push(lua.LNumber(r))
		at += size
	}
	return n
}

func utf8Len(l *lua.LState) int {
	s := checkString(l, 1)
	i, j := place(optInt(l, 2, 1), len(s)), place(optInt(l, 3, -1), len(s))
	if i < 1 || i > len(s)+1 {
		badArgument(l, 2, "initial position out of bounds")
	}
	if j > len(s) {
		badArgument(l, 3, "final position out of bounds")
	}
	n := 0
	for at := i - 1; at < j; n++ {
		_, size := decode(s[at:], l.ToBool(4))
		if size == 0 {
			l.Push(lua.LNil)
			l.Push(lua.LNumber(at + 1))
			return 2
		}
		at += size
	}
	l.Push(lua.LNumber(n))
	return 1
}

func utf8Offset(l *lua.LState) int {
	s, n := checkString(l, 1), checkInt(l, 2)
	start := 1
	if n <= 0 {
		start = len(s) + 1
	}
	i := place(optInt(l, 3, start), len(s)) - 1
	if i < 0 || i > len(s) {
		badArgument(l, 3, "position out of bounds")
	}
	at := func(i int) bool { return i < len(s) && continues(s[i]) }
	switch {
	case n == 0:
		for i > 0 && at(i) {
			i--
		}
	case at(i):
		stateOf(l).Errorf("initial position is a continuation byte")
	case n < 0:
		for n < 0 && i > 0 {
			for i--; i > 0 && at(i); i-- {
			}
			n++
		}
	default:
		for n--; n > 0 && i < len(s); n-- {
			for i++; at(i); i++ {
			}
		}
	}
	if n != 0 {
		l.Push(lua.LNil)
	} else {
		l.Push(lua.LNumber(i + 1))
	}
	return 1
}

func utf8Codes(l *lua.LState) int {
	s, lax := checkString(l, 1), l.ToBool(2)
	l.Push(l.NewFunction(func(l *lua.LState) int {
		i := checkInt(l, 2)
		for i < len(s) && i > 0 && continues(s[i]) {
			i++
		}
		if i >= len(s) {
			return 0
		}
		r, size := decode(s[i:], lax)
		if size == 0 || i+size < len(s) && continues(s[i+size]) {
			stateOf(l).Errorf("invalid UTF-8 code")
		}
		l.Push(lua.LNumber(i + 1))
		l.Push(lua.LNumber(r))
		return 2
	}))
	l.Push(lua.LString(s))
	l.Push(lua.LNumber(0))
	return 3
}
