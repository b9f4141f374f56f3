package protobuf

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skua-go/skua/internal/protofile"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

type decoder struct {
	*registry
	s      vm.State
	depth  int
	values walk.Open // counts them: two bytes can make a message with all its defaults
}

var errBroken = errors.New("the bytes are no message of this type")

// message reads the fields of data into the table at index t.
func (d *decoder) message(m *protofile.Message, data []byte, t int) error {
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf("messages nest deeper than %d levels", maxDepth)
	}
	for len(data) > 0 {
		num, wire, n := protowire.ConsumeTag(data)
		if n < 0 || num > protowire.MaxValidNumber {
			return errBroken
		}
		data = data[n:]
		size := protowire.ConsumeFieldValue(num, wire, data)
		if size < 0 {
			if f, ok := m.Number[num]; ok {
				return walk.Field(errBroken, f.Name)
			}
			return errBroken
		}
		if f, ok := m.Number[num]; ok {
			if err := d.field(f, wire, data[:size], t); err != nil {
				return walk.Field(err, f.Name)
			}
		}
		data = data[size:]
	}
	d.depth--
	return d.fill(m, t)
}

// field reads one occurrence of a field. One of another wire type than the field's is passed over, as unknown ones are.
func (d *decoder) field(f *protofile.Field, wire protowire.Type, data []byte, t int) error {
	switch {
	case f.Key != nil:
		if wire != protowire.BytesType {
			return nil
		}
		d.child(f.Name, t)
		return d.entry(f, body(f, wire, data), d.s.Top())
	case f.List && wire == protowire.BytesType && protofile.WireType(f.Kind) != protowire.BytesType:
		d.child(f.Name, t)
		return d.packed(f, body(f, wire, data), d.s.Top())
	case wire != protofile.WireType(f.Kind):
		return nil
	case f.List:
		d.child(f.Name, t)
		list := d.s.Top()
		k := int64(d.s.Len(list)) + 1
		if err := d.value(f, wire, data); err != nil {
			return walk.Index(err, k)
		}
		d.s.RawSetInt(list, k)
		d.s.Pop(1)
		return nil
	}
	for _, other := range f.Oneof {
		if other != f {
			d.s.PushString(other.Name)
			d.s.PushNil()
			d.s.RawSet(t)
		}
	}
	if f.Message != nil { // one that comes twice is put together
		d.child(f.Name, t)
		err := d.message(f.Message, body(f, wire, data), d.s.Top())
		d.s.Pop(1)
		return err
	}
	d.s.PushString(f.Name)
	if err := d.value(f, wire, data); err != nil {
		return err
	}
	d.s.RawSet(t)
	return nil
}

// child pushes the table in a field of the table at index t, which it makes if there is none.
func (d *decoder) child(name string, t int) {
	d.s.PushString(name)
	d.s.RawGet(t)
	if d.s.Type(-1) == vm.Table {
		return
	}
	d.s.Pop(1)
	d.s.PushString(name)
	d.s.NewTable(0, 0)
	d.s.Copy(-1)
	at := d.s.Top() - 2
	d.s.Insert(at)
	d.s.RawSet(t)
}

// body is what is in a field of the wire types bytes and group.
func body(f *protofile.Field, wire protowire.Type, data []byte) []byte {
	if wire == protowire.StartGroupType {
		v, _ := protowire.ConsumeGroup(f.Num, data)
		return v
	}
	v, _ := protowire.ConsumeBytes(data)
	return v
}

// packed reads values into the list on top, and drops it.
func (d *decoder) packed(f *protofile.Field, data []byte, list int) error {
	for k := int64(d.s.Len(list)) + 1; len(data) > 0; k++ {
		size := protowire.ConsumeFieldValue(f.Num, protofile.WireType(f.Kind), data)
		if size < 0 {
			return walk.Index(errBroken, k)
		}
		if err := d.value(f, protofile.WireType(f.Kind), data[:size]); err != nil {
			return walk.Index(err, k)
		}
		d.s.RawSetInt(list, k)
		data = data[size:]
	}
	d.s.Pop(1)
	return nil
}

// entry reads a key and a value into the map on top, and drops it.
func (d *decoder) entry(f *protofile.Field, data []byte, list int) error {
	if err := d.pushZero(f.Key); err != nil {
		return err
	}
	key := d.s.Top()
	if err := d.pushZero(f.Val); err != nil {
		return err
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
		var err error
		switch {
		case num == f.Key.Num && wire == protofile.WireType(f.Key.Kind):
			if err = d.value(f.Key, wire, data[:size]); err == nil {
				d.s.Insert(key)
				d.s.Remove(key + 1)
			}
		case num == f.Val.Num && wire == protofile.WireType(f.Val.Kind):
			if err = d.value(f.Val, wire, data[:size]); err == nil {
				d.s.Remove(key + 1)
			}
		}
		if err != nil {
			return d.numbers.Key(d.s, key, err)
		}
		data = data[size:]
	}
	d.s.RawSet(list)
	d.s.Pop(1)
	return nil
}

