package std

import (
	"hash/maphash"
	"math"
	"strconv"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// Pointer is what a State can be besides, for %p.
type Pointer interface {
	// Pointer identifies the table, function, userdata or thread at i as long as it lives.
	Pointer(i int) uint64
}

// spec is a conversion of string.format: flags, width, precision and a letter.
type spec struct {
	text                            string // behind the %
	minus, plus, space, sharp, zero bool
	width, precision                int // a precision below 0 is none
	verb                            byte
}

// The flags that conversions take, as in the reference implementation.
const (
	flagsText     = "-"
	flagsInt      = "-+0 "
	flagsUnsigned = "-0"
	flagsHex      = "-#0"
	flagsFloat    = "-+#0 "
)

const maxSpec = 22 // bytes of a conversion behind its %, with its letter, that are too many

func stringFormat(c call) int {
	format, b, arg := c.str(1), c.buffer(), 1
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			b.add(format)
			break
		}
		b.add(format[:i])
		format = format[i+1:]
		if format != "" && format[0] == '%' {
			b.addByte('%')
			format = format[1:]
			continue
		}
		if arg++; c.Type(arg) == vm.None {
			c.bad(arg, "no value")
		}
		n := 0
		for n < len(format) && strings.IndexByte("-+ #0123456789.", format[n]) >= 0 {
			n++
		}
		if n+1 >= maxSpec {
			c.Errorf("invalid format (too long)")
		}
		sp := spec{text: format[:min(n+1, len(format))], precision: -1}
		if n < len(format) {
			sp.verb = format[n]
		}
		c.Spend(1)
		c.format(&b, &sp, arg)
		format = format[n+1:]
	}
	b.push()
	return 1
}

// format writes one argument.
func (c call) format(b *buffer, sp *spec, arg int) {
	switch sp.verb {
	case 'd', 'i':
		n := c.integer(arg)
		c.read(sp, flagsInt, true)
		sp.int(b, n)
	case 'u':
		n := c.integer(arg)
		c.read(sp, flagsUnsigned, true)
		sp.unsigned(b, uint64(n), 10)
	case 'o', 'x', 'X':
		n := c.integer(arg)
		c.read(sp, flagsHex, true)
		base := 16
		if sp.verb == 'o' {
			base = 8
		}
		sp.unsigned(b, uint64(n), base)
	case 'c':
		c.read(sp, flagsText, false)
		n := byte(c.integer(arg))
		sp.padded(b, bytesOf[n:][:1])
	case 'a', 'A':
		c.read(sp, flagsFloat, true)
		sp.float(b, c.num(arg))
	case 'e', 'E', 'f', 'g', 'G':
		f := c.num(arg)
		c.read(sp, flagsFloat, true)
		sp.float(b, f)
	case 'p':
		c.read(sp, flagsText, false)
		sp.padded(b, c.pointer(arg))
	case 'q':
		if len(sp.text) > 1 {
			c.Errorf("specifier '%%q' cannot have modifiers")
		}
		c.quote(b, arg)
	case 's':
		c.formatText(b, sp, arg)
	default:
		c.Errorf("invalid conversion '%%%s' to 'format'", sp.text)
	}
}

func (c call) formatText(b *buffer, sp *spec, arg int) {
	text, ok := c.String(arg)
	switch {
	case ok:
	case c.Type(arg) == vm.Number:
		text = c.numberText(arg)
	default:
		text = c.Text(arg)
	}
	if len(sp.text) == 1 {
		b.add(text)
		return
	}
	c.spendBytes(len(text))
	if strings.IndexByte(text, 0) >= 0 {
		c.bad(arg, "string contains zeros")
	}
	c.read(sp, flagsText, true)
	if sp.precision >= 0 && sp.precision < len(text) {
		text = text[:sp.precision]
	}
	sp.padded(b, text)
}

// read reads a conversion that may have these flags.
func (c call) read(sp *spec, flags string, precision bool) {
	text := sp.text
	if len(text) == 1 {
		return
	}
	i := 0
	for ; i < len(text) && strings.IndexByte(flags, text[i]) >= 0; i++ {
		switch text[i] {
		case '-':
			sp.minus = true
		case '+':
			sp.plus = true
		case ' ':
			sp.space = true
		case '#':
			sp.sharp = true
		case '0':
			sp.zero = true
		}
	}
	digits := func() (n int) {
		for range 2 {
			if i < len(text) && text[i] >= '0' && text[i] <= '9' {
				n = n*10 + int(text[i]-'0')
				i++
			}
		}
		return n
	}
	if i < len(text) && text[i] != '0' { // a width cannot begin with 0
		sp.width = digits()
		if precision && i < len(text) && text[i] == '.' {
			i++
			sp.precision = digits()
		}
	}
	if i != len(text)-1 {
		c.Errorf("invalid conversion specification: '%%%s'", text)
	}
}

// padded writes a text with spaces up to the width.
func (sp *spec) padded(b *buffer, text string) {
	if !sp.minus {
		b.pad(' ', sp.width-len(text))
	}
	b.add(text)
	if sp.minus {
		b.pad(' ', sp.width-len(text))
	}
}

