package lua

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// converter is a State whose engine converts messages by itself, which is faster than one value after the other. PushList is false, and has pushed nothing, for what
// the engine can't hold. TakeList fails with value.ErrSize, or for any value that has to be looked at by itself.
type converter interface {
	PushList(l value.List) bool
	TakeList(from int) (value.List, error)
}

// PushList pushes the values of a message and returns how many there are. An engine that can't hold an integer (see vm.State.Exact) refuses it with an error
// that tells where in the message it is.
func PushList(s vm.State, l value.List) int {
	if c, ok := s.(converter); ok && c.PushList(l) {
		return l.Len()
	}
	if !s.Exact() {
		i := 0
		for _, v := range l.All {
			i++
			refuseLarge(s, v, "argument "+strconv.Itoa(i))
		}
	}
	for _, v := range l.All {
		pushValue(s, v)
	}
	return l.Len()
}

// PushValue pushes one value. Tables are made anew: the VM may change them.
func PushValue(s vm.State, v value.Value) {
	if !s.Exact() {
		refuseLarge(s, v, "value")
	}
	pushValue(s, v)
}

func pushValue(s vm.State, v value.Value) {
	switch v.Kind() {
	case value.Nil:
		s.PushNil()
	case value.Bool:
		s.PushBool(v.Bool())
	case value.Int:
		n, _ := v.Int()
		s.PushInt(n)
	case value.Float:
		f, _ := v.Float()
		s.PushFloat(f)
	case value.String:
		str, _ := v.Str()
		s.PushString(str)
	case value.Table:
		pushTable(s, v)
	}
}

func pushTable(s vm.State, v value.Value) {
	s.NewTable(v.Len(), v.Fields())
	t := s.Top()
	for i, e := range v.Items {
		pushValue(s, e)
		s.RawSetInt(t, int64(i))
	}
	for k, e := range v.Pairs {
		pushValue(s, k)
		pushValue(s, e)
		s.RawSet(t)
	}
}

// refuseLarge lets an engine without 64-bit integers refuse the first one in v that it can't hold, with the way there, which begins with root. An engine that
// gives scripts such integers in another form refuses none.
func refuseLarge(s vm.State, v value.Value, root string) {
	n, way, found := findLarge(v)
	if !found {
		return
	}
	if p, ok := s.(interface{ PushIntOf(v int64, what string) }); ok {
		p.PushIntOf(n, root+way)
		s.Pop(1)
	}
}

// findLarge finds an integer beyond 2^53 in a value, and the way to it.
func findLarge(v value.Value) (n int64, way string, found bool) {
	const maxExact = 1 << 53
	switch v.Kind() {
	case value.Int:
		n, _ = v.Int()
		return n, "", n < -maxExact || n > maxExact
	case value.Table:
		for i, e := range v.Items {
			if n, way, found = findLarge(e); found {
				return n, "[" + strconv.Itoa(i) + "]" + way, true
			}
		}
		for k, e := range v.Pairs {
			if n, _, found = findLarge(k); found {
				return n, ", a key", true
			}
			if n, way, found = findLarge(e); found {
				return n, "." + shortKey(k) + way, true
			}
		}
	}
	return 0, "", false
}

// shortKey is a key for an error.
func shortKey(k value.Value) string {
	return clipped(k.KeyText(), 64)
}

// TakeList makes a message of the values from index `from` to the top. What cannot leave a VM is an error that names where it is.
//
// A table that has a metamethod __pairs is read through that, as skynet.pack of Skynet does: a shared table (see services/sharedata) is sent as what it shows.
func TakeList(s vm.State, from int) (value.List, error) {
	l, err := takeList(s, s, from)
	if errors.Is(err, value.ErrSize) {
		s.Spend(tooManyCost)
	}
	return l, err
}

// tooManyCost is how many steps it is worth to find out that tables have too many values to be sent.
const tooManyCost = 4 << 20

