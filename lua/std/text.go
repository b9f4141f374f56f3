package std

import "strings"

// bytesOf is a string of all bytes, of which those that are one byte long are parts.
var bytesOf = func() string { //nolint:gochecknoglobals // a constant
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

// part is s[i:j] that does not keep a much larger s in memory.
func part(s string, i, j int) string {
	const long, share = 512, 8
	switch n := j - i; {
	case n == 1:
		return bytesOf[s[i]:][:1]
	case len(s) >= long && n < len(s)/share:
		return strings.Clone(s[i:j])
	}
	return s[i:j]
}

func stringLen(c call) int {
	if s, ok := c.String(1); ok {
		c.PushInt(int64(len(s)))
	} else {
		c.PushInt(int64(len(c.str(1))))
	}
	return 1
}

func stringSub(c call) int {
	s := c.str(1)
	i := start(c.integer(2), len(s))
	j := end(c.optInt(3, -1), len(s))
	switch {
	case i > j:
		c.PushString("")
	case i == 1 && j == int64(len(s)):
		c.PushString(s)
	default:
		c.PushString(part(s, int(i-1), int(j)))
	}
	return 1
}

func stringByte(c call) int {
	s := c.str(1)
	pi := c.optInt(2, 1)
	i := start(pi, len(s))
	j := end(c.optInt(3, pi), len(s))
	if i > j {
		return 0
	}
	c.room(j-i+1, "stack overflow (string slice too long)")
	for k := i - 1; k < j; k++ {
		c.PushInt(int64(s[k]))
	}
	return int(j - i + 1)
}

func stringChar(c call) int {
	n := c.Top()
	if n == 1 {
		c.PushString(bytesOf[c.char(1):][:1])
		return 1
	}
	b := c.buffer()
	b.fits(n)
	for i := 1; i <= n; i++ {
		b.b = append(b.b, c.char(i))
	}
	b.push()
	return 1
}

func (c call) char(i int) byte {
	n := c.integer(i)
	if n < 0 || n > 255 {
		c.bad(i, "value out of range")
	}
	return byte(n)
}

func stringLower(c call) int { return c.letters('A', 'Z') }
func stringUpper(c call) int { return c.letters('a', 'z') }

// letters changes the case of letters of ASCII.
func (c call) letters(from, to byte) int {
	s := c.str(1)
	c.spendBytes(len(s) * 4)
	at := 0
	for at < len(s) && (s[at] < from || s[at] > to) {
		at++
	}
	if at == len(s) {
		c.PushString(s)
		return 1
	}
	b := c.buffer()
	b.add(s)
	for i := at; i < len(b.b); i++ {
		if b.b[i] >= from && b.b[i] <= to {
			b.b[i] ^= 0x20
		}
	}
	b.push()
	return 1
}

func stringReverse(c call) int {
	s := c.str(1)
	c.spendBytes(len(s) * 4)
	b := c.buffer()
	b.fits(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		b.b = append(b.b, s[i])
	}
	b.push()
	return 1
}

func stringRep(c call) int {
	s, n, sep := c.str(1), c.integer(2), c.optStr(3, "")
	if n <= 0 || len(s)+len(sep) == 0 {
		c.PushString("")
		return 1
	}
	if n > int64(maxString/(len(s)+len(sep))) {
		c.Errorf("resulting string too large")
	}
	size := int(n)*(len(s)+len(sep)) - len(sep)
	c.alloc(size)
	c.spendBytes(size)
	if sep == "" {
		c.PushString(strings.Repeat(s, int(n)))
		return 1
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(s)
	if n > 1 {
		unit := sep + s
		for b.WriteString(unit); b.Len() < size; {
			done := b.String()[len(s):] // whole units
			b.WriteString(done[:min(len(done), size-b.Len())])
		}
	}
	c.PushString(b.String())
	return 1
}
