package gopher

import (
	"errors"
	"maps"
	"math"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/actor/value"
)

// builders lends what lists are built in, as those of lua54.
var builders = sync.Pool{New: func() any { return new(value.Builder) }} //nolint:gochecknoglobals // a cache

// errOther is for what can't be sent, or not without the host: who asks one value after the other finds out which.
var errOther = errors.New("lua: a value is not for the engine to send")

// TakeList makes a message of the values from index from to the top.
func (t *thread) TakeList(from int) (value.List, error) {
	b := builders.Get().(*value.Builder) //nolint:forcetypeassert // what the pool makes
	defer builders.Put(b)
	if err := t.TakeListTo(b, from); err != nil {
		return value.List{}, err
	}
	return b.Take(), nil
}

// TakeListTo is TakeList into a Builder, which is left empty by an error.
func (t *thread) TakeListTo(b *value.Builder, from int) error {
	for i, top := from, t.Top(); i <= top; i++ {
		if err := take(b, t.at(i)); err != nil {
			b.Reset()
			return err
		}
	}
	return nil
}

func take(b *value.Builder, v lua.LValue) error {
	switch v := v.(type) {
	case nil, *lua.LNilType:
		b.Nil()
	case lua.LBool:
		b.Bool(bool(v))
	case lua.LNumber:
		if n, ok := exact(float64(v)); ok {
			b.Int(n)
		} else {
			b.Float(float64(v))
		}
	case lua.LString:
		b.String(string(v))
	case *lua.LTable:
		return takeTable(b, v)
	default:
		return errOther
	}
	return nil
}

func takeTable(b *value.Builder, t *lua.LTable) error {
	if mt, ok := t.Metatable.(*lua.LTable); ok && mt.RawGetString("__pairs") != lua.LNil { // who takes one value after the other can call it
		return errOther
	}
	if err := b.Begin(); err != nil {
		return err
	}
	in := insides(t)
	for _, v := range in.array[:t.Len()] {
		if err := take(b, v); err != nil {
			return err
		}
	}
	for _, key := range in.keys {
		v := t.RawGetH(key)
		if v == lua.LNil {
			continue
		}
		switch key := key.(type) {
		case lua.LString:
			b.Key(string(key))
		case lua.LNumber:
			if n, ok := exact(float64(key)); ok {
				b.IntKey(n)
			} else {
				b.FloatKey(float64(key))
			}
		case lua.LBool:
			b.BoolKey(bool(key))
		default:
			return errOther
		}
		if err := take(b, v); err != nil {
			return err
		}
	}
	b.End()
	return nil
}

// PushList pushes the values of a message. Its tables are made anew. It is false, and has pushed nothing, if there is an integer that the engine would round.
func (t *thread) PushList(l value.List) bool {
	top := t.Top()
	r := l.Reader()
	for range l.Len() {
		v := t.read(&r)
		if v == nil {
			t.SetTop(top)
			return false
		}
		t.push(v)
	}
	return true
}

// read is the next value, nil for an integer that the engine would round.
func (t *thread) read(r *value.Reader) lua.LValue { return t.of(r.Next(), r) }

// of is the value of an item, which others follow in r if it is a table.
func (t *thread) of(it value.Item, r *value.Reader) lua.LValue {
	switch it.Kind {
	case value.Bool:
		return lua.LBool(it.Bits != 0)
	case value.Int:
		if n := int64(it.Bits); n >= -maxExact && n <= maxExact {
			return lua.LNumber(n)
		}
		return nil
	case value.Float:
		return lua.LNumber(math.Float64frombits(it.Bits))
	case value.String:
		t.m.took(stringSize + len(it.Str))
		return lua.LString(it.Str)
	case value.Table:
		if made := t.readTable(r, it.Items, it.Fields); made != nil {
			return made
		}
		return nil
	default:
		return lua.LNil
	}
}

func (t *thread) readTable(r *value.Reader, items, fields int) *lua.LTable {
	made := &lua.LTable{Metatable: lua.LNil}
	in := insides(made)
	if !t.readItems(r, made, items) || !t.readFields(r, made, fields) {
		return nil
	}
	t.m.took(tableSize + itemSize*len(in.array) + hashBytes(len(in.keys)))
	return made
}

// readItems reads the array part of a table.
func (t *thread) readItems(r *value.Reader, made *lua.LTable, items int) bool {
	if items == 0 {
		return true
	}
	in := insides(made)
	in.array = make([]lua.LValue, 0, min(items, maxArray-1))
	for i := range items {
		v := t.read(r)
		switch {
		case v == nil:
			return false
		case i < maxArray-1:
			in.array = append(in.array, v)
		default:
			setField(made, lua.LNumber(i+1), v)
		}
	}
	shorten(in)
	return true
}

// readFields reads the rest of one.
func (t *thread) readFields(r *value.Reader, made *lua.LTable, fields int) bool {
	in := insides(made)
	switch {
	case fields == 0:
		return true
	case fields <= maxNames:
		return t.readFew(r, made, fields)
	}
	in.strdict = make(map[string]lua.LValue, fields)
	in.keys, in.k2i = make([]lua.LValue, 0, fields), make(map[lua.LValue]int, fields)
	for range fields {
		key := t.read(r)
		v := t.read(r)
		if key == nil || v == nil {
			return false
		}
		setField(made, key, v)
	}
	return true
}

// readFew is readFields where a record may tell which keys there are.
func (t *thread) readFew(r *value.Reader, made *lua.LTable, fields int) bool {
	var names [maxNames]string
	var others, values [maxNames]lua.LValue // others are keys that are no names
	plain := true
	for i := range fields {
		it := r.Next()
		if names[i] = it.Str; it.Kind != value.String {
			if others[i] = t.of(it, r); others[i] == nil {
				return false
			}
			plain = false
		}
		if values[i] = t.read(r); values[i] == nil {
			return false
		}
		plain = plain && values[i] != lua.LNil
	}
	in := insides(made)
	in.strdict = make(map[string]lua.LValue, fields)
	if plain {
		if of := recordOf(names[:fields]); of != nil {
			in.keys, in.k2i = of.keys, maps.Clone(of.places)
			for i, name := range of.names {
				in.strdict[name] = values[i]
			}
			return true
		}
	}
	for i, v := range values[:fields] {
		key := others[i]
		if key == nil {
			key = lua.LString(names[i])
		}
		setField(made, key, v)
	}
	return true
}

// setField sets a field of a table that is being made. Nothing is no field, and what is not a number is no key.
func setField(made *lua.LTable, key, v lua.LValue) {
	if n, ok := key.(lua.LNumber); key == lua.LNil || v == lua.LNil || ok && math.IsNaN(float64(n)) {
		return
	}
	rawSet(made, key, v)
}
