package codec

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/skua-go/skua/actor/value"
)

// shared is how long a body is at most whose strings are pieces of one: a string that somebody keeps holds all of it.
const shared = 512

// parser reads JSON straight into a Builder. It takes what jsontext takes with its default options, which a fuzz test holds it to, in a fraction of the time.
type parser struct {
	b       *value.Builder
	data    []byte
	text    string // data as a string, when it is short
	at      int
	names   keys[string]
	scratch []byte
}

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var parsers = sync.Pool{New: func() any { return new(parser) }}

// What JSON can't be.
var (
	errEnd       = errors.New("the text ends in a value")
	errUTF8      = errors.New("a string is not UTF-8")
	errSurrogate = errors.New("a string has half a surrogate pair, which is not UTF-8")
	errControl   = errors.New("a string has a control character that is not escaped")
	errEscape    = errors.New("a string has an unknown escape")
)

// ParseJSON reads one JSON value. Numbers without a fraction and an exponent that fit are integers, others floats. Names that come twice, trailing bytes,
// strings that are not UTF-8 and nesting beyond value.MaxDepth are errors that tell the offset. No bytes, or only white space, are nil.
func ParseJSON(data []byte) (value.Value, error) {
	b := builders.Get().(*value.Builder) //nolint:forcetypeassert // what the pool makes
	defer builders.Put(b)
	if err := ParseJSONTo(b, data); err != nil {
		b.Reset()
		return value.Value{}, err
	}
	return b.Take().At(0), nil
}

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var builders = sync.Pool{New: func() any { return new(value.Builder) }}

// ParseJSONTo is ParseJSON into a Builder, which gets one more value. After an error it is to be reset.
func ParseJSONTo(b *value.Builder, data []byte) error {
	p := parsers.Get().(*parser) //nolint:forcetypeassert // what the pool makes
	p.b, p.data, p.at = b, data, 0
	if len(data) <= shared {
		p.text = string(data)
	}
	err := p.document()
	if err != nil {
		err = fmt.Errorf("%w: offset %d: %w", ErrJSON, p.at, err)
	}
	p.names.reset()
	if cap(p.scratch) > shared {
		p.scratch = nil
	}
	p.b, p.data, p.text = nil, nil, "" // a parser that waits must not keep a body alive
	parsers.Put(p)
	return err
}

func (p *parser) document() error {
	p.space()
	if p.at == len(p.data) {
		p.b.Nil()
		return nil
	}
	if err := p.value(); err != nil {
		return err
	}
	if p.space(); p.at < len(p.data) {
		return errors.New("bytes behind the value")
	}
	return nil
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\n', '\r', '\t':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte behind white space.
func (p *parser) peek() (byte, error) {
	p.space()
	if p.at == len(p.data) {
		return 0, errEnd
	}
	return p.data[p.at], nil
}

func (p *parser) value() error {
	c, err := p.peek()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		s, err := p.str()
		p.b.String(s)
		return err
	case 't':
		p.b.Bool(true)
		return p.literal("true")
	case 'f':
		p.b.Bool(false)
		return p.literal("false")
	case 'n':
		p.b.Nil()
		return p.literal("null")
	}
	if c == '-' || '0' <= c && c <= '9' {
		return p.number()
	}
	return unexpected(c, "a value")
}

func unexpected(c byte, wanted string) error {
	return fmt.Errorf("found %q, expected %s", []byte{c}, wanted)
}

func (p *parser) literal(word string) error {
	for i := range len(word) {
		if p.at == len(p.data) {
			return errEnd
		}
		if p.data[p.at] != word[i] {
			return unexpected(p.data[p.at], word)
		}
		p.at++
	}
	return nil
}

func (p *parser) array() error {
	if err := p.b.Begin(); err != nil {
		return err
	}
	p.at++
	c, err := p.peek()
	if err != nil {
		return err
	}
	if c == ']' {
		p.at++
		p.b.End()
		return nil
	}
	for {
		if err := p.value(); err != nil {
			return err
		}
		if c, err = p.peek(); err != nil {
			return err
		}
		switch c {
		case ',':
			p.at++
		case ']':
			p.at++
			p.b.End()
			return nil
		default:
			return unexpected(c, "',' or ']'")
		}
	}
}

func (p *parser) object() error {
	if err := p.b.Begin(); err != nil {
		return err
	}
	p.at++
	c, err := p.peek()
	if err != nil {
		return err
	}
	if c == '}' {
		p.at++
		p.b.End()
		return nil
	}
	seen := p.names.open()
	for {
		if err := p.member(&seen); err != nil {
			return err
		}
		if c, err = p.peek(); err != nil {
			return err
		}
		switch c {
		case ',':
			p.at++
		case '}':
			p.at++
			p.names.close(seen)
			p.b.End()
			return nil
		default:
			return unexpected(c, "',' or '}'")
		}
	}
}

func (p *parser) member(seen *scope[string]) error {
	c, err := p.peek()
	if err != nil {
		return err
	}
	if c != '"' {
		return unexpected(c, "a name")
	}
	at := p.at
	name, err := p.str()
	if err != nil {
		return err
	}
	if !p.names.add(seen, name) {
		p.at = at
		return fmt.Errorf("duplicate name %.64q", name)
	}
	p.b.Key(name)
	if c, err = p.peek(); err != nil {
		return err
	}
	if c != ':' {
		return unexpected(c, "':'")
	}
	p.at++
	return p.value()
}

