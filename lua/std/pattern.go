package std

import "strings"

// Lua's patterns (Lua 5.4 manual, 6.4.1).

const (
	maxCaptures    = 32
	maxMatchDepth  = 200
	openCapture    = -1
	placeOfCapture = -2
	stepsAtOnce    = 256 // steps of matching between two looks at the budget
)

type capture struct{ start, size int }

type matcher struct {
	c        call
	src, pat string
	level    int
	depth    int
	steps    int
	sets     [4]struct {
		at  int // where in the pattern, counted from 1
		set charset
	}
	captures [maxCaptures]capture
}

// work counts steps of matching towards the budget.
func (m *matcher) work(n int) {
	if m.steps += n; m.steps >= stepsAtOnce {
		n, m.steps = m.steps, 0
		m.c.Spend(n)
	}
}

// classEnd is where the single character class at p ends.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pat) {
			m.c.Errorf("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		return m.setEnd(p)
	}
	return p
}

// setEnd is where the set ends whose first character, behind the bracket, is at p.
func (m *matcher) setEnd(p int) int {
	from := p
	if p < len(m.pat) && m.pat[p] == '^' {
		p++
	}
	for first := true; first || p < len(m.pat) && m.pat[p] != ']'; first = false { // a bracket that is first is one of the set
		if p >= len(m.pat) {
			break
		}
		if m.pat[p] == '%' {
			p++
		}
		p++
	}
	if p >= len(m.pat) {
		m.c.Errorf("malformed pattern (missing ']')")
	}
	m.work((p - from) / 8)
	return p + 1
}

// set is the set that begins at p, with its bracket; end is its closing one. The matcher remembers some that it has read.
func (m *matcher) set(p, end int) *charset {
	known := &m.sets[p%len(m.sets)]
	if known.at == p+1 {
		return &known.set
	}
	known.at, known.set = p+1, charset{}
	m.work((end - p) / 4)
	set := &known.set
	p++
	invert := m.pat[p] == '^'
	if invert {
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.pat[p] == '%':
			p++
			set.addSet(&classes[m.pat[p]])
		case p+2 < end && m.pat[p+1] == '-':
			for c := int(m.pat[p]); c <= int(m.pat[p+2]); c++ {
				set.add(byte(c))
			}
			p += 2
		default:
			set.add(m.pat[p])
		}
	}
	if invert {
		set.invert()
	}
	return set
}

// single tells whether the text at s is one of the class from p to end.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return classes[m.pat[p+1]].has(c)
	case '[':
		return m.set(p, end-1).has(c)
	}
	return m.pat[p] == c
}

// match gives the end of a match of the pattern from p on with the text from s on, -1 if there is none.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.c.Errorf("pattern too complex")
	}
	e := m.items(s, p)
	m.depth--
	return e
}

// items is match without a look at the depth.
func (m *matcher) items(s, p int) int {
	for p < len(m.pat) {
		m.work(1)
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(s, p+2, placeOfCapture)
			}
			return m.startCapture(s, p+1, openCapture)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if next, at, special := m.special(s, p); special {
				if at < 0 {
					return -1
				}
				s, p = at, next
				continue
			}
		}
		end := m.classEnd(p)
		suffix := byte(0)
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if r := m.match(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.most(s, p, end)
		case '+':
			if !m.single(s, p, end) {
				return -1
			}
			return m.most(s+1, p, end)
		case '-':
			return m.least(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s++
			p = end
		}
	}
	return s
}

// special matches %b, %f or a back reference at p, if there is one: next is the pattern behind it, at the text behind its match, -1 if there is none.
func (m *matcher) special(s, p int) (next, at int, special bool) {
	if p+1 >= len(m.pat) {
		return 0, 0, false
	}
	switch c := m.pat[p+1]; {
	case c == 'b':
		return p + 4, m.balance(s, p+2), true
	case c == 'f':
		next, at = m.frontier(s, p+2)
		return next, at, true
	case c >= '0' && c <= '9':
		return p + 2, m.again(s, c), true
	}
	return 0, 0, false
}