// takeList is TakeList of a thread that may not be running any more; metamethods are called on another one.
func takeList(on, s vm.State, from int) (value.List, error) {
	if c, ok := s.(converter); ok {
		if l, err := c.TakeList(from); err == nil || errors.Is(err, value.ErrSize) {
			return l, err
		}
	}
	var b value.Builder
	top := s.Top()
	b.Grow(top - from + 1)
	for i := from; i <= top; i++ {
		if err := (taker{on, s}).value(&b, i); err != nil {
			return value.List{}, fmt.Errorf("argument %d%w", i-from+1, err)
		}
	}
	return b.List(), nil
}

// taker takes values from the stack of s, and calls metamethods on the thread `on`.
type taker struct{ on, s vm.State }

// value adds the value at index i. Its errors begin with the path to what they are about.
func (tk taker) value(b *value.Builder, i int) error {
	s := tk.s
	switch t := s.Type(i); t {
	case vm.Nil:
		b.Nil()
	case vm.Boolean:
		b.Bool(s.Bool(i))
	case vm.Number:
		if s.IsInt(i) {
			n, _ := s.Int(i)
			b.Int(n)
			return nil
		}
		f, _ := s.Float(i)
		b.Float(f)
	case vm.String:
		str, _ := s.String(i)
		b.String(str)
	case vm.Table:
		return tk.table(b, i)
	default:
		return fmt.Errorf(": a %s cannot be sent", t)
	}
	return nil
}

func (tk taker) table(b *value.Builder, t int) error {
	s, top := tk.s, tk.s.Top()
	if err := b.Begin(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	t, err := tk.plain(t)
	if err != nil {
		return err
	}
	n := int64(s.Len(t))
	for i := int64(1); i <= n; i++ {
		s.RawGetInt(t, i)
		if err := tk.value(b, s.Top()); err != nil {
			return inPath(fmt.Sprintf("[%d]", i), err)
		}
		s.Pop(1)
	}
	s.PushNil()
	for s.Next(t) {
		key := s.Top() - 1
		if s.IsInt(key) {
			if k, _ := s.Int(key); k >= 1 && k <= n {
				s.Pop(1)
				continue
			}
		}
		if err := takeKey(s, b, key); err != nil {
			return err
		}
		if err := tk.value(b, key+1); err != nil {
			return inPath("."+s.Text(key), err)
		}
		s.Pop(1)
	}
	s.SetTop(top)
	b.End()
	return nil
}

// plain is vm.Plain, whose errors it returns.
func (tk taker) plain(t int) (int, error) {
	s, on := tk.s, tk.on
	if !s.Metatable(t) {
		return t, nil
	}
	s.PushString("__pairs")
	s.RawGet(-2)
	none := s.Type(-1) == vm.Nil
	s.Pop(2)
	if none {
		return t, nil
	}
	on.PushFunc("__pairs", func(s vm.State) int {
		vm.Plain(s, 1)
		return 1
	})
	s.Copy(t)
	if on != s {
		s.Move(on, 1)
	}
	err := on.PCall(1, 1)
	if err != nil {
		err = fmt.Errorf(": %s", on.Text(-1))
		on.Pop(1)
		return 0, err
	}
	if on != s {
		on.Move(s, 1)
	}
	return s.Top(), nil
}

// inPath puts one more step before the path of an error; beyond a depth where a table must contain itself the path says nothing.
func inPath(step string, err error) error {
	if errors.Is(err, value.ErrDepth) || errors.Is(err, value.ErrSize) {
		return err
	}
	return fmt.Errorf("%s%w", step, err)
}

func takeKey(s vm.State, b *value.Builder, i int) error {
	switch t := s.Type(i); t {
	case vm.String:
		str, _ := s.String(i)
		b.Key(str)
	case vm.Number:
		if s.IsInt(i) {
			n, _ := s.Int(i)
			b.IntKey(n)
			return nil
		}
		f, _ := s.Float(i)
		b.FloatKey(f)
	case vm.Boolean:
		b.BoolKey(s.Bool(i))
	default:
		return fmt.Errorf(": a key that is a %s cannot be sent", t)
	}
	return nil
}
