package msgpack

import (
	"errors"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

type decoder struct {
	*codec
	s       vm.State
	data    []byte // what is left
	pending walk.Pending
	depth   int
}

// value pushes the next value.
func (d *decoder) value() (err error) {
	switch t := msgp.NextType(d.data); t {
	case msgp.ArrayType:
		return d.array()
	case msgp.MapType:
		return d.fields()
	case msgp.ExtensionType, msgp.Complex64Type, msgp.Complex128Type, msgp.TimeType:
		return d.extension()
	default:
		err = d.scalar(t)
	}
	return plain(err)
}

func (d *decoder) scalar(t msgp.Type) error {
	rest := d.data
	var err error
	switch t {
	case msgp.NilType:
		rest, err = msgp.ReadNilBytes(rest)
		d.s.PushNil()
	case msgp.BoolType:
		var v bool
		v, rest, err = msgp.ReadBoolBytes(rest)
		d.s.PushBool(v)
	case msgp.IntType:
		var n int64
		if n, rest, err = msgp.ReadInt64Bytes(rest); err == nil {
			err = d.numbers.Push(d.s, n)
		}
	case msgp.UintType:
		var n uint64
		if n, rest, err = msgp.ReadUint64Bytes(rest); err == nil {
			err = d.numbers.PushUint(d.s, n)
		}
	case msgp.Float64Type:
		var v float64
		v, rest, err = msgp.ReadFloat64Bytes(rest)
		d.s.PushFloat(v)
	case msgp.Float32Type:
		var v float32
		v, rest, err = msgp.ReadFloat32Bytes(rest)
		d.s.PushFloat(float64(v))
	case msgp.StrType:
		var v []byte
		v, rest, err = msgp.ReadStringZC(rest)
		d.s.PushString(string(v))
	case msgp.BinType:
		var v []byte
		if v, rest, err = msgp.ReadBytesZC(rest); d.binAsObject {
			d.push(d.s, &bin{string(v)}, d.binMT)
		} else {
			d.s.PushString(string(v))
		}
	default:
		if len(d.data) == 0 {
			return walk.ErrShort
		}
		return fmt.Errorf("no value begins with the byte 0x%02x", d.data[0])
	}
	if err == nil {
		d.data = rest // not before, so that an error tells where the value begins
	}
	return err
}

// plain says in our words what the library says of short messages.
func plain(err error) error {
	if errors.Is(err, msgp.ErrShortBytes) {
		return walk.ErrShort
	}
	return err
}

func (d *decoder) extension() error {
	// The tag is behind the lead byte, or behind that and a length of 1, 2 or 4 bytes.
	at := 1
	if sizes := [...]int{1, 2, 4}; d.data[0] >= 0xc7 && d.data[0] <= 0xc9 {
		at += sizes[d.data[0]-0xc7]
	}
	if at >= len(d.data) {
		return walk.ErrShort
	}
	raw := msgp.RawExtension{Type: int8(d.data[at])}
	rest, err := msgp.ReadExtensionBytes(d.data, &raw)
	if err != nil {
		return plain(err)
	}
	d.data = rest
	d.push(d.s, &ext{raw.Type, string(raw.Data)}, d.extMT)
	return nil
}

func (d *decoder) enter(values int) error {
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf("arrays and maps nest deeper than %d levels", maxDepth)
	}
	return d.pending.Add(values, len(d.data))
}

func (d *decoder) array() error {
	n, rest, err := msgp.ReadArrayHeaderBytes(d.data)
	if err != nil {
		return plain(err)
	}
	d.data = rest
	if err := d.enter(int(n)); err != nil {
		return err
	}
	d.s.NewTable(int(n), 0)
	t := d.s.Top()
	for i := int64(1); i <= int64(n); i++ {
		d.pending.Done()
		if err := d.value(); err != nil {
			return walk.Index(err, i)
		}
		d.s.RawSetInt(t, i)
	}
	d.depth--
	return nil
}

func (d *decoder) fields() error {
	n, rest, err := msgp.ReadMapHeaderBytes(d.data)
	if err != nil {
		return plain(err)
	}
	d.data = rest
	if err := d.enter(2 * int(n)); err != nil {
		return err
	}
	d.s.NewTable(0, int(n))
	t := d.s.Top()
	for range n {
		d.pending.Done()
		if err := d.key(); err != nil {
			return err
		}
		d.pending.Done()
		if err := d.value(); err != nil {
			return d.numbers.Key(d.s, t+1, err)
		}
		d.s.RawSet(t)
	}
	d.depth--
	return nil
}

func (d *decoder) key() error {
	switch t := msgp.NextType(d.data); t {
	case msgp.BinType:
		v, rest, err := msgp.ReadBytesZC(d.data)
		d.data = rest
		d.s.PushString(string(v))
		return plain(err)
	case msgp.StrType, msgp.BoolType, msgp.IntType, msgp.UintType, msgp.Float64Type, msgp.Float32Type, msgp.InvalidType:
		if err := d.scalar(t); err != nil {
			return fmt.Errorf("a key: %w", plain(err))
		}
	default:
		return fmt.Errorf("a key is of the type %s", t)
	}
	if f, ok := d.s.Float(-1); ok && math.IsNaN(f) {
		return errors.New("a key is not a number")
	}
	return nil
}
