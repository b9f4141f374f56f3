package syntax

// quoted reads a string between quotes. One without escapes is a piece of the source.
func (l *lexer) quoted(t *token, quote byte) {
	t.kind = kString
	start := l.pos + 1
	for i := start; i < len(l.src); i++ {
		switch c := l.src[i]; c {
		case quote:
			t.text = l.src[start:i]
			l.pos = i + 1
			return
		case '\\':
			l.buf = append(l.buf[:0], l.src[l.pos:i]...)
			l.pos = i
			l.escaped(t, quote)
			return
		case '\n', '\r':
			l.failToken(t.pos, "unfinished string", l.src[l.pos:i])
		}
	}
	l.pos = len(l.src)
	l.fail(l.place(l.pos), "unfinished string near <eof>")
}

// escaped reads the rest of a string from its first backslash on. The opening quote is in l.buf too, for messages.
func (l *lexer) escaped(t *token, quote byte) {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; c {
		case quote:
			l.pos++
			t.text = string(l.buf[1:])
			return
		case '\\':
			l.escape(t)
		case '\n', '\r':
			l.failToken(t.pos, "unfinished string", string(l.buf))
		default:
			l.buf = append(l.buf, c)
			l.pos++
		}
	}
	l.fail(l.place(l.pos), "unfinished string near <eof>")
}

// escape reads one escape sequence.
func (l *lexer) escape(t *token) {
	if l.pos+1 >= len(l.src) {
		l.pos++ // unfinished, as the caller finds
		return
	}
	c := l.src[l.pos+1]
	switch c {
	case 'a':
		c = '\a'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'v':
		c = '\v'
	case '\\', '"', '\'':
	case '\n', '\r':
		l.pos++
		l.newline()
		l.buf = append(l.buf, '\n')
		return
	case 'x':
		l.hexEscape()
		return
	case 'u':
		l.utf8Escape()
		return
	case 'z':
		l.pos += 2
		l.skipSpace()
		return
	default:
		l.decimalEscape()
		return
	}
	l.buf = append(l.buf, c)
	l.pos += 2
}

// skipSpace skips white space, with the ends of lines in it.
func (l *lexer) skipSpace() {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\n' || c == '\r':
			l.newline()
		case isSpace(c):
			l.pos++
		default:
			return
		}
	}
}

// failEscape gives the source up at byte n of the escape sequence that is next; the message shows the string up to there.
func (l *lexer) failEscape(n int, message string) {
	raw := l.src[l.pos:min(l.pos+n+1, len(l.src))]
	l.failToken(l.place(l.pos), message, string(l.buf)+raw)
}

// hexEscape reads \xXX.
func (l *lexer) hexEscape() {
	for n := 2; n < 4; n++ {
		if !isHex(l.peek(n)) {
			l.failEscape(n, "hexadecimal digit expected")
		}
	}
	l.buf = append(l.buf, hexValue(l.peek(2))<<4|hexValue(l.peek(3)))
	l.pos += 4
}

// utf8Escape reads \u{XXX}. Values go to 2³¹-1, as in the first edition of UTF-8.
func (l *lexer) utf8Escape() {
	if l.peek(2) != '{' {
		l.failEscape(2, "missing '{'")
	}
	if !isHex(l.peek(3)) {
		l.failEscape(3, "hexadecimal digit expected")
	}
	n, value := 3, uint32(0)
	for ; isHex(l.peek(n)); n++ {
		if value > 0x7FFFFFFF>>4 {
			l.failEscape(n, "UTF-8 value too large")
		}
		value = value<<4 | uint32(hexValue(l.peek(n)))
	}
	if l.peek(n) != '}' {
		l.failEscape(n, "missing '}'")
	}
	l.buf = appendUTF8(l.buf, value)
	l.pos += n + 1
}

// appendUTF8 encodes in up to six bytes what unicode/utf8 would not encode: surrogates, and values up to 2³¹-1.
func appendUTF8(b []byte, value uint32) []byte {
	if value < 0x80 {
		return append(b, byte(value))
	}
	var tail [6]byte
	at, room := len(tail), uint32(0x3f) // room is the greatest value that fits in the first byte
	for value > room {
		at--
		tail[at] = byte(0x80 | value&0x3f)
		value >>= 6
		room >>= 1
	}
	at--
	tail[at] = byte(^room<<1) | byte(value)
	return append(b, tail[at:]...)
}

// decimalEscape reads \ddd.
func (l *lexer) decimalEscape() {
	n, value := 1, 0
	for ; n < 4 && isDigit(l.peek(n)); n++ {
		value = value*10 + int(l.peek(n)-'0')
	}
	switch {
	case n == 1:
		l.failEscape(1, "invalid escape sequence")
	case value > 255:
		l.failEscape(n, "decimal escape too large")
	}
	l.buf = append(l.buf, byte(value))
	l.pos += n
}
