package gopher

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func stringFind(l *lua.LState) int  { return findOrMatch(l, true) }
func stringMatch(l *lua.LState) int { return findOrMatch(l, false) }

func findOrMatch(l *lua.LState, find bool) int {
	src, pat := checkString(l, 1), checkString(l, 2)
	init := startAt(optInt(l, 3, 1), len(src)) - 1
	if init > len(src) {
		l.Push(lua.LNil)
		return 1
	}
	if find && (l.ToBool(4) || !strings.ContainsAny(pat, "^$*+?.([%-")) {
		i := strings.Index(src[init:], pat)
		if i < 0 {
			l.Push(lua.LNil)
			return 1
		}
		l.Push(lua.LNumber(init + i + 1))
		l.Push(lua.LNumber(init + i + len(pat)))
		return 2
	}
	m := matcher{l: l, src: src, pat: pat}
	p := 0
	anchor := strings.HasPrefix(pat, "^")
	if anchor {
		p = 1
	}
	for s := init; s <= len(src); s++ {
		m.reset()
		if e := m.match(s, p); e >= 0 {
			if find {
				l.Push(lua.LNumber(s + 1))
				l.Push(lua.LNumber(e))
				return 2 + m.push(s, e, false)
			}
			return m.push(s, e, true)
		}
		if anchor {
			break
		}
	}
	l.Push(lua.LNil)
	return 1
}

// startAt makes a position that may count from the end one from the start, at least 1.
func startAt(i, size int) int {
	switch {
	case i > 0:
		return i
	case i == 0 || i < -size:
		return 1
	}
	return size + i + 1
}

func stringGmatch(l *lua.LState) int {
	src, pat := checkString(l, 1), checkString(l, 2)
	s, last := startAt(optInt(l, 3, 1), len(src))-1, -1
	l.Push(l.NewFunction(func(l *lua.LState) int {
		m := matcher{l: l, src: src, pat: pat}
		for ; s <= len(src); s++ {
			m.reset()
			if e := m.match(s, 0); e >= 0 && e != last {
				from := s
				s, last = e, e
				return m.push(from, e, true)
			}
		}
		l.Push(lua.LNil)
		return 1
	}))
	return 1
}

func stringGsub(l *lua.LState) int {
	src, pat := checkString(l, 1), checkString(l, 2)
	repl := l.Get(3)
	switch repl.(type) {
	case lua.LString, lua.LNumber, *lua.LTable, *lua.LFunction:
	default:
		wrongType(l, 3, "string/function/table")
	}
	most := optInt(l, 4, maxExact)
	m := matcher{l: l, src: src, pat: pat}
	anchor := strings.HasPrefix(pat, "^")
	p := 0
	if anchor {
		p = 1
	}
	var b strings.Builder
	s, last, n, changed := 0, -1, 0, false
	for n < most {
		m.reset()
		switch e := m.match(s, p); {
		case e >= 0 && e != last:
			n++
			changed = m.replace(&b, repl, s, e) || changed
			s, last = e, e
		case s < len(src):
			b.WriteByte(src[s])
			s++
		default:
			s++
		}
		if anchor || s > len(src) {
			break
		}
	}
	if !changed {
		l.Push(lua.LString(src))
	} else {
		if s < len(src) {
			b.WriteString(src[s:])
		}
		l.Push(lua.LString(b.String()))
	}
	l.Push(lua.LNumber(n))
	return 2
}

// replace writes what stands for a match, and tells whether that is something else.
func (m *matcher) replace(b *strings.Builder, repl lua.LValue, s, e int) bool {
	l := m.l
	var v lua.LValue
	switch r := repl.(type) {
	case *lua.LTable:
		v = l.GetTable(r, m.capture(0, s, e))
	case *lua.LFunction:
		l.Push(r)
		l.Call(m.push(s, e, true), 1)
		v = l.Get(-1)
		l.Pop(1)
	default:
		m.expand(b, repl.String(), s, e)
		return true
	}
	switch v := v.(type) {
	case lua.LString, lua.LNumber:
		m.write(b, v.String())
		return true
	case lua.LBool:
		if v {
			m.fail("invalid replacement value (a boolean)")
		}
	default:
		if v != lua.LNil {
			m.fail("invalid replacement value (a %s)", v.Type())
		}
	}
	m.write(b, m.src[s:e])
	return false
}

func (m *matcher) write(b *strings.Builder, text string) {
	if b.Len()+len(text) > maxString {
		m.fail("resulting string too large")
	}
	b.WriteString(text)
}

func (m *matcher) expand(b *strings.Builder, text string, s, e int) {
	for {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			m.write(b, text)
			return
		}
		m.write(b, text[:i])
		if i+1 >= len(text) {
			m.fail("invalid use of '%%' in replacement string")
		}
		switch c := text[i+1]; {
		case c == '%':
			b.WriteByte('%')
		case c == '0':
			m.write(b, m.src[s:e])
		case c >= '1' && c <= '9':
			m.write(b, m.capture(int(c-'1'), s, e).String())
		default:
			m.fail("invalid use of '%%' in replacement string")
		}
		text = text[i+2:]
	}
}
