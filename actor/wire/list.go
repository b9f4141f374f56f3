package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/skua-go/skua/actor/value"
)

// MaxItems is how many values one List on the wire may have, those in tables counted: what comes from outside must not take more than some hundred
// megabytes.
const MaxItems = 4 << 20

// How a value begins. Short strings and small numbers, which are most, need no length.
const (
	itemNil byte = iota
	itemFalse
	itemTrue
	itemInt    // zigzag varint
	itemFloat  // 8 bytes, little-endian
	itemString // uvarint, bytes
	itemTable  // uvarint values in its array, uvarint fields, the values, then a key and a value for each field

	itemShort byte = 0x20 // | length below 32, bytes
	itemSmall byte = 0x40 // | number below 64
)

var errItems = fmt.Errorf("a list has more than %d values", MaxItems)

// AppendList appends a List. It fails for one of more than MaxItems values only; dst is then returned as it was.
func AppendList(dst []byte, l value.List) ([]byte, error) {
	out := binary.AppendUvarint(dst, uint64(l.Len()))
	r := l.Reader()
	for left, done := l.Len(), 0; left > 0; left-- {
		if done++; done > MaxItems {
			return dst, fmt.Errorf("wire: %w", errItems)
		}
		it := r.Next()
		if it.Kind == value.Table {
			left += it.Items + 2*it.Fields
		}
		out = appendItem(out, it)
	}
	return out, nil
}

func appendItem(dst []byte, it value.Item) []byte {
	switch it.Kind {
	case value.Bool:
		return append(dst, itemFalse+byte(it.Bits&1))
	case value.Int:
		if it.Bits < 64 {
			return append(dst, itemSmall|byte(it.Bits))
		}
		return binary.AppendVarint(append(dst, itemInt), int64(it.Bits))
	case value.Float:
		return binary.LittleEndian.AppendUint64(append(dst, itemFloat), it.Bits)
	case value.String:
		if len(it.Str) < 32 {
			return append(append(dst, itemShort|byte(len(it.Str))), it.Str...)
		}
		return AppendString(append(dst, itemString), it.Str)
	case value.Table:
		dst = binary.AppendUvarint(append(dst, itemTable), uint64(it.Items))
		return binary.AppendUvarint(dst, uint64(it.Fields))
	}
	return append(dst, itemNil)
}

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var builders = sync.Pool{New: func() any { return new(value.Builder) }}

// list reads a List. Its strings are pieces of one string when what is left is short.
func (r *Reader) list() (value.List, error) {
	n := r.Uvarint()
	if n > MaxItems {
		return value.List{}, errItems
	}
	b := builders.Get().(*value.Builder) //nolint:forcetypeassert // what the pool makes
	defer builders.Put(b)
	p := lists{r: r, b: b}
	if len(r.rest) <= shared {
		p.text, p.end = string(r.rest), len(r.rest)
	}
	for range n {
		if err := p.value(); err != nil {
			b.Reset()
			return value.List{}, err
		}
	}
	if n > 64 {
		return b.List(), nil // large ones are not copied once more
	}
	return b.Take(), nil
}

// lists reads values.
type lists struct {
	r    *Reader
	b    *value.Builder
	text string // what the Reader had left at first, if that is short
	end  int
	done int
}

func (p *lists) value() error {
	if p.done++; p.done > MaxItems {
		return errItems
	}
	r, b := p.r, p.b
	switch tag := r.Byte(); {
	case r.err != nil:
		return r.err
	case tag&^0x3f == itemSmall:
		b.Int(int64(tag & 0x3f))
	case tag&^0x1f == itemShort:
		return p.str(uint64(tag&0x1f), b.String)
	case tag == itemNil:
		b.Nil()
	case tag == itemFalse, tag == itemTrue:
		b.Bool(tag == itemTrue)
	case tag == itemInt:
		b.Int(r.Varint())
	case tag == itemFloat:
		b.Float(r.Float())
	case tag == itemString:
		return p.str(r.Uvarint(), b.String)
	case tag == itemTable:
		return p.table()
	default:
		return fmt.Errorf("a value begins with %d", tag)
	}
	return r.err
}

func (p *lists) str(n uint64, add func(string)) error {
	r := p.r
	if r.err != nil {
		return r.err
	}
	if n > uint64(len(r.rest)) {
		return fmt.Errorf("a string of %d bytes is announced, there are %d", n, len(r.rest))
	}
	if p.end > 0 {
		at := p.end - len(r.rest)
		add(p.text[at : at+int(n)])
	} else {
		add(string(r.rest[:n]))
	}
	r.rest = r.rest[n:]
	return nil
}

func (p *lists) table() error {
	r := p.r
	items, fields := r.Uvarint(), r.Uvarint()
	// Each value takes a byte at least, so a count that lies is found before it is believed.
	if left := uint64(len(r.rest)); r.err == nil && (items > left || fields > left/2) {
		return fmt.Errorf("a table of %d values and %d fields is announced, there are %d bytes", items, fields, left)
	}
	if r.err != nil {
		return r.err
	}
	if err := p.b.Begin(); err != nil {
		return err
	}
	for range items {
		if err := p.value(); err != nil {
			return err
		}
	}
	for range fields {
		if err := p.key(); err != nil {
			return err
		}
		if err := p.value(); err != nil {
			return err
		}
	}
	p.b.End()
	return nil
}

func (p *lists) key() error {
	r, b := p.r, p.b
	switch tag := r.Byte(); {
	case r.err != nil:
		return r.err
	case tag&^0x3f == itemSmall:
		b.IntKey(int64(tag & 0x3f))
	case tag&^0x1f == itemShort:
		return p.str(uint64(tag&0x1f), b.Key)
	case tag == itemFalse, tag == itemTrue:
		b.BoolKey(tag == itemTrue)
	case tag == itemInt:
		b.IntKey(r.Varint())
	case tag == itemFloat:
		f := r.Float()
		if math.IsNaN(f) {
			return errors.New("a key is not a number")
		}
		b.FloatKey(f)
	case tag == itemString:
		return p.str(r.Uvarint(), b.Key)
	default:
		return fmt.Errorf("a key begins with %d", tag)
	}
	return r.err
}
