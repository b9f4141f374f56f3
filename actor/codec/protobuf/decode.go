package protobuf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/protofile"
)

// MaxValues is how many values a body may become: two bytes can make a message with all its defaults.
const MaxValues = 1 << 17

var (
	errBroken = errors.New(": the bytes are no message of this type")
	errUTF8   = errors.New(": the string is not UTF-8")
	errValues = fmt.Errorf(": there are more than %d values", MaxValues)
)

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decoder reads a message straight into a Builder. A Builder takes a table's fields one after the other, and the wire brings them in any order, in
// pieces; so a message is first gone over to find what each field has, and then told field by field. A value that a later one replaces is not looked at.
type decoder struct {
	b    *value.Builder
	left int // values that may still be made
	// seen are occurrences of fields, of all messages that are open. Those of one field are a chain.
	seen []occurrence
	// heads are the chains of the fields of all messages that are open.
	heads []chain
}

type occurrence struct {
	wire protowire.Type
	data []byte // without the tag
	next int32  // of the same field, 0: none. The first in seen is never a next one
}

// chain is a field's first and last occurrence, by their number in seen plus 1; 0: none.
type chain struct{ first, last int32 }

// kept bounds the memory that a decoder keeps for the next body.
const kept = 1024

func (d *decoder) release() {
	d.b = nil
	clear(d.seen) // one that waits must not keep a body alive
	d.seen, d.heads = d.seen[:0], d.heads[:0]
	if cap(d.seen) > kept || cap(d.heads) > kept {
		d.seen, d.heads = nil, nil
	}
	decoders.Put(d)
}

func (d *decoder) count() error {
	if d.left--; d.left < 0 {
		return errValues
	}
	return nil
}

