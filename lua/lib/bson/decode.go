package bson

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

type decoder struct {
	*codec
	s     vm.State
	depth int
}

var (
	errBroken = errors.New("the bytes are no document of BSON")
	errZero   = errors.New("the string begins with a zero byte, by which scripts tell types that Lua has not")
)

// Push pushes a document as a table. It keeps nothing of raw.
func (c *codec) Push(s vm.State, raw []byte) error {
	d := decoder{codec: c, s: s}
	return d.document(raw, false)
}

// document pushes what is in the bytes of a document or an array.
func (d *decoder) document(raw []byte, array bool) error {
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf("documents nest deeper than %d levels", maxDepth)
	}
	length, rest, ok := bsoncore.ReadLength(raw)
	if !ok || int(length) != len(raw) || length < 5 || raw[len(raw)-1] != 0 {
		return errBroken
	}
	rest = rest[:len(rest)-1]
	d.s.NewTable(0, 0)
	t := d.s.Top()
	for i := int64(1); len(rest) > 0; i++ {
		var element bsoncore.Element
		if element, rest, ok = bsoncore.ReadElement(rest); !ok {
			return errBroken
		}
		key, err := element.KeyErr()
		if err != nil {
			return errBroken
		}
		v, err := element.ValueErr()
		if err != nil {
			return walk.Field(errBroken, key)
		}
		if array {
			if err := d.value(v); err != nil {
				return walk.Index(err, i)
			}
			d.s.RawSetInt(t, i)
			continue
		}
		d.s.PushString(key)
		if err := d.value(v); err != nil {
			return walk.Field(err, key)
		}
		d.s.RawSet(t)
	}
	d.depth--
	return nil
}

func (d *decoder) value(v bsoncore.Value) error {
	switch v.Type {
	case bsoncore.TypeEmbeddedDocument, bsoncore.TypeArray:
		return d.document(v.Data, v.Type == bsoncore.TypeArray)
	case bsoncore.TypeDouble:
		if f, ok := v.DoubleOK(); ok {
			d.s.PushFloat(f)
			return nil
		}
	case bsoncore.TypeInt32:
		if n, ok := v.Int32OK(); ok {
			d.s.PushInt(int64(n))
			return nil
		}
	case bsoncore.TypeInt64:
		if n, ok := v.Int64OK(); ok {
			return d.numbers.Push(d.s, n)
		}
	case bsoncore.TypeBoolean:
		if b, ok := v.BooleanOK(); ok {
			d.s.PushBool(b)
			return nil
		}
	case bsoncore.TypeString:
		if text, ok := v.StringValueOK(); ok {
			return d.text(text)
		}
	default:
		text, err := specialString(v)
		d.s.PushString(text)
		return err
	}
	return errBroken
}

// text pushes a string, which must not look like one that stands for another type.
func (d *decoder) text(text string) error {
	if len(text) >= 2 && text[0] == 0 {
		return errZero
	}
	d.s.PushString(text)
	return nil
}
