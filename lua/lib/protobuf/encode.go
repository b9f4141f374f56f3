package protobuf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skua-go/skua/internal/protofile"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

type encoder struct {
	*registry
	s    vm.State
	out  []byte
	open walk.Open
}

// message appends the fields of the table at index t.
func (e *encoder) message(m *protofile.Message, t int) error {
	if err := e.open.Enter(e.s, t); err != nil {
		return err
	}
	defer e.open.Leave()
	defer e.s.SetTop(e.s.Top())
	t = vm.Plain(e.s, t)
	for _, f := range m.Fields {
		e.s.PushString(f.Name)
		e.s.RawGet(t)
		i := e.s.Top()
		if e.s.Type(i) == vm.Nil {
			if f.Required {
				return walk.Field(errors.New("the field is required"), f.Name)
			}
			e.s.Pop(1)
			continue
		}
		if err := e.field(f, i, t); err != nil {
			return walk.Field(err, f.Name)
		}
		e.s.SetTop(i - 1)
	}
	return nil
}

func (e *encoder) field(f *protofile.Field, i, t int) error {
	if (f.List || f.Key != nil) && e.s.Type(i) != vm.Table {
		return fmt.Errorf("a table is expected, got %s", e.s.Type(i))
	}
	if f.List || f.Key != nil {
		i = vm.Plain(e.s, i)
	}
	switch {
	case f.Key != nil:
		return e.entries(f, i)
	case f.List && f.Packed:
		return e.packed(f, i)
	case f.List:
		n := int64(e.s.Len(i))
		for k := int64(1); k <= n; k++ {
			e.s.RawGetInt(i, k)
			if err := e.tagged(f, e.s.Top()); err != nil {
				return walk.Index(err, k)
			}
			e.s.Pop(1)
		}
		return nil
	}
	if err := e.alone(f, t); err != nil {
		return err
	}
	before := len(e.out)
	if err := e.tagged(f, i); err != nil {
		return err
	}
	if !f.Presence && e.zero(f, before) {
		e.out = e.out[:before]
	}
	return nil
}