// message adds a message to the Builder.
func (d *decoder) message(m *protofile.Message, data []byte) error {
	if err := d.count(); err != nil {
		return err
	}
	if err := d.b.Begin(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	seen, heads := len(d.seen), len(d.heads)
	if err := d.scan(m, data, heads); err != nil {
		return err
	}
	for i, f := range m.Fields {
		if err := d.field(m, f, d.heads[heads+i]); err != nil {
			return fmt.Errorf(".%s%w", f.Name, err)
		}
	}
	clear(d.seen[seen:])
	d.seen, d.heads = d.seen[:seen], d.heads[:heads]
	d.b.End()
	return nil
}

// scan finds what each field has.
func (d *decoder) scan(m *protofile.Message, data []byte, heads int) error {
	for range m.Fields {
		d.heads = append(d.heads, chain{})
	}
	for len(data) > 0 {
		num, wire, n := protowire.ConsumeTag(data)
		if n < 0 || num > protowire.MaxValidNumber {
			return errBroken
		}
		data = data[n:]
		size := protowire.ConsumeFieldValue(num, wire, data)
		if size < 0 {
			return errBroken
		}
		// One of another wire type than the field's is passed over, as unknown ones are.
		if f, ok := m.Number[num]; ok && fits(f, wire) {
			if !f.List && f.Key == nil {
				d.forget(f, heads)
			}
			d.append(&d.heads[heads+f.Index], wire, data[:size])
		}
		data = data[size:]
	}
	return nil
}

func fits(f *protofile.Field, wire protowire.Type) bool {
	want := protofile.WireType(f.Kind)
	return wire == want || f.List && wire == protowire.BytesType && want != protowire.StartGroupType
}

// forget drops what came before a field that holds one value: the other fields of its oneof, and its own older value, but for messages, which are put
// together.
func (d *decoder) forget(f *protofile.Field, heads int) {
	for _, other := range f.Oneof {
		if other != f {
			d.heads[heads+other.Index] = chain{}
		}
	}
	if f.Message == nil {
		d.heads[heads+f.Index] = chain{}
	}
}

func (d *decoder) append(c *chain, wire protowire.Type, data []byte) {
	d.seen = append(d.seen, occurrence{wire: wire, data: data})
	at := int32(len(d.seen))
	if c.first == 0 {
		c.first = at
	} else {
		d.seen[c.last-1].next = at
	}
	c.last = at
}

// field adds a field with its name, if it has anything to say.
func (d *decoder) field(m *protofile.Message, f *protofile.Field, c chain) error {
	switch {
	case f.Key != nil || f.List:
		if c.first == 0 && !m.Proto3 {
			return nil
		}
		if err := d.count(); err != nil {
			return err
		}
		d.b.Key(f.Name)
		if err := d.b.Begin(); err != nil {
			return fmt.Errorf(": %w", err)
		}
		var err error
		if f.Key != nil {
			err = d.entries(f, c)
		} else {
			err = d.list(f, c)
		}
		d.b.End()
		return err
	case c.first != 0 && f.Message != nil:
		d.b.Key(f.Name)
		return d.message(f.Message, d.joined(f, c))
	case c.first != 0:
		d.b.Key(f.Name)
		o := d.seen[c.first-1]
		return d.value(f, o.wire, o.data)
	case m.Proto3 && !f.Presence:
		d.b.Key(f.Name)
		return d.zero(f)
	}
	return nil
}

// joined is the message of a field that may have come in pieces: put one behind the other, they are the message that they are together.
func (d *decoder) joined(f *protofile.Field, c chain) []byte {
	o := d.seen[c.first-1]
	data := body(f, o)
	if o.next == 0 {
		return data
	}
	var all []byte
	for at := c.first; at != 0; at = d.seen[at-1].next {
		all = append(all, body(f, d.seen[at-1])...)
	}
	return all
}

// body is what is in a field of the wire types bytes and group.
func body(f *protofile.Field, o occurrence) []byte {
	if o.wire == protowire.StartGroupType {
		v, _ := protowire.ConsumeGroup(f.Num, o.data)
		return v
	}
	v, _ := protowire.ConsumeBytes(o.data)
	return v
}

func (d *decoder) list(f *protofile.Field, c chain) error {
	own := protofile.WireType(f.Kind)
	k := 0
	for at := c.first; at != 0; {
		o := d.seen[at-1] // by value: what comes below may move the slice
		at = o.next
		if o.wire == own {
			k++
			if err := d.element(f, o); err != nil {
				return fmt.Errorf("[%d]%w", k, err)
			}
			continue
		}
		packed := body(f, o)
		for len(packed) > 0 {
			k++
			size := protowire.ConsumeFieldValue(f.Num, own, packed)
			if size < 0 {
				return fmt.Errorf("[%d]%w", k, errBroken)
			}
			if err := d.value(f, own, packed[:size]); err != nil {
				return fmt.Errorf("[%d]%w", k, err)
			}
			packed = packed[size:]
		}
	}
	return nil
}

func (d *decoder) element(f *protofile.Field, o occurrence) error {
	if f.Message != nil {
		return d.message(f.Message, body(f, o))
	}
	return d.value(f, o.wire, o.data)
}

// entries adds the entries of a map; of those with the same key the last one counts.
func (d *decoder) entries(f *protofile.Field, c chain) error {
	if c.first == 0 {
		return nil
	}
	last := map[mapKey]int32{}
	for at := c.first; at != 0; at = d.seen[at-1].next {
		k, err := d.keyOf(f, d.seen[at-1])
		if err != nil {
			return err
		}
		last[k] = at
	}
	for at := c.first; at != 0; {
		o := d.seen[at-1]
		k, err := d.keyOf(f, o)
		if err != nil {
			return err
		}
		if last[k] == at {
			if err := d.entry(f, k, o); err != nil {
				return fmt.Errorf("[%.40s]%w", k, err)
			}
		}
		at = o.next
	}
	return nil
}

// mapKey is a map's key: a string, a boolean or an integer with its bits.
type mapKey struct {
	text string
	bits uint64
}

func (k mapKey) String() string {
	if k.text != "" {
		return k.text
	}
	return strconv.FormatInt(int64(k.bits), 10)
}

// keyOf reads the key of an entry; one that is not there is zero.
func (d *decoder) keyOf(f *protofile.Field, o occurrence) (k mapKey, err error) {
	data := body(f, o)
	for len(data) > 0 {
		num, wire, n := protowire.ConsumeTag(data)
		if n < 0 || num > protowire.MaxValidNumber {
			return k, errBroken
		}
		data = data[n:]
		size := protowire.ConsumeFieldValue(num, wire, data)
		if size < 0 {
			return k, errBroken
		}
		if num == f.Key.Num && wire == protofile.WireType(f.Key.Kind) {
			k = mapKey{}
			if f.Key.Kind == protoreflect.StringKind {
				s, _ := protowire.ConsumeBytes(data)
				if f.Key.UTF8 && !utf8.Valid(s) {
					return k, fmt.Errorf(": a key%w", errUTF8)
				}
				k.text = string(s)
			} else {
				k.bits = integer(f.Key.Kind, number(wire, data[:size]))
			}
		}
		data = data[size:]
	}
	return k, nil
}

func (d *decoder) entry(f *protofile.Field, k mapKey, o occurrence) error {
	switch f.Key.Kind {
	case protoreflect.StringKind:
		d.b.Key(k.text)
	case protoreflect.BoolKind:
		d.b.BoolKey(k.bits != 0)
	default:
		d.b.IntKey(int64(k.bits))
	}
	var held chain
	data := body(f, o)
	before := len(d.seen)
	for len(data) > 0 { // keyOf has found no fault
		num, wire, n := protowire.ConsumeTag(data)
		data = data[n:]
		size := protowire.ConsumeFieldValue(num, wire, data)
		if num == f.Val.Num && wire == protofile.WireType(f.Val.Kind) {
			if f.Val.Message == nil {
				held = chain{}
			}
			d.append(&held, wire, data[:size])
		}
		data = data[size:]
	}
	var err error
	switch {
	case f.Val.Message != nil && held.first == 0:
		err = d.message(f.Val.Message, nil)
	case f.Val.Message != nil:
		err = d.message(f.Val.Message, d.joined(f.Val, held))
	case held.first == 0:
		err = d.zero(f.Val)
	default:
		v := d.seen[held.first-1]
		err = d.value(f.Val, v.wire, v.data)
	}
	clear(d.seen[before:])
	d.seen = d.seen[:before]
	return err
}

// value adds one value that is no message.
func (d *decoder) value(f *protofile.Field, wire protowire.Type, data []byte) error {
	if err := d.count(); err != nil {
		return err
	}
	switch f.Kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		v, _ := protowire.ConsumeBytes(data)
		if f.UTF8 && !utf8.Valid(v) {
			return errUTF8
		}
		d.b.String(string(v))
		return nil
	}
	n := number(wire, data)
	switch f.Kind {
	case protoreflect.BoolKind:
		d.b.Bool(protowire.DecodeBool(n))
	case protoreflect.FloatKind:
		d.b.Float(float64(math.Float32frombits(uint32(n))))
	case protoreflect.DoubleKind:
		d.b.Float(math.Float64frombits(n))
	case protoreflect.EnumKind:
		d.enum(f.Enum, int32(n))
	default:
		d.b.Int(int64(integer(f.Kind, n)))
	}
	return nil
}

