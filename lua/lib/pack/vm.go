package pack

import (
	"errors"
	"fmt"
	"math"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// writer packs values of a VM.
type writer struct {
	s       vm.State
	numbers walk.Numbers
	out     []byte
	open    walk.Open
}

// Encode packs the values from index from to the top. Its errors name the argument and the way to what can't be packed: functions, threads, userdata, tables
// that nest deeper than value.MaxDepth, and more than 64 MiB.
func Encode(s vm.State, from int) ([]byte, error) {
	w := writer{s: s, numbers: walk.NumbersOf(s), open: walk.NewOpen(value.MaxDepth)}
	for i := from; i <= s.Top(); i++ {
		if err := w.value(i); err != nil {
			return nil, errors.New(walk.Text(err, fmt.Sprintf("argument %d", i-from+1)))
		}
	}
	return w.out, nil
}

func (w *writer) value(i int) (err error) {
	if err := w.open.Value(len(w.out)); err != nil {
		return err
	}
	switch t := w.s.Type(i); t {
	case vm.Nil:
		w.out = append(w.out, head(typeNil, 0))
	case vm.Boolean:
		w.out = appendBool(w.out, w.s.Bool(i))
	case vm.Number:
		if n, ok := w.numbers.Whole(w.s, i); ok {
			w.out = appendInt(w.out, n)
			return nil
		}
		f, _ := w.s.Float(i)
		w.out = appendFloat(w.out, f)
	case vm.String:
		text, _ := w.s.String(i)
		w.out, err = appendString(w.out, text)
		return err
	case vm.Table:
		return w.table(i)
	default:
		return fmt.Errorf("a %s can't be packed", t)
	}
	return nil
}

func (w *writer) table(t int) error {
	if err := w.open.Enter(w.s, t); err != nil {
		return err
	}
	defer w.open.Leave()
	defer w.s.SetTop(w.s.Top())
	t = vm.Plain(w.s, t)
	n := int64(w.s.Len(t))
	w.out = appendTable(w.out, int(n))
	for i := int64(1); i <= n; i++ {
		w.s.RawGetInt(t, i)
		if err := w.value(w.s.Top()); err != nil {
			return walk.Index(err, i)
		}
		w.s.Pop(1)
	}
	w.s.PushNil()
	for w.s.Next(t) {
		key := w.s.Top() - 1
		k, whole := w.numbers.Whole(w.s, key)
		if whole && k >= 1 && k <= n {
			w.s.Pop(1)
			continue
		}
		if w.s.Type(key) == vm.Table {
			return errors.New("a key is a table")
		}
		if err := w.value(key); err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		if err := w.value(key + 1); err != nil {
			return w.numbers.Key(w.s, key, err)
		}
		w.s.Pop(1)
	}
	w.out = append(w.out, head(typeNil, 0))
	return nil
}

// pusher makes values in a VM.
type pusher struct {
	s       vm.State
	numbers walk.Numbers
	tables  []int // those that are open, by their indices on the stack
}

// Decode pushes the packed values, of any origin, and returns how many there are. After an error it leaves values on the stack that the caller drops.
func Decode(s vm.State, data []byte) (int, error) {
	r := reader{data: data, out: &pusher{s: s, numbers: walk.NumbersOf(s)}}
	return r.all()
}

func (p *pusher) scalar(v scalar) error {
	switch v.kind {
	case value.Bool:
		p.s.PushBool(v.n != 0)
	case value.Int:
		return p.numbers.Push(p.s, v.n)
	case value.Float:
		p.s.PushFloat(v.f)
	case value.String:
		p.s.PushString(v.s)
	default:
		p.s.PushNil()
	}
	return nil
}

func (p *pusher) begin(items int) error {
	p.s.NewTable(items, 0)
	p.tables = append(p.tables, p.s.Top())
	return nil
}

func (p *pusher) item(i int64) { p.s.RawSetInt(p.tables[len(p.tables)-1], i) }

func (p *pusher) key(k scalar) error {
	if k.kind == value.Float && math.IsNaN(k.f) {
		return errNaN
	}
	return p.scalar(k)
}

func (p *pusher) field() { p.s.RawSet(p.tables[len(p.tables)-1]) }

func (p *pusher) end() { p.tables = p.tables[:len(p.tables)-1] }