// alone refuses a second field of a oneof.
func (e *encoder) alone(f *protofile.Field, t int) error {
	for _, other := range f.Oneof {
		if other == f {
			continue
		}
		e.s.PushString(other.Name)
		e.s.RawGet(t)
		set := e.s.Type(-1) != vm.Nil
		e.s.Pop(1)
		if set {
			return fmt.Errorf("only one field of a oneof can be set, and %s is, too", other.Name)
		}
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

// tagged appends a tag and the value at index i.
func (e *encoder) tagged(f *protofile.Field, i int) error {
	e.out = protowire.AppendTag(e.out, f.Num, protofile.WireType(f.Kind))
	if err := e.value(f, i); err != nil {
		return err
	}
	if f.Kind == protoreflect.GroupKind {
		e.out = protowire.AppendTag(e.out, f.Num, protowire.EndGroupType)
	}
	return nil
}

// sized appends what f appends, behind its length.
func (e *encoder) sized(f func() error) error {
	at := len(e.out)
	e.out = append(e.out, 0) // most lengths take one byte
	if err := f(); err != nil {
		return err
	}
	n := len(e.out) - at - 1
	if extra := protowire.SizeVarint(uint64(n)) - 1; extra > 0 {
		e.out = append(e.out, make([]byte, extra)...)
		copy(e.out[at+1+extra:], e.out[at+1:])
	}
	protowire.AppendVarint(e.out[:at], uint64(n))
	return nil
}

func (e *encoder) packed(f *protofile.Field, i int) error {
	n := int64(e.s.Len(i))
	if n == 0 {
		return nil
	}
	e.out = protowire.AppendTag(e.out, f.Num, protowire.BytesType)
	return e.sized(func() error {
		for k := int64(1); k <= n; k++ {
			e.s.RawGetInt(i, k)
			if err := e.value(f, e.s.Top()); err != nil {
				return walk.Index(err, k)
			}
			e.s.Pop(1)
		}
		return nil
	})
}

func (e *encoder) entries(f *protofile.Field, i int) error {
	if err := e.open.Enter(e.s, i); err != nil {
		return err
	}
	defer e.open.Leave()
	e.s.PushNil()
	for e.s.Next(i) {
		top := e.s.Top()
		e.out = protowire.AppendTag(e.out, f.Num, protowire.BytesType)
		err := e.sized(func() error {
			if err := e.tagged(f.Key, top-1); err != nil {
				return fmt.Errorf("a key: %w", err)
			}
			if err := e.tagged(f.Val, top); err != nil {
				return e.numbers.Key(e.s, top-1, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		e.s.SetTop(top - 1)
	}
	return nil
}

// value appends the value at index i.
func (e *encoder) value(f *protofile.Field, i int) error {
	if err := e.open.Value(len(e.out)); err != nil {
		return err
	}
	switch f.Kind {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if e.s.Type(i) != vm.Table {
			return fmt.Errorf("a table is expected, got %s", e.s.Type(i))
		}
		if f.Kind == protoreflect.GroupKind {
			return e.message(f.Message, i)
		}
		return e.sized(func() error { return e.message(f.Message, i) })
	case protoreflect.StringKind, protoreflect.BytesKind:
		return e.text(f, i)
	case protoreflect.BoolKind:
		if e.s.Type(i) != vm.Boolean {
			return fmt.Errorf("a boolean is expected, got %s", e.s.Type(i))
		}
		e.out = protowire.AppendVarint(e.out, protowire.EncodeBool(e.s.Bool(i)))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		v, ok := e.s.Float(i)
		if !ok {
			return fmt.Errorf("a number is expected, got %s", e.s.Type(i))
		}
		if f.Kind == protoreflect.FloatKind {
			e.out = protowire.AppendFixed32(e.out, math.Float32bits(float32(v)))
		} else {
			e.out = protowire.AppendFixed64(e.out, math.Float64bits(v))
		}
	case protoreflect.EnumKind:
		n, err := e.enumValue(f.Enum, i)
		if err != nil {
			return err
		}
		e.out = protowire.AppendVarint(e.out, uint64(int64(n)))
	default:
		return e.integer(f.Kind, i)
	}
	return nil
}

func (e *encoder) text(f *protofile.Field, i int) error {
	text, ok := e.s.String(i)
	if !ok {
		return fmt.Errorf("a string is expected, got %s", e.s.Type(i))
	}
	if len(e.out)+len(text) > walk.MaxOutput {
		return walk.ErrOutput
	}
	if f.UTF8 && !utf8.ValidString(text) {
		return errors.New("the string is not UTF-8; a field of the type bytes holds any")
	}
	e.out = protowire.AppendString(e.out, text)
	return nil
}

func (e *encoder) enumValue(en *protofile.Enum, i int) (int32, error) {
	if name, ok := e.s.String(i); ok {
		n, known := en.ByName[name]
		if !known {
			return 0, fmt.Errorf("%s has no value %q", en.Name, name)
		}
		return n, nil
	}
	n, ok := e.s.Int(i)
	if !ok || n != int64(int32(n)) {
		return 0, fmt.Errorf("a name or a number of %s is expected, got %s", en.Name, e.s.Text(i))
	}
	return int32(n), nil
}

// integer appends an integer, which may be given as digits. One that is below zero is taken for an unsigned 64-bit one with the same bits, as decode makes it.
func (e *encoder) integer(k protoreflect.Kind, i int) error {
	n, ok := e.s.Int(i)
	if text, isText := e.s.String(i); isText {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			var u uint64
			u, err = strconv.ParseUint(text, 10, 64)
			n = int64(u)
		}
		ok = err == nil && (n >= 0 || text[0] == '-' || k == protoreflect.Uint64Kind || k == protoreflect.Fixed64Kind)
	} else if _, whole := e.numbers.Whole(e.s, i); ok && !whole && (n > 1<<53 || n < -1<<53) {
		return fmt.Errorf("%s is no exact integer; a string of digits is", e.s.Text(i))
	}
	if !ok {
		return fmt.Errorf("an integer is expected, got %.40s", e.s.Text(i))
	}
	var err error
	e.out, err = protofile.AppendInteger(e.out, k, n)
	return err
}
