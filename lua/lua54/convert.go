package lua54

import (
	"errors"
	"math"
	"sync"

	messages "github.com/skua-go/skua/actor/value"
)

// builders lends what lists are built in. One of each VM's own would be memory that no idle VM needs, and that a busy one finds in no cache any more.
var builders = sync.Pool{New: func() any { return new(messages.Builder) }} //nolint:gochecknoglobals // a cache

// errOther is for what can't be sent, or not without the host: who asks one value after the other finds out which.
var errOther = errors.New("lua: a value is not for the engine to send")

// TakeList makes a message of the values from index from to the top.
func (th *thread) TakeList(from int) (messages.List, error) {
	b := builders.Get().(*messages.Builder) //nolint:forcetypeassert // what the pool makes
	defer builders.Put(b)
	if err := th.TakeListTo(b, from); err != nil {
		return messages.List{}, err
	}
	return b.Take(), nil
}

// TakeListTo is TakeList into a Builder, which is left empty by an error.
func (th *thread) TakeListTo(b *messages.Builder, from int) error {
	for at := th.base + from - 1; at < th.top; at++ {
		if err := take(b, th.stack[at]); err != nil {
			b.Reset()
			return err
		}
	}
	return nil
}

func take(b *messages.Builder, v value) error {
	switch v.kind() {
	case kindNil:
		b.Nil()
	case kindFalse:
		b.Bool(false)
	case kindTrue:
		b.Bool(true)
	case kindInt:
		b.Int(v.int())
	case kindFloat:
		b.Float(v.float())
	case kindString:
		b.String(v.text())
	case kindTable:
		return takeTable(b, v.o.table())
	default:
		return errOther
	}
	return nil
}

func takeTable(b *messages.Builder, t *table) error {
	if t.meta.method(evPairs).o != nil { // who takes one value after the other can call __pairs
		return errOther
	}
	if err := b.Begin(); err != nil {
		return err
	}
	for _, v := range t.arr {
		if err := take(b, v); err != nil {
			return err
		}
	}
	for i := range t.nodes {
		nd := &t.nodes[i]
		if nd.val.o == nil {
			continue
		}
		switch nd.key.kind() {
		case kindString:
			b.Key(nd.key.text())
		case kindInt:
			b.IntKey(nd.key.int())
		case kindFloat:
			b.FloatKey(nd.key.float())
		case kindFalse, kindTrue:
			b.BoolKey(nd.key.o == &trueObj)
		default:
			return errOther
		}
		if err := take(b, nd.val); err != nil {
			return err
		}
	}
	b.End()
	return nil
}

// PushList pushes the values of a message. Its tables are made anew.
func (th *thread) PushList(l messages.List) bool {
	n := l.Len()
	th.grow(th.top, n)
	r := l.Reader()
	for range n {
		th.stack[th.top] = th.m.read(&r)
		th.top++
	}
	return true
}

func (m *machine) read(r *messages.Reader) value {
	switch it := r.Next(); it.Kind {
	case messages.Bool:
		return boolValue(it.Bits != 0)
	case messages.Int, messages.Float:
		return scalar(it)
	case messages.String:
		return m.given(it.Str)
	case messages.Table:
		return value{o: &m.readTable(r, it.Items, it.Fields).object}
	}
	return value{}
}

func scalar(it messages.Item) value {
	if it.Kind == messages.Int {
		return value{&intObj, it.Bits}
	}
	return floatValue(math.Float64frombits(it.Bits))
}

func (m *machine) readTable(r *messages.Reader, items, fields int) *table {
	t := m.newTable(items, fields)
	for range items {
		t.arr = append(t.arr, m.read(r))
	}
	t.trim()
	for range fields {
		k := m.read(r)
		v := m.read(r)
		if k.o == nil || isNaN(k) || v.o == nil {
			continue
		}
		t.set(k, v)
	}
	return t
}