// number writes a prefix (a sign, 0x) and digits with spaces or zeros up to the width.
func (sp *spec) number(b *buffer, prefix string, digits []byte, zero bool) {
	missing := sp.width - len(prefix) - len(digits)
	if !zero && !sp.minus {
		b.pad(' ', missing)
	}
	b.add(prefix)
	if zero && !sp.minus {
		b.pad('0', missing)
	}
	b.fits(len(digits))
	b.b = append(b.b, digits...)
	if sp.minus {
		b.pad(' ', missing)
	}
}

// sign is what stands before a number.
func (sp *spec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case sp.plus:
		return "+"
	case sp.space:
		return " "
	}
	return ""
}

func (sp *spec) int(b *buffer, n int64) {
	if len(sp.text) == 1 {
		b.fits(20)
		b.b = strconv.AppendInt(b.b, n, 10)
		return
	}
	magnitude := uint64(n)
	if n < 0 {
		magnitude = -magnitude
	}
	var scratch [128]byte
	sp.number(b, sp.sign(n < 0), sp.digits(scratch[:0], magnitude, 10), sp.zero && sp.precision < 0)
}

func (sp *spec) unsigned(b *buffer, n uint64, base int) {
	var scratch [128]byte
	digits, prefix := sp.digits(scratch[:0], n, base), ""
	if sp.sharp {
		switch {
		case base == 8 && (len(digits) == 0 || digits[0] != '0'):
			digits = append([]byte{'0'}, digits...)
		case base == 16 && n != 0:
			prefix = "0" + string(sp.verb)
		}
	}
	sp.number(b, prefix, digits, sp.zero && sp.precision < 0)
}

// digits are those of n, at least as many as the precision; none of 0 with a precision of 0.
func (sp *spec) digits(b []byte, n uint64, base int) []byte {
	var scratch [64]byte
	digits := scratch[:0]
	if n != 0 || sp.precision != 0 {
		digits = strconv.AppendUint(digits, n, base)
	}
	for range sp.precision - len(digits) {
		b = append(b, '0')
	}
	b = append(b, digits...)
	if sp.verb == 'X' {
		upper(b)
	}
	return b
}

func upper(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 0x20
		}
	}
}

var seed = maphash.MakeSeed() //nolint:gochecknoglobals // a constant of the process

// pointer is what %p shows: equal for what is the same, different for what is not.
func (c call) pointer(i int) string {
	var p uint64
	switch c.Type(i) {
	case vm.None, vm.Nil, vm.Boolean, vm.Number:
		return "(null)"
	case vm.String:
		s, _ := c.String(i)
		c.spendBytes(len(s))
		p = maphash.String(seed, s) >> 16
	default:
		known, ok := c.State.(Pointer)
		if !ok {
			return c.pointerText(i)
		}
		p = known.Pointer(i)
	}
	return "0x" + strconv.FormatUint(p, 16)
}

// pointerText is the pointer in the text of a value without its metatable, which may have a text of its own.
func (c call) pointerText(i int) string {
	own := c.Type(i) == vm.Table && c.Metatable(i)
	if own {
		c.PushNil()
		c.SetMetatable(i)
	}
	_, text, _ := strings.Cut(c.Text(i), ": ")
	if own {
		c.SetMetatable(i)
	}
	return text
}

// quote writes a literal that Lua reads as the same value.
func (c call) quote(b *buffer, i int) {
	switch c.Type(i) {
	case vm.String:
		s, _ := c.String(i)
		b.quote(s)
	case vm.Number:
		c.quoteNumber(b, i)
	case vm.Nil:
		b.add("nil")
	case vm.Boolean:
		b.add(strconv.FormatBool(c.Bool(i)))
	default:
		c.bad(i, "value has no literal form")
	}
}

func (c call) quoteNumber(b *buffer, i int) {
	n, _ := c.Int(i)
	f, _ := c.Float(i)
	switch {
	case c.IsInt(i) && n == math.MinInt64:
		b.add("0x8000000000000000")
	case c.IsInt(i):
		b.add(strconv.FormatInt(n, 10))
	case math.IsInf(f, 1):
		b.add("1e9999")
	case math.IsInf(f, -1):
		b.add("-1e9999")
	case math.IsNaN(f):
		b.add("(0/0)")
	case !c.Exact(): // its compiler does not read hexadecimal floats
		b.add(strconv.FormatFloat(f, 'g', -1, 64))
	default:
		sp := spec{text: "a", verb: 'a', precision: -1}
		sp.float(b, f)
	}
}

// quote adds a string in quotes.
func (b *buffer) quote(s string) {
	b.c.spendBytes(len(s) * 4)
	b.addByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n':
			b.addByte('\\')
			b.addByte(c)
		case c < ' ' || c == 0x7f:
			code := strconv.Itoa(int(c))
			b.addByte('\\')
			if i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' {
				b.pad('0', 3-len(code))
			}
			b.add(code)
		default:
			b.addByte(c)
		}
	}
	b.addByte('"')
}
