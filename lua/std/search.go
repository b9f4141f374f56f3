package std

import (
	"strconv"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

func stringFind(c call) int  { return c.search(true) }
func stringMatch(c call) int { return c.search(false) }

func (c call) search(find bool) int {
	src, pat := c.str(1), c.str(2)
	from := start(c.optInt(3, 1), len(src)) - 1
	if from > int64(len(src)) {
		c.PushNil()
		return 1
	}
	if find && (c.Bool(4) || !strings.ContainsAny(pat, "^$*+?.([%-")) {
		return c.plain(src, pat, int(from))
	}
	m := matcher{c: c, src: src, pat: pat}
	s, e := m.find(int(from))
	switch {
	case e < 0:
		c.PushNil()
		return 1
	case find:
		c.PushInt(int64(s + 1))
		c.PushInt(int64(e))
		return 2 + m.push(s, e, false)
	}
	return m.push(s, e, true)
}

// plain is find of a text that is no pattern.
func (c call) plain(src, pat string, from int) int {
	i := strings.Index(src[from:], pat)
	if i < 0 {
		c.spendBytes(len(src) - from)
		c.PushNil()
		return 1
	}
	c.spendBytes(i)
	c.PushInt(int64(from + i + 1))
	c.PushInt(int64(from + i + len(pat)))
	return 2
}

// find gives the first match from s on; e is -1 if there is none.
func (m *matcher) find(s int) (from, e int) {
	if strings.HasPrefix(m.pat, "^") {
		return s, m.match(s, 1)
	}
	first := m.first(0)
	for ; s <= len(m.src); s++ {
		if s = m.skip(s, first); s < 0 {
			break
		}
		m.reset()
		if e := m.match(s, 0); e >= 0 {
			return s, e
		}
		m.work(1)
	}
	return 0, -1
}

// first is the character that every match of the pattern from p on begins with, -1 if none is sure.
func (m *matcher) first(p int) int {
	if p >= len(m.pat) || strings.IndexByte("^$*+?.([%-)", m.pat[p]) >= 0 {
		return -1
	}
	if p+1 < len(m.pat) && strings.IndexByte("*?-", m.pat[p+1]) >= 0 {
		return -1
	}
	return int(m.pat[p])
}

// skip is the next place from s on where a match can begin, -1 if there is none.
func (m *matcher) skip(s, first int) int {
	if first < 0 {
		return s
	}
	i := strings.IndexByte(m.src[s:], byte(first))
	if i < 0 {
		m.work((len(m.src) - s) / 64)
		return -1
	}
	m.work(i / 64)
	return s + i
}

func stringGmatch(c call) int {
	m := &matcher{src: c.str(1), pat: c.str(2)}
	s := int(min(start(c.optInt(3, 1), len(m.src))-1, int64(len(m.src)+1)))
	last, fn, first := -1, c.fn, m.first(0)
	c.PushFunc("for iterator", func(state vm.State) int {
		m.c = call{state, fn}
		for ; s <= len(m.src); s++ {
			at := m.skip(s, first)
			if at < 0 {
				break
			}
			s = at
			m.reset()
			if e := m.match(s, 0); e >= 0 && e != last {
				from := s
				s, last = e, e
				return m.push(from, e, true)
			}
			m.work(1)
		}
		s = len(m.src) + 1
		return 0
	})
	return 1
}

func stringGsub(c call) int {
	src, pat := c.str(1), c.str(2)
	r := replacement{kind: c.Type(3)}
	switch r.kind {
	case vm.String, vm.Number:
		r.text = c.str(3)
		r.plain = strings.IndexByte(r.text, '%') < 0
	case vm.Table, vm.Function:
	default:
		c.wrongType(3, "string/function/table")
	}
	most := c.optInt(4, int64(len(src)+1))
	m := matcher{c: c, src: src, pat: pat}
	anchor, p := strings.HasPrefix(pat, "^"), 0
	if anchor {
		p = 1
	}
	b := c.buffer()
	s, last, done, n, first := 0, -1, 0, int64(0), m.first(p) // the text up to done is in b, or in what becomes of it
	for n < most {
		if !anchor {
			if s = m.skip(s, first); s < 0 {
				break
			}
		}
		m.reset()
		if e := m.match(s, p); e >= 0 && e != last {
			n++
			if m.replaces(&r, s, e) {
				b.add(src[done:s])
				m.write(&b, &r, s, e)
				done = e
				r.changed = true
			}
			s, last = e, e
		} else {
			s++
		}
		m.work(1)
		if anchor || s > len(src) {
			break
		}
	}
	if r.changed {
		b.add(src[done:])
		b.push()
	} else {
		c.PushString(src)
	}
	c.PushInt(n)
	return 2
}

// replacement is the third argument of gsub.
type replacement struct {
	kind    vm.Type
	text    string
	plain   bool // without a %
	changed bool
}

// replaces tells whether something takes the place of a match. If a table or a function was asked for it, it is on the top of the stack.
func (m *matcher) replaces(r *replacement, s, e int) bool {
	c := m.c
	switch r.kind {
	case vm.Table:
		m.pushOne(0, s, e)
		c.Index(3)
	case vm.Function:
		c.Copy(3)
		c.Call(m.push(s, e, true), 1)
	default:
		return true
	}
	switch c.Type(-1) {
	case vm.String, vm.Number:
		return true
	}
	if c.Bool(-1) {
		c.Errorf("invalid replacement value (a %s)", c.Type(-1))
	}
	c.Pop(1)
	return false
}

// write writes what takes the place of a match.
func (m *matcher) write(b *buffer, r *replacement, s, e int) {
	if r.kind == vm.Table || r.kind == vm.Function {
		b.add(m.c.str(-1))
		m.c.Pop(1)
		return
	}
	text := r.text
	for !r.plain {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			break
		}
		b.add(text[:i])
		if i+1 >= len(text) {
			m.c.Errorf("invalid use of '%%' in replacement string")
		}
		switch c := text[i+1]; {
		case c == '%':
			b.addByte('%')
		case c == '0':
			b.add(m.src[s:e])
		case c >= '1' && c <= '9':
			m.writeCapture(b, int(c-'1'), s, e)
		default:
			m.c.Errorf("invalid use of '%%' in replacement string")
		}
		m.work(1)
		text = text[i+2:]
	}
	b.add(text)
	m.work(len(text) / 64)
}

func (m *matcher) writeCapture(b *buffer, i, s, e int) {
	if at := m.place(i); at > 0 {
		b.fits(20)
		b.b = strconv.AppendInt(b.b, int64(at), 10)
		return
	}
	from, to := m.text(i, s, e)
	b.add(m.src[from:to])
	m.work((to - from) / 64)
}
