package std

import (
	"math"
	"strings"
)

// string.pack and its like (Lua 5.4 manual, 6.4.2), with the sizes of a C of 64 bits, little endian.

const (
	maxIntSize   = 16 // bytes
	nativeAlign  = 8
	maxFormatInt = math.MaxInt32 // of the numbers in a format, and of packsize
)

// packer reads the options of a format.
type packer struct {
	c      call
	format string
	big    bool
	align  int
}

// option is one item of a format: size bytes behind pad bytes for its alignment.
type option struct {
	kind byte
	size int
	pad  int
}

func (c call) packer() *packer { return &packer{c: c, format: c.str(1), align: 1} }

// number reads digits of the format.
func (p *packer) number(otherwise int) int {
	n, found := 0, false
	for p.format != "" && p.format[0] >= '0' && p.format[0] <= '9' && n <= (maxFormatInt-9)/10 {
		n, found = n*10+int(p.format[0]-'0'), true
		p.format = p.format[1:]
	}
	if !found {
		return otherwise
	}
	return n
}

func (p *packer) limited(otherwise int) int {
	n := p.number(otherwise)
	if n < 1 || n > maxIntSize {
		p.c.Errorf("integral size (%d) out of limits [1,%d]", n, maxIntSize)
	}
	return n
}

// next reads an option; at is how many bytes there are before it.
func (p *packer) next(at int) (o option, ok bool) {
	if p.format == "" {
		return option{}, false
	}
	p.c.Spend(1)
	o = p.read()
	align := o.size
	switch o.kind {
	case 'X':
		if p.format == "" {
			p.c.bad(1, "invalid next option for option 'X'")
		}
		next := p.read()
		if align = next.size; next.kind == 'c' || align == 0 {
			p.c.bad(1, "invalid next option for option 'X'")
		}
	case 'b', 'B', 'h', 'H', 'i', 'I', 'l', 'L', 'j', 'J', 'T', 'f', 'd', 'n', 's':
	default:
		return o, true
	}
	if align = min(align, p.align); align > 1 {
		if align&(align-1) != 0 {
			p.c.bad(1, "format asks for alignment not power of 2")
		}
		o.pad = (align - at&(align-1)) & (align - 1)
	}
	return o, true
}

// read reads one option. Those that stand for no item have a size of 0.
func (p *packer) read() option {
	c := p.format[0]
	p.format = p.format[1:]
	o := option{kind: c}
	switch c {
	case 'b', 'B', 'x':
		o.size = 1
	case 'h', 'H':
		o.size = 2
	case 'f':
		o.size = 4
	case 'l', 'L', 'j', 'J', 'T', 'd', 'n':
		o.size = 8
	case 'i', 'I':
		o.size = p.limited(4)
	case 's':
		o.size = p.limited(8)
	case 'c':
		if o.size = p.number(-1); o.size < 0 {
			p.c.Errorf("missing size for format option 'c'")
		}
	case 'z', 'X', ' ':
	case '<', '=':
		p.big = false
	case '>':
		p.big = true
	case '!':
		p.align = p.limited(nativeAlign)
	default:
		p.c.Errorf("invalid format option '%s'", bytesOf[c:][:1])
	}
	return o
}

// signed tells whether an option is that of an integer with a sign.
func (o option) signed() bool { return o.kind >= 'a' }

func stringPack(c call) int {
	p, b, arg := c.packer(), c.buffer(), 1
	c.PushNil() // what the reference implementation finds behind the arguments
	for {
		o, ok := p.next(len(b.b))
		if !ok {
			break
		}
		b.pad(0, o.pad)
		switch o.kind {
		case 'x':
			b.addByte(0)
		case 'X', '<', '>', '=', '!', ' ':
		default:
			arg++
			p.put(&b, o, arg)
		}
	}
	b.push()
	return 1
}

func (p *packer) put(b *buffer, o option, arg int) {
	c := p.c
	switch o.kind {
	case 'f':
		p.putInt(b, uint64(math.Float32bits(float32(c.num(arg)))), 4, false)
	case 'd', 'n':
		p.putInt(b, math.Float64bits(c.num(arg)), 8, false)
	case 'c':
		s := c.str(arg)
		if len(s) > o.size {
			c.bad(arg, "string longer than given size")
		}
		b.fits(o.size)
		b.add(s)
		b.pad(0, o.size-len(s))
	case 's':
		s := c.str(arg)
		if o.size < 8 && len(s) >= 1<<(8*o.size) {
			c.bad(arg, "string length does not fit in given size")
		}
		p.putInt(b, uint64(len(s)), o.size, false)
		b.add(s)
	case 'z':
		s := c.str(arg)
		if strings.IndexByte(s, 0) >= 0 {
			c.bad(arg, "string contains zeros")
		}
		b.add(s)
		b.addByte(0)
	default:
		n := c.integer(arg)
		if o.size < 8 {
			if limit := int64(1) << (8*o.size - 1); o.signed() && (n < -limit || n >= limit) {
				c.bad(arg, "integer overflow")
			} else if !o.signed() && uint64(n) >= uint64(limit)*2 {
				c.bad(arg, "unsigned overflow")
			}
		}
		p.putInt(b, uint64(n), o.size, o.signed() && n < 0)
	}
}

