package std

import "github.com/skua-go/skua/lua/vm"

// The library decodes by itself, since Lua can be told to take what Unicode does not have.

const maxUTF = 0x7fffffff

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

// AppendUTF8 appends a character of up to 31 bits as Lua encodes it, which goes on where Unicode ends.
func AppendUTF8(b []byte, r uint32) []byte {
	if r < 0x80 {
		return append(b, byte(r))
	}
	size := 2
	for r >= 1<<(5*size+1) && size < 6 {
		size++
	}
	b = append(b, ^byte(0)<<(8-size)|byte(r>>(6*(size-1))))
	for i := size - 2; i >= 0; i-- {
		b = append(b, 0x80|byte(r>>(6*i))&0x3f)
	}
	return b
}

func utf8Char(c call) int {
	b := c.buffer()
	for i := 1; i <= c.Top(); i++ {
		n := c.integer(i)
		if n < 0 || n > maxUTF {
			c.bad(i, "value out of range")
		}
		b.fits(6)
		b.b = AppendUTF8(b.b, uint32(n))
	}
	b.push()
	return 1
}

func utf8Codepoint(c call) int {
	s := c.str(1)
	i := place(c.optInt(2, 1), len(s))
	j := place(c.optInt(3, i), len(s))
	lax := c.Bool(4)
	if i < 1 {
		c.bad(2, "out of bounds")
	}
	if j > int64(len(s)) {
		c.bad(3, "out of bounds")
	}
	if i > j {
		return 0
	}
	if j-i >= maxResults {
		c.Errorf("string slice too long")
	}
	c.room(j-i+1, "string slice too long")
	n := 0
	for at := int(i - 1); at < int(j); n++ {
		r, size := decode(s[at:], lax)
		if size == 0 {
			c.Errorf("invalid UTF-8 code")
		}
		c.PushInt(int64(r))
		at += size
	}
	return n
}

func utf8Len(c call) int {
	s := c.str(1)
	i, j := place(c.optInt(2, 1), len(s)), place(c.optInt(3, -1), len(s))
	lax := c.Bool(4)
	if i < 1 || i > int64(len(s))+1 {
		c.bad(2, "initial position out of bounds")
	}
	if j > int64(len(s)) {
		c.bad(3, "final position out of bounds")
	}
	n := 0
	for at := int(i - 1); at < int(j); n++ {
		if n%itemsAtOnce == itemsAtOnce-1 {
			c.Spend(itemsAtOnce / 4)
		}
		_, size := decode(s[at:], lax)
		if size == 0 {
			c.PushNil()
			c.PushInt(int64(at + 1))
			return 2
		}
		at += size
	}
	c.PushInt(int64(n))
	return 1
}

func utf8Offset(c call) int {
	s, n := c.str(1), c.integer(2)
	from := 1
	if n < 0 {
		from = len(s) + 1
	}
	start := place(c.optInt(3, int64(from)), len(s)) - 1
	if start < 0 || start > int64(len(s)) {
		c.bad(3, "position out of bounds")
	}
	i := int(start)
	at := func(i int) bool { return i < len(s) && continues(s[i]) }
	switch {
	case n == 0:
		for i > 0 && at(i) {
			i--
		}
	case at(i):
		c.Errorf("initial position is a continuation byte")
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
	c.Spend(max(i-int(start), int(start)-i) / 4)
	if n != 0 {
		c.PushNil()
	} else {
		c.PushInt(int64(i + 1))
	}
	return 1
}

// The iterators of utf8.codes, whose state is the string.
var (
	strictCodes vm.Func = func(s vm.State) int { return call{s, "utf8.codes"}.code(false) } //nolint:gochecknoglobals // a constant
	laxCodes    vm.Func = func(s vm.State) int { return call{s, "utf8.codes"}.code(true) }  //nolint:gochecknoglobals // a constant
)

func utf8Codes(c call) int {
	s := c.str(1)
	iterator := strictCodes
	if c.Bool(2) {
		iterator = laxCodes
	}
	c.PushFunc("for iterator", iterator)
	c.PushString(s)
	c.PushInt(0)
	return 3
}

// code gives the character behind the one at the control variable.
func (c call) code(lax bool) int {
	s := c.str(1)
	k, _ := c.Int(2)
	i := uint64(k)
	if i > 0 && i <= uint64(len(s)) { // from the character's first byte, which is at i-1, to the next one's
		for i < uint64(len(s)) && continues(s[i]) {
			i++
		}
		c.Spend(int(i-uint64(k)) / 4)
	}
	if i >= uint64(len(s)) {
		return 0
	}
	r, size := decode(s[i:], lax)
	if size == 0 || int(i)+size < len(s) && continues(s[int(i)+size]) {
		c.Errorf("invalid UTF-8 code")
	}
	c.PushInt(int64(i) + 1)
	c.PushInt(int64(r))
	return 2
}