func (m *matcher) frontier(s, p int) (next, at int) {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.c.Errorf("missing '[' after '%%f' in pattern")
	}
	next = m.classEnd(p)
	var before, after byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		after = m.src[s]
	}
	if set := m.set(p, next-1); set.has(before) || !set.has(after) {
		return next, -1
	}
	return next, s
}

// most matches as many of a class as there are, and less if what follows does not match behind them.
func (m *matcher) most(s, p, end int) int {
	n := m.run(s, p, end)
	if end+1 == len(m.pat) { // nothing follows
		return s + n
	}
	for ; n >= 0; n-- {
		if r := m.match(s+n, end+1); r >= 0 {
			return r
		}
		m.work(1)
	}
	return -1
}

// run is how many of a class the text has from s on.
func (m *matcher) run(s, p, end int) int {
	text, n := m.src[s:], 0
	var set *charset
	switch m.pat[p] {
	case '.':
		return len(text)
	case '%':
		set = &classes[m.pat[p+1]]
	case '[':
		set = m.set(p, end-1)
	default:
		for n < len(text) && text[n] == m.pat[p] {
			n++
		}
		m.work(n / 8)
		return n
	}
	for n < len(text) && set.has(text[n]) {
		n++
	}
	m.work(n / 8)
	return n
}

// least matches as few of a class as what follows allows.
func (m *matcher) least(s, p, end int) int {
	for {
		if r := m.match(s, end+1); r >= 0 {
			return r
		}
		if !m.single(s, p, end) {
			return -1
		}
		m.work(1)
		s++
	}
}

func (m *matcher) startCapture(s, p, what int) int {
	if m.level >= maxCaptures {
		m.c.Errorf("too many captures")
	}
	m.captures[m.level] = capture{s, what}
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(s, p int) int {
	i := m.level - 1
	for ; i >= 0 && m.captures[i].size != openCapture; i-- {
	}
	if i < 0 {
		m.c.Errorf("invalid pattern capture")
	}
	m.captures[i].size = s - m.captures[i].start
	r := m.match(s, p)
	if r < 0 {
		m.captures[i].size = openCapture
	}
	return r
}

// balance matches from s on what begins with the character at p of the pattern and ends with the one behind, with as many of both.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.c.Errorf("malformed pattern (missing arguments to '%%b')")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	opens, closes, depth := m.pat[p], m.pat[p+1], 1
	for i := s + 1; i < len(m.src); i++ {
		if i%stepsAtOnce == 0 {
			m.work(stepsAtOnce / 4)
		}
		switch m.src[i] {
		case closes:
			if depth--; depth == 0 {
				return i + 1
			}
		case opens:
			depth++
		}
	}
	return -1
}

// again matches what a capture has matched.
func (m *matcher) again(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= m.level || m.captures[i].size == openCapture {
		m.c.Errorf("invalid capture index %%%d", i+1)
	}
	c := m.captures[i]
	if c.size < 0 {
		return -1 // of a place, nothing can be as long as it in the reference implementation
	}
	m.work(c.size / 32)
	if strings.HasPrefix(m.src[s:], m.src[c.start:c.start+c.size]) {
		return s + c.size
	}
	return -1
}

// reset is called before each match from a new start.
func (m *matcher) reset() { m.level, m.depth = 0, 0 }

// place is where a capture is if it has captured a place, else 0.
func (m *matcher) place(i int) int {
	if i < m.level && m.captures[i].size == placeOfCapture {
		return m.captures[i].start + 1
	}
	return 0
}

// text is a capture; that of a pattern without any is the whole match from s to e.
func (m *matcher) text(i, s, e int) (from, to int) {
	if i >= m.level {
		if i > 0 {
			m.c.Errorf("invalid capture index %%%d", i+1)
		}
		return s, e
	}
	c := m.captures[i]
	if c.size == openCapture {
		m.c.Errorf("unfinished capture")
	}
	return c.start, c.start + c.size
}

// pushOne pushes the value of a capture.
func (m *matcher) pushOne(i, s, e int) {
	if at := m.place(i); at > 0 {
		m.c.PushInt(int64(at))
		return
	}
	from, to := m.text(i, s, e)
	m.c.PushString(part(m.src, from, to))
}

// push pushes all captures of a match, or the whole of it.
func (m *matcher) push(s, e int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.pushOne(i, s, e)
	}
	return n
}