// putInt writes the lowest bytes of n; those beyond it are its sign's.
func (p *packer) putInt(b *buffer, n uint64, size int, negative bool) {
	b.fits(size)
	from := len(b.b)
	b.b = b.b[:from+size]
	raw := b.b[from:]
	for i := range raw {
		v := byte(n)
		if n >>= 8; i >= 8 {
			v = 0
			if negative {
				v = 0xff
			}
		}
		if p.big {
			raw[size-1-i] = v
		} else {
			raw[i] = v
		}
	}
}

func stringPackSize(c call) int {
	p, size := c.packer(), 0
	for {
		o, ok := p.next(size)
		if !ok {
			break
		}
		if o.kind == 's' || o.kind == 'z' {
			c.bad(1, "variable-length format")
		}
		if o.kind == 'X' {
			o.size = 0
		}
		if size > maxFormatInt-o.size-o.pad {
			c.bad(1, "format result too large")
		}
		size += o.size + o.pad
	}
	c.PushInt(int64(size))
	return 1
}

func stringUnpack(c call) int {
	p, s := c.packer(), c.str(2)
	from := start(c.optInt(3, 1), len(s)) - 1
	if uint64(from) > uint64(len(s)) {
		c.bad(3, "initial position out of string")
	}
	at, n := int(from), 0
	for {
		o, ok := p.next(at)
		if !ok {
			break
		}
		if o.pad+o.size > len(s)-at {
			c.bad(2, "data string too short")
		}
		at += o.pad
		switch o.kind {
		case 'x':
			at++
		case 'X', '<', '>', '=', '!', ' ':
		default:
			if n++; n >= maxResults {
				c.Errorf("stack overflow (too many results)")
			}
			at += p.get(o, s[at:])
		}
	}
	c.PushInt(int64(at + 1))
	return n + 1
}

// get pushes the item at the start of s, and tells how long it is.
func (p *packer) get(o option, s string) int {
	c := p.c
	switch o.kind {
	case 'c':
		c.PushString(part(s, 0, o.size))
	case 'z':
		i := strings.IndexByte(s, 0)
		if i < 0 {
			c.bad(2, "unfinished string for format 'z'")
		}
		c.spendBytes(i)
		c.PushString(part(s, 0, i))
		return i + 1
	case 's':
		n := p.getInt(s[:o.size], false)
		if uint64(n) > uint64(len(s)-o.size) {
			c.bad(2, "data string too short")
		}
		c.PushString(part(s, o.size, o.size+int(n)))
		return o.size + int(n)
	case 'f':
		c.PushFloat(float64(math.Float32frombits(uint32(p.bits(s[:4])))))
	case 'd', 'n':
		c.PushFloat(math.Float64frombits(p.bits(s[:8])))
	default:
		n := p.getInt(s[:o.size], o.signed())
		if !c.Exact() && !o.signed() && n < 0 { // which the engine has no integers for
			c.Errorf("an integer of %d bytes is beyond 2^53: the engine would round it", o.size)
		}
		c.PushInt(n)
	}
	return o.size
}

// bits are the lowest 8 bytes of a number, or all of it.
func (p *packer) bits(s string) (n uint64) {
	for i := range min(len(s), 8) {
		c := s[i]
		if p.big {
			c = s[len(s)-1-i]
		}
		n |= uint64(c) << (8 * i)
	}
	return n
}

// getInt reads an integer. What is beyond 8 bytes must repeat its sign.
func (p *packer) getInt(s string, signed bool) int64 {
	n := int64(p.bits(s))
	if signed && len(s) < 8 {
		shift := 64 - 8*len(s)
		n = n << shift >> shift
	}
	fill := byte(0)
	if signed && n < 0 {
		fill = 0xff
	}
	for i := 8; i < len(s); i++ {
		c := s[i]
		if p.big {
			c = s[len(s)-1-i]
		}
		if c != fill {
			p.c.Errorf("%d-byte integer does not fit into Lua Integer", len(s))
		}
	}
	return n
}
