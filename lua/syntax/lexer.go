package syntax

import "strings"

// lexer cuts a source into tokens. Tokens have their texts in common with the source: only strings with escapes need memory of their own.
type lexer struct {
	chunk string
	src   string
	pos   int   // of the next byte
	line  int32 // where that is
	bol   int   // the beginning of that line
	buf   []byte
}

// place is the position of a byte of the present line.
func (l *lexer) place(at int) Pos { return Pos{l.line, int32(at - l.bol + 1)} }

// peek is the byte n behind the next one, 0 behind the end.
func (l *lexer) peek(n int) byte {
	if l.pos+n < len(l.src) {
		return l.src[l.pos+n]
	}
	return 0
}

// newline skips the end of a line: \n, \r, or both in any order.
func (l *lexer) newline() {
	c := l.src[l.pos]
	l.pos++
	if n := l.peek(0); (n == '\n' || n == '\r') && n != c {
		l.pos++
	}
	l.line++
	l.bol = l.pos
}

// skipHead skips what only files have: the mark of UTF-8, and a first line for the shell.
func (l *lexer) skipHead() {
	if strings.HasPrefix(l.src, "\xEF\xBB\xBF") {
		l.pos = 3
	}
	if l.peek(0) == '#' {
		l.skipLine()
	}
}

// skipLine moves to the end of the line.
func (l *lexer) skipLine() {
	i := l.pos
	for i < len(l.src) && l.src[i] != '\n' && l.src[i] != '\r' {
		i++
	}
	l.pos = i
}

// lex reads the next token.
func (l *lexer) lex(t *token) {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch c {
		case ' ', '\t', '\f', '\v':
			l.pos++
			continue
		case '\n', '\r':
			l.newline()
			continue
		case '-':
			if l.peek(1) == '-' {
				l.comment()
				continue
			}
		}
		t.start, t.pos = l.pos, l.place(l.pos)
		l.word(t, c)
		t.end = l.pos
		return
	}
	t.kind, t.start, t.end, t.pos = kEOF, l.pos, l.pos, l.place(l.pos)
}

// word reads a token that begins with c.
func (l *lexer) word(t *token, c byte) {
	switch c {
	case '[':
		l.bracket(t)
	case '"', '\'':
		l.quoted(t, c)
	case '.':
		l.dots(t)
	case '=':
		l.pair(t, '=', kEq, 0, 0)
	case '<':
		l.pair(t, '=', kLe, '<', kShl)
	case '>':
		l.pair(t, '=', kGe, '>', kShr)
	case '~':
		l.pair(t, '=', kNe, 0, 0)
	case '/':
		l.pair(t, '/', kIDiv, 0, 0)
	case ':':
		l.pair(t, ':', kColons, 0, 0)
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		l.numeral(t)
	default:
		if !isLetter(c) {
			t.kind = kind(c)
			l.pos++
			return
		}
		i := l.pos + 1
		for i < len(l.src) && (isLetter(l.src[i]) || isDigit(l.src[i])) {
			i++
		}
		t.text = l.src[l.pos:i]
		t.kind = reserved(t.text)
		l.pos = i
	}
}

// pair reads a token that may have a second byte: a makes it ka, b makes it kb.
func (l *lexer) pair(t *token, a byte, ka kind, b byte, kb kind) {
	t.kind = kind(l.src[l.pos])
	l.pos++
	switch c := l.peek(0); {
	case c == a:
		t.kind = ka
		l.pos++
	case b != 0 && c == b:
		t.kind = kb
		l.pos++
	}
}

// dots reads what begins with a dot: `.`, `..`, `...` or a numeral.
func (l *lexer) dots(t *token) {
	switch {
	case isDigit(l.peek(1)):
		l.numeral(t)
	case l.peek(1) != '.':
		t.kind = '.'
		l.pos++
	case l.peek(2) != '.':
		t.kind = kConcat
		l.pos += 2
	default:
		t.kind = kDots
		l.pos += 3
	}
}

// bracket reads `[` or a long string.
func (l *lexer) bracket(t *token) {
	level, opens := l.level('[')
	switch {
	case opens:
		t.kind = kString
		t.text = l.long("string", level)
	case level > 0:
		l.pos += 1 + level
		l.failToken(t.pos, "invalid long string delimiter", l.src[t.start:l.pos])
	default:
		t.kind = '['
		l.pos++
	}
}

// comment skips a comment.
func (l *lexer) comment() {
	l.pos += 2
	if l.peek(0) == '[' {
		if level, opens := l.level('['); opens {
			l.long("comment", level)
			return
		}
	}
	l.skipLine()
}

// level counts the = behind the bracket that is next, and tells whether another bracket follows them.
func (l *lexer) level(bracket byte) (n int, closed bool) {
	i := l.pos + 1
	for i < len(l.src) && l.src[i] == '=' {
		i++
	}
	return i - l.pos - 1, i < len(l.src) && l.src[i] == bracket
}

// long reads a long string, or comment, and returns what is in it. Ends of lines become \n.
func (l *lexer) long(what string, level int) string {
	began := l.line
	l.pos += level + 2
	if c := l.peek(0); c == '\n' || c == '\r' {
		l.newline()
	}
	start, returns := l.pos, false
	for l.pos < len(l.src) {
		switch l.src[l.pos] {
		case ']':
			n, closed := l.level(']')
			if closed && n == level {
				text := l.src[start:l.pos]
				l.pos += level + 2
				if returns && what == "string" {
					return unixLines(text)
				}
				return text
			}
			l.pos += 1 + n
		case '\r':
			returns = true
			l.newline()
		case '\n':
			returns = returns || l.peek(1) == '\r'
			l.newline()
		default:
			l.pos++
		}
	}
	l.fail(l.place(l.pos), "unfinished long "+what+" (starting at line "+itoa(int(began))+") near <eof>")
	return ""
}

// unixLines makes all ends of lines \n.
func unixLines(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\n' && c != '\r' {
			b = append(b, c)
			continue
		}
		b = append(b, '\n')
		if i+1 < len(s) && (s[i+1] == '\n' || s[i+1] == '\r') && s[i+1] != c {
			i++
		}
	}
	return string(b)
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 || c == '_' }

func isDigit(c byte) bool { return c-'0' < 10 }

func isHex(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 6 }

func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

// hexValue is the value of a hexadecimal digit.
func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
