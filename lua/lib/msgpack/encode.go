package msgpack

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

type encoder struct {
	*codec
	s    vm.State
	out  []byte
	open walk.Open
}

func (e *encoder) value(i int) error {
	if err := e.open.Value(len(e.out)); err != nil {
		return err
	}
	switch t := e.s.Type(i); t {
	case vm.Nil:
		e.out = msgp.AppendNil(e.out)
	case vm.Boolean:
		e.out = msgp.AppendBool(e.out, e.s.Bool(i))
	case vm.Number:
		e.number(i)
	case vm.String:
		text, _ := e.s.String(i)
		return e.text(text, e.stringsAsBin)
	case vm.Table:
		return e.table(i)
	default:
		return e.object(i, t)
	}
	return nil
}

// number writes an integer in its shortest form, a positive one without a sign.
func (e *encoder) number(i int) {
	n, ok := e.numbers.Whole(e.s, i)
	switch {
	case !ok:
		f, _ := e.s.Float(i)
		e.out = msgp.AppendFloat64(e.out, f)
	case n >= 0:
		e.out = msgp.AppendUint64(e.out, uint64(n))
	default:
		e.out = msgp.AppendInt64(e.out, n)
	}
}

func (e *encoder) text(text string, asBin bool) error {
	if len(e.out)+len(text) > walk.MaxOutput {
		return walk.ErrOutput
	}
	if asBin {
		e.out = append(msgp.AppendBytesHeader(e.out, uint32(len(text))), text...)
	} else {
		e.out = msgp.AppendString(e.out, text)
	}
	return nil
}

func (e *encoder) object(i int, t vm.Type) (err error) {
	switch v := e.s.Userdata(i).(type) {
	case *bin:
		return e.text(v.data, true)
	case *ext:
		if len(e.out)+len(v.data) > walk.MaxOutput {
			return walk.ErrOutput
		}
		e.out, err = msgp.AppendExtension(e.out, &msgp.RawExtension{Type: v.tag, Data: []byte(v.data)})
		return err
	}
	return fmt.Errorf("a %s has no form in MessagePack", t)
}

func (e *encoder) table(t int) error {
	if err := e.open.Enter(e.s, t); err != nil {
		return err
	}
	defer e.open.Leave()
	defer e.s.SetTop(e.s.Top())
	t = vm.Plain(e.s, t)
	shape := walk.Shape{}
	if !e.mapsOnly {
		shape = e.numbers.ShapeOf(e.s, t)
	}
	if shape.Dense() || shape.List && e.holes {
		return e.array(t, shape.Len)
	}
	return e.fields(t)
}

func (e *encoder) array(t int, n int64) error {
	if n > walk.MaxOutput {
		return walk.ErrOutput
	}
	e.out = msgp.AppendArrayHeader(e.out, uint32(n))
	for i := int64(1); i <= n; i++ {
		e.s.RawGetInt(t, i)
		if err := e.value(e.s.Top()); err != nil {
			return walk.Index(err, i)
		}
		e.s.Pop(1)
	}
	return nil
}

func (e *encoder) fields(t int) error {
	n := uint32(0)
	e.s.PushNil()
	for e.s.Next(t) {
		e.s.Pop(1)
		n++
	}
	e.out = msgp.AppendMapHeader(e.out, n)
	e.s.PushNil()
	for e.s.Next(t) {
		top := e.s.Top()
		switch k := e.s.Type(top - 1); k {
		case vm.String, vm.Number, vm.Boolean:
		default:
			return fmt.Errorf("a key is a %s", k)
		}
		if err := e.value(top - 1); err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		if err := e.value(top); err != nil {
			return e.numbers.Key(e.s, top-1, err)
		}
		e.s.Pop(1)
	}
	return nil
}
