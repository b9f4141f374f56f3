package protobuf

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

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
func (d *decoder) message(m *message, data []byte, t int) error {
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
			if f, ok := m.number[num]; ok {
				return walk.Field(errBroken, f.name)
			}
			return errBroken
		}
		if f, ok := m.number[num]; ok {
			if err := d.field(f, wire, data[:size], t); err != nil {
				return walk.Field(err, f.name)
			}
		}
		data = data[size:]
	}
	d.depth--
	return d.fill(m, t)
}

// field reads one occurrence of a field. One of another wire type than the field's is passed over, as unknown ones are.
func (d *decoder) field(f *field, wire protowire.Type, data []byte, t int) error {
	switch {
	case f.key != nil:
		if wire != protowire.BytesType {
			return nil
		}
		d.child(f.name, t)
		return d.entry(f, body(f, wire, data), d.s.Top())
	case f.list && wire == protowire.BytesType && wireType(f.kind) != protowire.BytesType:
		d.child(f.name, t)
		return d.packed(f, body(f, wire, data), d.s.Top())
	case wire != wireType(f.kind):
		return nil
	case f.list:
		d.child(f.name, t)
		list := d.s.Top()
		k := int64(d.s.Len(list)) + 1
		if err := d.value(f, wire, data); err != nil {
			return walk.Index(err, k)
		}
		d.s.RawSetInt(list, k)
		d.s.Pop(1)
		return nil
	}
	for _, other := range f.oneof {
		if other != f {
			d.s.PushString(other.name)
			d.s.PushNil()
			d.s.RawSet(t)
		}
	}
	if f.message != nil { // one that comes twice is put together
		d.child(f.name, t)
		err := d.message(f.message, body(f, wire, data), d.s.Top())
		d.s.Pop(1)
		return err
	}
	d.s.PushString(f.name)
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
func body(f *field, wire protowire.Type, data []byte) []byte {
	if wire == protowire.StartGroupType {
		v, _ := protowire.ConsumeGroup(f.num, data)
		return v
	}
	v, _ := protowire.ConsumeBytes(data)
	return v
}

// packed reads values into the list on top, and drops it.
func (d *decoder) packed(f *field, data []byte, list int) error {
	for k := int64(d.s.Len(list)) + 1; len(data) > 0; k++ {
		size := protowire.ConsumeFieldValue(f.num, wireType(f.kind), data)
		if size < 0 {
			return walk.Index(errBroken, k)
		}
		if err := d.value(f, wireType(f.kind), data[:size]); err != nil {
			return walk.Index(err, k)
		}
		d.s.RawSetInt(list, k)
		data = data[size:]
	}
	d.s.Pop(1)
	return nil
}

// entry reads a key and a value into the map on top, and drops it.
func (d *decoder) entry(f *field, data []byte, list int) error {
	if err := d.pushZero(f.key); err != nil {
		return err
	}
	key := d.s.Top()
	if err := d.pushZero(f.val); err != nil {
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
		case num == f.key.num && wire == wireType(f.key.kind):
			if err = d.value(f.key, wire, data[:size]); err == nil {
				d.s.Insert(key)
				d.s.Remove(key + 1)
			}
		case num == f.val.num && wire == wireType(f.val.kind):
			if err = d.value(f.val, wire, data[:size]); err == nil {
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

func (d *decoder) pushZero(f *field) error {
	if f.message == nil {
		return d.pushDefault(d.s, f)
	}
	d.s.NewTable(0, 0)
	return d.fill(f.message, d.s.Top())
}

// value pushes one value.
func (d *decoder) value(f *field, wire protowire.Type, data []byte) error {
	if err := d.values.Value(0); err != nil {
		return err
	}
	switch f.kind {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		d.s.NewTable(0, 0)
		return d.message(f.message, body(f, wire, data), d.s.Top())
	case protoreflect.StringKind, protoreflect.BytesKind:
		v := body(f, wire, data)
		if f.utf8 && !utf8.Valid(v) {
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

func (d *decoder) number(f *field, n uint64) error {
	switch f.kind {
	case protoreflect.BoolKind:
		d.s.PushBool(protowire.DecodeBool(n))
	case protoreflect.EnumKind:
		d.pushEnum(d.s, f.enum, int32(n))
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

func (r *registry) pushEnum(s vm.State, e *enum, n int32) {
	if name, ok := e.byNum[n]; ok && !r.enumNum {
		s.PushString(name)
		return
	}
	s.PushInt(int64(n))
}

// fill gives the table at index t the defaults that the options ask for.
func (d *decoder) fill(m *message, t int) error {
	if d.defaults == defaultsNone || d.defaults == defaultsAuto && !m.proto3 {
		return nil
	}
	for _, f := range m.fields {
		wanted := f.list || f.key != nil || !f.presence || d.defaults == defaultsAll && f.message == nil && f.oneof == nil
		if !wanted {
			continue
		}
		d.s.PushString(f.name)
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
		if f.list || f.key != nil {
			d.s.NewTable(0, 0)
		} else if err := d.pushDefault(d.s, f); err != nil {
			return walk.Field(err, f.name)
		}
		d.s.RawSet(t)
	}
	return nil
}

// pushDefault pushes the default of a field that is no message.
func (r *registry) pushDefault(s vm.State, f *field) error {
	switch f.kind {
	case protoreflect.BoolKind:
		s.PushBool(f.def.Bool())
	case protoreflect.EnumKind:
		r.pushEnum(s, f.enum, int32(f.def.Enum()))
	case protoreflect.StringKind:
		s.PushString(f.def.String())
	case protoreflect.BytesKind:
		s.PushString(string(f.def.Bytes()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		s.PushFloat(f.def.Float())
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		s.PushInt(int64(f.def.Uint()))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return r.numbers.PushBits(s, f.def.Uint())
	default:
		return r.numbers.Push(s, f.def.Int())
	}
	return nil
}
