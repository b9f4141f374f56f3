package codec

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/skua-go/skua/actor/value"
)

// ErrMsgpack is wrapped by the errors of Msgpack.
var ErrMsgpack = errors.New("codec: MessagePack")

// Msgpack is MessagePack (msgpack/msgpack spec.md). A table with values in its array part and no fields is an array, any other a map, whose keys keep their
// types. Strings that are not UTF-8 are written as bin, and bin is read as a string. Errors are JSON.
type Msgpack struct{}

// Name is "msgpack".
func (Msgpack) Name() string { return "msgpack" }

// Append appends one value. It fails with ErrMsgpack on nothing that a value can hold.
func (Msgpack) Append(dst []byte, _ string, _ Kind, v value.Value) ([]byte, error) {
	if v.IsNil() {
		return msgp.AppendNil(dst), nil
	}
	r := v.List().Reader()
	return appendMsgpack(dst, &r), nil
}

func appendMsgpack(dst []byte, r *value.Reader) []byte {
	it := r.Next()
	if it.Kind != value.Table {
		return appendScalar(dst, it)
	}
	if it.Items > 0 && it.Fields == 0 {
		dst = msgp.AppendArrayHeader(dst, uint32(it.Items))
		for range it.Items {
			dst = appendMsgpack(dst, r)
		}
		return dst
	}
	dst = msgp.AppendMapHeader(dst, uint32(it.Items+it.Fields))
	for i := range it.Items {
		dst = msgp.AppendUint64(dst, uint64(i)+1)
		dst = appendMsgpack(dst, r)
	}
	for range it.Fields {
		dst = appendScalar(dst, r.Next())
		dst = appendMsgpack(dst, r)
	}
	return dst
}

func appendScalar(dst []byte, it value.Item) []byte {
	switch it.Kind {
	case value.Bool:
		return msgp.AppendBool(dst, it.Bits != 0)
	case value.Int:
		if n := int64(it.Bits); n < 0 {
			return msgp.AppendInt64(dst, n)
		}
		return msgp.AppendUint64(dst, it.Bits)
	case value.Float:
		return msgp.AppendFloat64(dst, math.Float64frombits(it.Bits))
	case value.String:
		if utf8.ValidString(it.Str) {
			return msgp.AppendString(dst, it.Str)
		}
		return append(msgp.AppendBytesHeader(dst, uint32(len(it.Str))), it.Str...)
	}
	return msgp.AppendNil(dst)
}

// AppendError appends JSON: no client in the field expects anything else.
func (Msgpack) AppendError(dst []byte, e Error) []byte { return e.AppendJSON(dst) }

// ParseTo reads one value. Integers beyond int64, extensions, keys that are no scalars or come twice, trailing bytes and nesting beyond value.MaxDepth are
// errors that tell the offset. No bytes are nil.
func (Msgpack) ParseTo(b *value.Builder, _ string, _ Kind, data []byte) error {
	if len(data) == 0 {
		b.Nil()
		return nil
	}
	p := unpackers.Get().(*unpacker) //nolint:forcetypeassert // what the pool makes
	p.b, p.data, p.rest = b, data, data
	if len(data) <= shared {
		p.text = string(data)
	}
	err := p.value()
	if err == nil && len(p.rest) > 0 {
		err = errors.New("bytes behind the value")
	}
	if errors.Is(err, msgp.ErrShortBytes) {
		err = errEnd
	}
	if err != nil {
		err = fmt.Errorf("%w: offset %d: %w", ErrMsgpack, len(p.data)-len(p.rest), err)
	}
	p.keys.reset()
	p.b, p.data, p.rest, p.text = nil, nil, nil, "" // one that waits must not keep a body alive
	unpackers.Put(p)
	return err
}

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var unpackers = sync.Pool{New: func() any { return new(unpacker) }}

// unpacker reads MessagePack straight into a Builder.
type unpacker struct {
	b    *value.Builder
	data []byte
	text string // data as a string, when it is short
	rest []byte // what is not read yet: from the value on that an error is about
	keys keys[key]
}

// key is a key of a map, to compare.
type key struct {
	kind value.Kind
	bits uint64
	str  string
}

func (p *unpacker) value() error {
	switch t := msgp.NextType(p.rest); t {
	case msgp.ArrayType:
		return p.array()
	case msgp.MapType:
		return p.table()
	default:
		k, err := p.scalar(t)
		if err == nil {
			p.add(k)
		}
		return err
	}
}