func (d *decoder) enum(t *protofile.Enum, n int32) {
	if name, ok := t.ByNum[n]; ok {
		d.b.String(name)
		return
	}
	d.b.Int(int64(n))
}

// number is what a varint or fixed bytes hold.
func number(wire protowire.Type, data []byte) uint64 {
	switch wire {
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(data)
		return uint64(v)
	case protowire.Fixed64Type:
		v, _ := protowire.ConsumeFixed64(data)
		return v
	}
	v, _ := protowire.ConsumeVarint(data)
	return v
}

// integer is the integer of a kind, sign-extended to 64 bits; of a boolean 0 or 1.
func integer(k protoreflect.Kind, n uint64) uint64 {
	switch k {
	case protoreflect.BoolKind:
		return protowire.EncodeBool(protowire.DecodeBool(n))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return uint64(int32(n))
	case protoreflect.Sint32Kind:
		return uint64(int32(protowire.DecodeZigZag(n & math.MaxUint32)))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return uint64(uint32(n))
	case protoreflect.Sint64Kind:
		return uint64(protowire.DecodeZigZag(n))
	}
	return n
}

// zero adds the default of a field that is no message.
func (d *decoder) zero(f *protofile.Field) error {
	if err := d.count(); err != nil {
		return err
	}
	switch f.Kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		d.b.String("")
	case protoreflect.BoolKind:
		d.b.Bool(false)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		d.b.Float(0)
	case protoreflect.EnumKind:
		d.enum(f.Enum, int32(f.Def.Enum()))
	default:
		d.b.Int(0)
	}
	return nil
}
