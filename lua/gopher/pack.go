package gopher

import (
	"encoding/binary"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// string.pack and its like of Lua 5.4 (6.4.2). Integers are those that a number of this engine holds: one beyond 2^53 is refused when it is read.

// packer reads the options of a format.
type packer struct {
	l      *lua.LState
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

func newPacker(l *lua.LState) *packer { return &packer{l: l, format: checkString(l, 1), align: 1} }

func (p *packer) fail(format string, args ...any) { stateOf(p.l).Errorf(format, args...) }

// number reads digits of the format.
func (p *packer) number(otherwise int) int {
	if p.format == "" || p.format[0] < '0' || p.format[0] > '9' {
		return otherwise
	}
	n := 0
	for p.format != "" && p.format[0] >= '0' && p.format[0] <= '9' {
		if n > maxString {
			p.fail("format result too large")
		}
		n = n*10 + int(p.format[0]-'0')
		p.format = p.format[1:]
	}
	return n
}

func (p *packer) limited(otherwise int) int {
	n := p.number(otherwise)
	if n < 1 || n > 16 {
		p.fail("integral size (%d) out of limits [1,16]", n)
	}
	return n
}

// next reads an option; at is how many bytes there are before it.
func (p *packer) next(at int) (o option, ok bool) {
	for p.format != "" {
		c := p.format[0]
		p.format = p.format[1:]
		o = option{kind: c}
		switch c {
		case 'b', 'B':
			o.size = 1
		case 'h', 'H':
			o.size = 2
		case 'l', 'L', 'j', 'J', 'T':
			o.size = 8
		case 'i', 'I':
			o.size = p.limited(4)
		case 's':
			o.size = p.limited(8)
		case 'f':
			o.size = 4
		case 'd', 'n':
			o.size = 8
		case 'c':
			if o.size = p.number(-1); o.size < 0 {
				p.fail("missing size for format option 'c'")
			}
			return o, true
		case 'z', 'x':
			return o, true
		case 'X':
			if p.format == "" {
				p.fail("invalid next option for option 'X'")
			}
			next, found := p.next(0)
			if !found || next.size == 0 || next.kind == 'c' || next.kind == 'X' {
				p.fail("invalid next option for option 'X'")
			}
			o.pad = p.padding(next.size, at)
			return o, true
		case '<':
			p.big = false
			continue
		case '>':
			p.big = true
			continue
		case '=':
			p.big = false
			continue
		case '!':
			p.align = p.limited(8)
			continue
		case ' ':
			continue
		default:
			p.fail("invalid format option '%c'", c)
		}
		o.pad = p.padding(o.size, at)
		return o, true
	}
	return option{}, false
}

func (p *packer) padding(size, at int) int {
	size = min(size, p.align)
	if size <= 1 {
		return 0
	}
	if size&(size-1) != 0 {
		p.fail("bad argument #1 to 'pack' (format asks for alignment not power of 2)")
	}
	return (size - at&(size-1)) & (size - 1)
}

func (p *packer) putInt(b *strings.Builder, n int64, size int) {
	raw := make([]byte, size)
	for i := range raw {
		at := i
		if p.big {
			at = size - 1 - i
		}
		raw[at] = byte(n)
		n >>= 8
	}
	b.Write(raw)
}

func stringPack(l *lua.LState) int {
	p := newPacker(l)
	var b strings.Builder
	arg := 1
	for {
		o, ok := p.next(b.Len())
		if !ok {
			break
		}
		if b.Len()+o.size+o.pad > maxString {
			p.fail("format result too large")
		}
		b.WriteString(strings.Repeat("\x00", o.pad))
		switch o.kind {
		case 'x':
			b.WriteByte(0)
			continue
		case 'X':
			continue
		}
		arg++
		p.put(&b, o, arg)
	}
	l.Push(lua.LString(b.String()))
	return 1
}

func (p *packer) put(b *strings.Builder, o option, arg int) {
	l := p.l
	switch o.kind {
	case 'f':
		p.putInt(b, int64(math.Float32bits(float32(checkNumber64(l, arg)))), 4)
	case 'd', 'n':
		p.putInt(b, int64(math.Float64bits(checkNumber64(l, arg))), 8)
	case 'c', 's', 'z':
		s := checkString(l, arg)
		switch {
		case o.kind == 'z' && strings.Contains(s, "\x00"):
			badArgument(l, arg, "string contains zeros")
		case o.kind == 'c' && len(s) > o.size:
			badArgument(l, arg, "string longer than given size")
		case o.kind == 's' && o.size < 8 && len(s) >= 1<<(8*o.size):
			badArgument(l, arg, "string length does not fit in given size")
		}
		switch o.kind {
		case 's':
			p.putInt(b, int64(len(s)), o.size)
			b.WriteString(s)
		case 'z':
			b.WriteString(s + "\x00")
		default:
			b.WriteString(s + strings.Repeat("\x00", o.size-len(s)))
		}
	default:
		n := checkInteger(l, arg)
		if signed := o.kind >= 'a'; o.size < 8 && (signed && (n < -1<<(8*o.size-1) || n >= 1<<(8*o.size-1)) || !signed && (n < 0 || n >= 1<<(8*o.size))) {
			badArgument(l, arg, "integer overflow")
		}
		p.putInt(b, n, o.size)
	}
}

func stringPackSize(l *lua.LState) int {
	p := newPacker(l)
	size := 0
	for {
		o, ok := p.next(size)
		if !ok {
			break
		}
		switch o.kind {
		case 's', 'z':
			badArgument(l, 1, "variable-length format")
		case 'x':
			o.size = 1
		}
		if size += o.pad + o.size; size > maxString {
			badArgument(l, 1, "format result too large")
		}
	}
	l.Push(lua.LNumber(size))
	return 1
}

func stringUnpack(l *lua.LState) int {
	p := newPacker(l)
	s := checkString(l, 2)
	at := place(optInt(l, 3, 1), len(s)) - 1
	if at < 0 || at > len(s) {
		badArgument(l, 3, "initial position out of string")
	}
	n := 0
	for {
		o, ok := p.next(at)
		if !ok {
			break
		}
		if o.pad+o.size > len(s)-at {
			badArgument(l, 2, "data string too short")
		}
		at += o.pad
		v, size := p.get(o, s[at:])
		at += size
		if v == nil {
			continue
		}
		if n++; n > maxResults {
			p.fail("too many results")
		}
		l.Push(v)
	}
	l.Push(lua.LNumber(at + 1))
	return n + 1
}

// get reads one item from the start of s.
func (p *packer) get(o option, s string) (v lua.LValue, size int) {
	switch o.kind {
	case 'X':
		return nil, 0
	case 'x':
		if s == "" {
			badArgument(p.l, 2, "data string too short")
		}
		return nil, 1
	case 'c':
		return lua.LString(s[:o.size]), o.size
	case 'z':
		i := strings.IndexByte(s, 0)
		if i < 0 {
			badArgument(p.l, 2, "unfinished string for format 'z'")
		}
		return lua.LString(s[:i]), i + 1
	case 'f':
		return lua.LNumber(math.Float32frombits(uint32(p.bits(s[:4])))), 4
	case 'd', 'n':
		return lua.LNumber(math.Float64frombits(p.bits(s[:8]))), 8
	case 's':
		n := p.integer(s[:o.size], false)
		if n < 0 || n > int64(len(s)-o.size) {
			badArgument(p.l, 2, "data string too short")
		}
		return lua.LString(s[o.size : o.size+int(n)]), o.size + int(n)
	}
	return lua.LNumber(p.integer(s[:o.size], o.kind >= 'a')), o.size
}

// bits are the up to 8 low bytes of a number; what is beyond must repeat its sign.
func (p *packer) bits(s string) uint64 {
	raw := [8]byte{}
	for i := range min(len(s), 8) {
		raw[i] = s[i]
		if p.big {
			raw[i] = s[len(s)-1-i]
		}
	}
	return binary.LittleEndian.Uint64(raw[:])
}

func (p *packer) integer(s string, signed bool) int64 {
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
			p.fail("%d-byte integer does not fit into Lua Integer", len(s))
		}
	}
	if n > maxExact || n < -maxExact || !signed && n < 0 {
		p.fail("an integer of %d bytes is beyond 2^53: the engine %s would round it", len(s), Name)
	}
	return n
}