func (p *unpacker) add(k key) {
	switch k.kind {
	case value.Bool:
		p.b.Bool(k.bits != 0)
	case value.Int:
		p.b.Int(int64(k.bits))
	case value.Float:
		p.b.Float(math.Float64frombits(k.bits))
	case value.String:
		p.b.String(k.str)
	default:
		p.b.Nil()
	}
}

// scalar reads a value that is no array and no map.
func (p *unpacker) scalar(t msgp.Type) (k key, err error) {
	rest := p.rest
	switch t {
	case msgp.NilType:
		rest, err = msgp.ReadNilBytes(rest)
	case msgp.BoolType:
		var v bool
		if v, rest, err = msgp.ReadBoolBytes(rest); v {
			k.bits = 1
		}
		k.kind = value.Bool
	case msgp.IntType:
		var n int64
		n, rest, err = msgp.ReadInt64Bytes(rest)
		k.kind, k.bits = value.Int, uint64(n)
	case msgp.UintType:
		k.kind = value.Int
		if k.bits, rest, err = msgp.ReadUint64Bytes(rest); err == nil && k.bits > math.MaxInt64 {
			err = fmt.Errorf("the integer %d is beyond 2^63", k.bits)
		}
	case msgp.Float64Type:
		var f float64
		f, rest, err = msgp.ReadFloat64Bytes(rest)
		k.kind, k.bits = value.Float, math.Float64bits(f)
	case msgp.Float32Type:
		var f float32
		f, rest, err = msgp.ReadFloat32Bytes(rest)
		k.kind, k.bits = value.Float, math.Float64bits(float64(f))
	case msgp.StrType, msgp.BinType:
		k.kind = value.String
		k.str, rest, err = p.str(t)
	default:
		err = p.unknown(t)
	}
	if err == nil {
		p.rest = rest
	}
	return k, err
}

func (p *unpacker) unknown(t msgp.Type) error {
	if len(p.rest) == 0 {
		return errEnd
	}
	if t == msgp.InvalidType {
		return fmt.Errorf("no value begins with the byte 0x%02x", p.rest[0])
	}
	return errors.New("extensions mean nothing here")
}

func (p *unpacker) str(t msgp.Type) (s string, rest []byte, err error) {
	var raw []byte
	if t == msgp.StrType {
		raw, rest, err = msgp.ReadStringZC(p.rest)
	} else {
		raw, rest, err = msgp.ReadBytesZC(p.rest)
	}
	switch {
	case err != nil:
		return "", rest, err
	case p.text == "":
		return string(raw), rest, nil
	}
	end := len(p.data) - len(rest)
	return p.text[end-len(raw) : end], rest, nil
}

// A header may announce more than there is. That costs nothing, as a value is made for what has been read only.
func (p *unpacker) array() error {
	n, rest, err := msgp.ReadArrayHeaderBytes(p.rest)
	if err != nil {
		return err
	}
	if err := p.b.Begin(); err != nil {
		return err
	}
	p.rest = rest
	for range n {
		if err := p.value(); err != nil {
			return err
		}
	}
	p.b.End()
	return nil
}

func (p *unpacker) table() error {
	n, rest, err := msgp.ReadMapHeaderBytes(p.rest)
	if err != nil {
		return err
	}
	if err := p.b.Begin(); err != nil {
		return err
	}
	p.rest = rest
	seen := p.keys.open()
	for range n {
		if err := p.key(&seen); err != nil {
			return err
		}
		if err := p.value(); err != nil {
			return err
		}
	}
	p.keys.close(seen)
	p.b.End()
	return nil
}

func (p *unpacker) key(seen *scope[key]) error {
	before := p.rest
	t := msgp.NextType(before)
	if t == msgp.ArrayType || t == msgp.MapType || t == msgp.NilType {
		return fmt.Errorf("a key is of the type %s", t)
	}
	k, err := p.scalar(t)
	if err != nil {
		return err
	}
	if f := math.Float64frombits(k.bits); k.kind == value.Float {
		if math.IsNaN(f) {
			p.rest = before
			return errors.New("a key is not a number")
		}
		if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 { // as Lua does
			k.kind, k.bits = value.Int, uint64(int64(f))
		}
	}
	if !p.keys.add(seen, k) {
		p.rest = before
		return errors.New("duplicate key")
	}
	switch k.kind {
	case value.Bool:
		p.b.BoolKey(k.bits != 0)
	case value.Int:
		p.b.IntKey(int64(k.bits))
	case value.Float:
		p.b.FloatKey(math.Float64frombits(k.bits))
	default:
		p.b.Key(k.str)
	}
	return nil
}
