package protobuf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/protofile"
)

type encoder struct{ out []byte }

// Errors carry the way to what they are about in front: ".pos.x: ...".
func (e *encoder) message(m *protofile.Message, v value.Value) error {
	if v.Kind() != value.Table {
		return fmt.Errorf(": a table is expected, got %s", v.Kind())
	}
	for _, f := range m.Fields {
		x := v.Get(f.Name)
		if x.IsNil() {
			if f.Required {
				return fmt.Errorf(".%s: the field is required", f.Name)
			}
			continue
		}
		if err := e.field(f, x, v); err != nil {
			return fmt.Errorf(".%s%w", f.Name, err)
		}
	}
	return nil
}

func (e *encoder) field(f *protofile.Field, x, all value.Value) error {
	switch {
	case f.Key != nil:
		return e.entries(f, x)
	case f.List:
		return e.list(f, x)
	}
	for _, other := range f.Oneof {
		if other != f && !all.Get(other.Name).IsNil() {
			return fmt.Errorf(": only one field of a oneof can be set, and %s is, too", other.Name)
		}
	}
	before := len(e.out)
	if err := e.tagged(f, x); err != nil {
		return err
	}
	if !f.Presence && e.zero(f, before) {
		e.out = e.out[:before]
	}
	return nil
}

// zero tells whether what stands from at on is a field with its zero value, which fields without presence leave out.
func (e *encoder) zero(f *protofile.Field, at int) bool {
	for _, c := range e.out[at+protowire.SizeTag(f.Num):] {
		if c != 0 {
			return false
		}
	}
	return true
}

// tagged appends a tag and a value.
func (e *encoder) tagged(f *protofile.Field, x value.Value) error {
	e.out = protowire.AppendTag(e.out, f.Num, protofile.WireType(f.Kind))
	if err := e.value(f, x); err != nil {
		return err
	}
	if f.Kind == protoreflect.GroupKind {
		e.out = protowire.AppendTag(e.out, f.Num, protowire.EndGroupType)
	}
	return nil
}

// begin leaves room for a length, of one byte, and end writes it when what it is the length of is there.
func (e *encoder) begin() int {
	e.out = append(e.out, 0)
	return len(e.out)
}

func (e *encoder) end(at int) {
	n := len(e.out) - at
	if extra := protowire.SizeVarint(uint64(n)) - 1; extra > 0 {
		var room [9]byte
		e.out = append(e.out, room[:extra]...)
		copy(e.out[at+extra:], e.out[at:])
	}
	protowire.AppendVarint(e.out[:at-1], uint64(n))
}

func (e *encoder) list(f *protofile.Field, x value.Value) error {
	if x.Kind() != value.Table || x.Fields() > 0 {
		return errors.New(": a list is expected, got " + shape(x))
	}
	if x.Len() == 0 {
		return nil
	}
	at := 0
	if f.Packed {
		e.out = protowire.AppendTag(e.out, f.Num, protowire.BytesType)
		at = e.begin()
	}
	for i, item := range x.Items {
		var err error
		if f.Packed {
			err = e.value(f, item)
		} else {
			err = e.tagged(f, item)
		}
		if err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
	}
	if f.Packed {
		e.end(at)
	}
	return nil
}

// shape is a value's kind, for errors about tables of the wrong form.
func shape(x value.Value) string {
	if x.Kind() == value.Table {
		return "a table with names"
	}
	return x.Kind().String()
}

func (e *encoder) entries(f *protofile.Field, x value.Value) error {
	if x.Kind() != value.Table {
		return fmt.Errorf(": a table is expected, got %s", x.Kind())
	}
	for i, item := range x.Items {
		if err := e.entry(f, value.Of(i).At(0), item); err != nil {
			return err
		}
	}
	for k, item := range x.Pairs {
		if err := e.entry(f, k, item); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) entry(f *protofile.Field, k, item value.Value) error {
	e.out = protowire.AppendTag(e.out, f.Num, protowire.BytesType)
	at := e.begin()
	if err := e.tagged(f.Key, k); err != nil {
		return fmt.Errorf(": a key%w", err)
	}
	if err := e.tagged(f.Val, item); err != nil {
		return fmt.Errorf("[%.40s]%w", k.KeyText(), err)
	}
	e.end(at)
	return nil
}

func (e *encoder) value(f *protofile.Field, x value.Value) error {
	switch f.Kind {
	case protoreflect.GroupKind:
		return e.message(f.Message, x)
	case protoreflect.MessageKind:
		at := e.begin()
		if err := e.message(f.Message, x); err != nil {
			return err
		}
		e.end(at)
		return nil
	case protoreflect.StringKind, protoreflect.BytesKind:
		return e.text(f, x)
	case protoreflect.BoolKind:
		if x.Kind() != value.Bool {
			return fmt.Errorf(": a boolean is expected, got %s", x.Kind())
		}
		e.out = protowire.AppendVarint(e.out, protowire.EncodeBool(x.Bool()))
		return nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		v, ok := x.Float()
		if !ok {
			return fmt.Errorf(": a number is expected, got %s", x.Kind())
		}
		if f.Kind == protoreflect.FloatKind {
			e.out = protowire.AppendFixed32(e.out, math.Float32bits(float32(v)))
		} else {
			e.out = protowire.AppendFixed64(e.out, math.Float64bits(v))
		}
		return nil
	case protoreflect.EnumKind:
		return e.enum(f.Enum, x)
	}
	return e.integer(f.Kind, x)
}

func (e *encoder) text(f *protofile.Field, x value.Value) error {
	s, ok := x.Str()
	if !ok {
		return fmt.Errorf(": a string is expected, got %s", x.Kind())
	}
	if f.UTF8 && !utf8.ValidString(s) {
		return errors.New(": the string is not UTF-8; a field of the type bytes holds any")
	}
	e.out = protowire.AppendString(e.out, s)
	return nil
}

func (e *encoder) enum(t *protofile.Enum, x value.Value) error {
	n, ok := x.Int()
	if name, isText := x.Str(); isText {
		v, known := t.ByName[name]
		if !known {
			return fmt.Errorf(": %s has no value %.40q", t.Name, name)
		}
		n, ok = int64(v), true
	}
	if !ok || n != int64(int32(n)) {
		return fmt.Errorf(": a name or a number of %s is expected, got %.40s", t.Name, x.String())
	}
	e.out = protowire.AppendVarint(e.out, uint64(n))
	return nil
}

// digits reads an integer of a text.
func digits(text string, unsigned bool) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	u, err := strconv.ParseUint(text, 10, 64)
	return int64(u), err == nil && unsigned
}

func (e *encoder) integer(k protoreflect.Kind, x value.Value) error {
	n, ok := x.Int()
	if text, isText := x.Str(); isText {
		n, ok = digits(text, k == protoreflect.Uint64Kind || k == protoreflect.Fixed64Kind)
	}
	if !ok {
		return fmt.Errorf(": an integer is expected, got %.40s", x.String())
	}
	out, err := protofile.AppendInteger(e.out, k, n)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	e.out = out
	return nil
}
