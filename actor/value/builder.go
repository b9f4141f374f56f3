package value

import (
	"errors"
	"fmt"
	"math"
)

// MaxDepth is how deep tables may nest. What is deeper is nearly always a table that contains itself.
const MaxDepth = 64

// ErrDepth is for tables that nest deeper than MaxDepth.
var ErrDepth = errors.New("value: tables nest deeper than 64 levels (does a table contain itself?)")

// maxItems bounds a List with tables in tables: a few that contain one another many times are, written out, more than any memory holds.
const maxItems = 4 << 20

// ErrSize is for tables that are more than 4,194,304 values.
var ErrSize = errors.New("value: the tables have more than 4194304 values (is one in others many times?)")

// Builder makes a List, value after value. The zero Builder is ready. It must not be used by two goroutines at once.
type Builder struct {
	items []item
	open  []openTable
	n     int
}

type openTable struct {
	head      int // where the table's item is
	arr, hash int
	key       bool // a key was given and its value is still to come
}

// Grow makes room for n more values.
func (b *Builder) Grow(n int) {
	if cap(b.items)-len(b.items) < n {
		items := make([]item, len(b.items), len(b.items)+n)
		copy(items, b.items)
		b.items = items
	}
}

func (b *Builder) add(it item) {
	it.size = 1
	b.items = append(b.items, it)
	b.count()
}

// count books one finished value with whatever is being built around it.
func (b *Builder) count() {
	if len(b.open) == 0 {
		b.n++
		return
	}
	t := &b.open[len(b.open)-1]
	if t.key {
		t.hash++
		t.key = false
		return
	}
	t.arr++
}

// Nil adds nil.
func (b *Builder) Nil() { b.add(item{kind: Nil}) }

// Bool adds a boolean.
func (b *Builder) Bool(v bool) {
	b.add(boolItem(v))
}

// Int adds an integer.
func (b *Builder) Int(v int64) { b.add(item{kind: Int, bits: uint64(v)}) }

// Float adds a float.
func (b *Builder) Float(v float64) { b.add(item{kind: Float, bits: math.Float64bits(v)}) }

// String adds a string of any bytes.
func (b *Builder) String(v string) { b.add(item{kind: String, str: v}) }

// Value adds a value of another list; its strings are shared.
func (b *Builder) Value(v Value) {
	if len(v.items) == 0 {
		b.Nil()
		return
	}
	b.items = append(b.items, v.items...)
	b.count()
}

// Begin opens a table. Its array part comes first, value after value; then its fields, each a Key and a value; then End.
func (b *Builder) Begin() error {
	if len(b.open) >= MaxDepth {
		return ErrDepth
	}
	if len(b.items) > maxItems {
		return ErrSize
	}
	b.open = append(b.open, openTable{head: len(b.items)})
	b.items = append(b.items, item{kind: Table})
	return nil
}

func boolItem(v bool) item {
	if v {
		return item{kind: Bool, bits: 1}
	}
	return item{kind: Bool}
}

// addKey adds the key of the value that is added next.
func (b *Builder) addKey(it item) {
	it.size = 1
	b.items = append(b.items, it)
	b.open[len(b.open)-1].key = true
}

// Key gives the string key of the value that is added next.
func (b *Builder) Key(k string) {
	b.addKey(item{kind: String, str: k})
}

// IntKey gives the integer key of the value that is added next.
func (b *Builder) IntKey(k int64) {
	b.addKey(item{kind: Int, bits: uint64(k)})
}

// ValueKey gives a scalar of another list as the key of the value that is added next.
func (b *Builder) ValueKey(k Value) {
	b.addKey(k.items[0])
}

// FloatKey gives the float key of the value that is added next.
func (b *Builder) FloatKey(k float64) {
	b.addKey(item{kind: Float, bits: math.Float64bits(k)})
}

// BoolKey gives the boolean key of the value that is added next.
func (b *Builder) BoolKey(k bool) {
	b.addKey(boolItem(k))
}

// End closes the table that was opened last.
func (b *Builder) End() {
	last := len(b.open) - 1
	t := b.open[last]
	b.open = b.open[:last]
	head := &b.items[t.head]
	head.bits = uint64(t.arr)<<32 | uint64(t.hash)
	head.size = uint32(len(b.items) - t.head)
	b.count()
}