// str reads a string, whose quote is next.
func (p *parser) str() (string, error) {
	from := p.at + 1
	ascii := byte(0)
	for i := from; i < len(p.data); i++ {
		switch c := p.data[i]; {
		case c == '"':
			p.at = i + 1
			if ascii >= utf8.RuneSelf && !utf8.Valid(p.data[from:i]) {
				return "", errUTF8
			}
			return p.piece(from, i), nil
		case c == '\\':
			return p.escaped(from, i)
		case c < ' ':
			p.at = i
			return "", errControl
		default:
			ascii |= c
		}
	}
	p.at = len(p.data)
	return "", errEnd
}

func (p *parser) piece(from, to int) string {
	if p.text != "" {
		return p.text[from:to]
	}
	return string(p.data[from:to])
}

// escaped reads a string that begins at from and whose first escape is at i.
func (p *parser) escaped(from, i int) (string, error) {
	out := p.scratch[:0]
	out = append(out, p.data[from:i]...)
	for i < len(p.data) {
		c := p.data[i]
		switch {
		case c == '"':
			p.at, p.scratch = i+1, out
			if !utf8.Valid(out) {
				return "", errUTF8
			}
			return string(out), nil
		case c == '\\':
			var err error
			if out, i, err = p.escape(out, i); err != nil {
				p.at = min(i, len(p.data))
				return "", err
			}
		case c < ' ':
			p.at = i
			return "", errControl
		default:
			out = append(out, c)
			i++
		}
	}
	p.at = len(p.data)
	return "", errEnd
}

// escape appends what the escape at i stands for, and returns where it ends.
func (p *parser) escape(out []byte, i int) ([]byte, int, error) {
	if i+1 >= len(p.data) {
		return out, i, errEnd
	}
	switch c := p.data[i+1]; c {
	case '"', '\\', '/':
		return append(out, c), i + 2, nil
	case 'b':
		return append(out, '\b'), i + 2, nil
	case 'f':
		return append(out, '\f'), i + 2, nil
	case 'n':
		return append(out, '\n'), i + 2, nil
	case 'r':
		return append(out, '\r'), i + 2, nil
	case 't':
		return append(out, '\t'), i + 2, nil
	case 'u':
		r, err := p.unit(i)
		if err != nil {
			return out, i, err
		}
		if r < 0xd800 || r > 0xdfff {
			return utf8.AppendRune(out, r), i + 6, nil
		}
		low, err := p.unit(i + 6)
		if err != nil || r > 0xdbff || low < 0xdc00 || low > 0xdfff {
			return out, i, errSurrogate
		}
		return utf8.AppendRune(out, (r-0xd800)<<10+(low-0xdc00)+0x10000), i + 12, nil
	}
	return out, i, errEscape
}

// unit is the number of the escape \uXXXX at i.
func (p *parser) unit(i int) (rune, error) {
	if i+6 > len(p.data) {
		return 0, errEnd
	}
	if p.data[i] != '\\' || p.data[i+1] != 'u' {
		return 0, errEscape
	}
	var r rune
	for _, c := range p.data[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errEscape
		}
		r = r<<4 | rune(c)
	}
	return r, nil
}

// number reads a number: its digits first, as an integer, which most are.
func (p *parser) number() error {
	from, i := p.at, p.at
	if p.data[i] == '-' {
		i++
	}
	digits := i
	n := uint64(0)
	for ; i < len(p.data) && isDigit(p.data[i]); i++ {
		n = n*10 + uint64(p.data[i]-'0') // beyond 18 digits it is not looked at
	}
	switch {
	case i == len(p.data) && i == digits:
		p.at = i
		return errEnd
	case i == digits:
		p.at = i
		return unexpected(p.data[i], "a digit")
	case p.data[digits] == '0' && i > digits+1:
		p.at = digits + 1
		return unexpected(p.data[p.at], "no digit behind a leading 0")
	}
	whole := i
	i, err := p.fraction(i)
	if p.at = i; err != nil {
		return err
	}
	const safe = 18 // digits that surely fit
	if i == whole && whole-digits <= safe {
		if from < digits {
			p.b.Int(-int64(n))
		} else {
			p.b.Int(int64(n))
		}
		return nil
	}
	return p.large(from, i, whole)
}

// fraction goes over a fraction and an exponent, if there are any.
func (p *parser) fraction(i int) (int, error) {
	if i < len(p.data) && p.data[i] == '.' {
		var err error
		if i, err = p.digits(i + 1); err != nil {
			return i, err
		}
	}
	if i == len(p.data) || p.data[i]|0x20 != 'e' {
		return i, nil
	}
	if i++; i < len(p.data) && (p.data[i] == '+' || p.data[i] == '-') {
		i++
	}
	return p.digits(i)
}

// digits goes over one digit or more.
func (p *parser) digits(i int) (int, error) {
	from := i
	for i < len(p.data) && isDigit(p.data[i]) {
		i++
	}
	switch {
	case i > from:
		return i, nil
	case i == len(p.data):
		return i, errEnd
	}
	return i, unexpected(p.data[i], "a digit")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// large reads what number has left: floats, and integers of more digits, which are floats when they don't fit.
func (p *parser) large(from, to, whole int) error {
	if to == whole {
		if n, err := strconv.ParseInt(string(p.data[from:to]), 10, 64); err == nil {
			p.b.Int(n)
			return nil
		}
	}
	f, err := strconv.ParseFloat(string(p.data[from:to]), 64)
	if err != nil {
		p.at = from
		return fmt.Errorf("the number %.40s is out of range", p.data[from:to])
	}
	p.b.Float(f)
	return nil
}
