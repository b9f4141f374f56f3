package syntax

import (
	"errors"
	"strconv"
)

// numeral reads a numeral: all that could belong to one, which is then converted or is malformed.
func (l *lexer) numeral(t *token) {
	src, i := l.src, l.pos
	value := int64(0)
	for i < len(src) && isDigit(src[i]) {
		value = value*10 + int64(src[i]-'0')
		i++
	}
	const safe = 18 // digits never overflow
	if i > l.pos && i-l.pos <= safe && (i == len(src) || src[i] != '.' && !isLetter(src[i])) {
		t.kind, t.i, l.pos = kInt, value, i
		return
	}
	l.pos = numeralEnd(src, l.pos)
	var isInt, ok bool
	t.i, t.f, isInt, ok = Number(src[t.start:l.pos])
	switch {
	case !ok:
		l.failToken(t.pos, "malformed number", src[t.start:l.pos])
	case isInt:
		t.kind = kInt
	default:
		t.kind = kFloat
	}
}

// numeralEnd is where a numeral ends, well formed or not: behind the digits, dots and exponents that follow each other, and behind a letter that touches them.
func numeralEnd(src string, i int) int {
	if src[i] == '.' {
		i++
	}
	exponent := byte('e')
	if src[i] == '0' && i+1 < len(src) && src[i+1]|0x20 == 'x' {
		exponent = 'p'
		i++
	}
	i++
	for i < len(src) {
		c := src[i]
		switch {
		case c|0x20 == exponent:
			if i+1 < len(src) && (src[i+1] == '-' || src[i+1] == '+') {
				i++
			}
		case !isHex(c) && c != '.':
			if isLetter(c) {
				i++
			}
			return i
		}
		i++
	}
	return i
}

// Number converts a string to a number as Lua 5.4 does, for tonumber and for arithmetic on strings: to i if isInt, to f otherwise. White space around it and a
// sign are allowed. A decimal integer that does not fit becomes a float, a hexadecimal one wraps around; a float that is too large becomes infinite. The words
// inf and nan are no numbers. ok tells whether it is one.
func Number(text string) (i int64, f float64, isInt, ok bool) {
	s := text
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	digits, negative := s, false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		digits, negative = s[1:], s[0] == '-'
	}
	isDigitOf, exponent, hex := isDigit, byte('e'), false
	if len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		isDigitOf, exponent, hex = isHex, 'p', true
		digits = digits[2:]
	}
	whole := run(digits, isDigitOf)
	if whole > 0 && whole == len(digits) {
		if i, ok = integer(digits, negative, hex); ok {
			return i, 0, true, true
		}
	}
	exp, ok := floatExponent(digits, whole, isDigitOf, exponent)
	if !ok {
		return 0, 0, false, false
	}
	if hex && !exp {
		s += "p0" // which strconv wants to see
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, 0, false, false
	}
	return 0, f, false, true
}

// run counts the digits that s begins with.
func run(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) && is(s[n]) {
		n++
	}
	return n
}

// integer converts digits; decimal ones have to fit.
func integer(digits string, negative, hex bool) (int64, bool) {
	value := uint64(0)
	if hex {
		for n := range len(digits) {
			value = value<<4 | uint64(hexValue(digits[n]))
		}
	} else {
		limit := uint64(1<<63 - 1)
		if negative {
			limit++
		}
		for n := range len(digits) {
			d := uint64(digits[n] - '0')
			if value > (limit-d)/10 {
				return 0, false
			}
			value = value*10 + d
		}
	}
	if negative {
		value = -value
	}
	return int64(value), true
}

// floatExponent tells whether s, which begins with the given number of digits, is a float without its sign and 0x, and whether it has an exponent.
func floatExponent(s string, whole int, isDigitOf func(byte) bool, exponent byte) (has, ok bool) {
	rest, fraction := s[whole:], 0
	if rest != "" && rest[0] == '.' {
		fraction = run(rest[1:], isDigitOf)
		rest = rest[1+fraction:]
	}
	if whole+fraction == 0 {
		return false, false
	}
	if rest == "" {
		return false, true
	}
	if rest[0]|0x20 != exponent {
		return false, false
	}
	rest = rest[1:]
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		rest = rest[1:]
	}
	return true, rest != "" && run(rest, isDigit) == len(rest)
}