// List is what was built. The Builder starts anew.
func (b *Builder) List() List {
	l := List{items: b.items, n: b.n}
	*b = Builder{}
	return l
}

// Take is List for a Builder that is used over and over: the list gets memory of its own, and the Builder keeps what it has.
func (b *Builder) Take() List {
	l := List{n: b.n}
	if len(b.items) > 0 {
		l.items = make([]item, len(b.items))
		copy(l.items, b.items)
	}
	b.Reset()
	return l
}

// Lend is Take without a copy: the list is good until the Builder is reset or used again.
func (b *Builder) Lend() List { return List{items: b.items, n: b.n} }

// Clone is a list with memory of its own.
func (l List) Clone() List {
	l.items = append([]item(nil), l.items...)
	return l
}

// maxKept bounds the items whose memory a Builder keeps.
const maxKept = 1024

// Reset drops what has been built so far. The Builder keeps its memory, unless that is large, but no strings.
func (b *Builder) Reset() {
	if cap(b.items) > maxKept {
		*b = Builder{}
		return
	}
	clear(b.items)
	b.items, b.open, b.n = b.items[:0], b.open[:0], 0
}

// Of makes a List of plain Go data, see [Builder.Any]. It is meant for literals and panics on a type that no script could read.
func Of(args ...any) List {
	var b Builder
	b.Grow(len(args))
	for i, a := range args {
		if err := b.Any(a); err != nil {
			panic(fmt.Sprintf("value.Of: argument %d: %v", i+1, err))
		}
	}
	return b.List()
}

// Any adds plain Go data: nil, booleans, integers, floats, strings, []byte, Value, []any, []string, map[string]any and map[string]string.
func (b *Builder) Any(a any) error {
	switch v := a.(type) {
	case nil:
		b.Nil()
	case bool:
		b.Bool(v)
	case int:
		b.Int(int64(v))
	case int32:
		b.Int(int64(v))
	case int64:
		b.Int(v)
	case uint16:
		b.Int(int64(v))
	case uint32:
		b.Int(int64(v))
	case float64:
		b.Float(v)
	case string:
		b.String(v)
	case []byte:
		b.String(string(v))
	case Value:
		b.Value(v)
	case []any:
		return addSlice(b, v)
	case []string:
		return addSlice(b, v)
	case map[string]any:
		return addMap(b, v)
	case map[string]string:
		return addMap(b, v)
	default:
		return fmt.Errorf("value: %T is not nil, a boolean, a number, a string, a slice or a map with string keys", a)
	}
	return nil
}

func addSlice[T any](b *Builder, s []T) error {
	if err := b.Begin(); err != nil {
		return err
	}
	for i, e := range s {
		if err := b.Any(e); err != nil {
			return fmt.Errorf("[%d]: %w", i+1, err)
		}
	}
	b.End()
	return nil
}

func addMap[T any](b *Builder, m map[string]T) error {
	if err := b.Begin(); err != nil {
		return err
	}
	for k, e := range m {
		b.Key(k)
		if err := b.Any(e); err != nil {
			return fmt.Errorf(".%s: %w", k, err)
		}
	}
	b.End()
	return nil
}

// Scan copies the list's first values into dst: *string, *[]byte, *int, *int64, *float64, *bool, *Value, or a last *List that takes what is left.
// The error names the argument, what was found and what was expected.
func (l List) Scan(dst ...any) error {
	for i, d := range dst {
		v, want := l.At(i), ""
		var ok bool
		switch d := d.(type) {
		case *string:
			*d, ok = v.Str()
			want = "string"
		case *[]byte:
			var s string
			s, ok = v.Str()
			*d, want = []byte(s), "string"
		case *int64:
			*d, ok = v.Int()
			want = "integer"
		case *int:
			var n int64
			n, ok = v.Int()
			*d, want = int(n), "integer"
		case *float64:
			*d, ok = v.Float()
			want = "number"
		case *bool:
			*d, ok = v.Bool(), v.Kind() == Bool
			want = "boolean"
		case *Value:
			*d, ok = v, true
		case *List:
			*d, ok = l.Rest(i), true
		default:
			return fmt.Errorf("value: Scan into %T is not supported", d)
		}
		if !ok {
			return fmt.Errorf("value: argument %d: expected %s, got %s", i+1, want, v.Kind())
		}
	}
	return nil
}