func (d *decoder) pushZero(f *protofile.Field) error {
	if f.Message == nil {
		return d.pushDefault(d.s, f)
	}
	d.s.NewTable(0, 0)
	return d.fill(f.Message, d.s.Top())
}

// value pushes one value.
func (d *decoder) value(f *protofile.Field, wire protowire.Type, data []byte) error {
	if err := d.values.Value(0); err != nil {
		return err
	}
	switch f.Kind {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		d.s.NewTable(0, 0)
		return d.message(f.Message, body(f, wire, data), d.s.Top())
	case protoreflect.StringKind, protoreflect.BytesKind:
		v := body(f, wire, data)
		if f.UTF8 && !utf8.Valid(v) {
			return errors.New("the string is not UTF-8")
		}
		d.s.PushString(string(v))
		return nil
	}
	var n uint64
	switch wire {
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(data)
		n = uint64(v)
	case protowire.Fixed64Type:
		n, _ = protowire.ConsumeFixed64(data)
	default:
		n, _ = protowire.ConsumeVarint(data)
	}
	return d.number(f, n)
}

func (d *decoder) number(f *protofile.Field, n uint64) error {
	switch f.Kind {
	case protoreflect.BoolKind:
		d.s.PushBool(protowire.DecodeBool(n))
	case protoreflect.EnumKind:
		d.pushEnum(d.s, f.Enum, int32(n))
	case protoreflect.FloatKind:
		d.s.PushFloat(float64(math.Float32frombits(uint32(n))))
	case protoreflect.DoubleKind:
		d.s.PushFloat(math.Float64frombits(n))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		d.s.PushInt(int64(int32(n)))
	case protoreflect.Sint32Kind:
		d.s.PushInt(int64(int32(protowire.DecodeZigZag(n & math.MaxUint32))))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		d.s.PushInt(int64(uint32(n)))
	case protoreflect.Sint64Kind:
		return d.numbers.Push(d.s, protowire.DecodeZigZag(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return d.numbers.PushBits(d.s, n)
	default:
		return d.numbers.Push(d.s, int64(n))
	}
	return nil
}

func (r *registry) pushEnum(s vm.State, e *protofile.Enum, n int32) {
	if name, ok := e.ByNum[n]; ok && !r.enumNum {
		s.PushString(name)
		return
	}
	s.PushInt(int64(n))
}

// fill gives the table at index t the defaults that the options ask for.
func (d *decoder) fill(m *protofile.Message, t int) error {
	if d.defaults == defaultsNone || d.defaults == defaultsAuto && !m.Proto3 {
		return nil
	}
	for _, f := range m.Fields {
		wanted := f.List || f.Key != nil || !f.Presence || d.defaults == defaultsAll && f.Message == nil && f.Oneof == nil
		if !wanted {
			continue
		}
		d.s.PushString(f.Name)
		d.s.Copy(-1)
		d.s.RawGet(t)
		missing := d.s.Type(-1) == vm.Nil
		d.s.Pop(1)
		if !missing {
			d.s.Pop(1)
			continue
		}
		if err := d.values.Value(0); err != nil {
			return err
		}
		if f.List || f.Key != nil {
			d.s.NewTable(0, 0)
		} else if err := d.pushDefault(d.s, f); err != nil {
			return walk.Field(err, f.Name)
		}
		d.s.RawSet(t)
	}
	return nil
}

// pushDefault pushes the default of a field that is no message.
func (r *registry) pushDefault(s vm.State, f *protofile.Field) error {
	switch f.Kind {
	case protoreflect.BoolKind:
		s.PushBool(f.Def.Bool())
	case protoreflect.EnumKind:
		r.pushEnum(s, f.Enum, int32(f.Def.Enum()))
	case protoreflect.StringKind:
		s.PushString(f.Def.String())
	case protoreflect.BytesKind:
		s.PushString(string(f.Def.Bytes()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		s.PushFloat(f.Def.Float())
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		s.PushInt(int64(f.Def.Uint()))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return r.numbers.PushBits(s, f.Def.Uint())
	default:
		return r.numbers.Push(s, f.Def.Int())
	}
	return nil
}
