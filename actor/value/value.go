// Package value holds dynamic data the way messages carry it between scripts, Go services and nodes:
// nil, booleans, 64-bit integers, floats, byte strings and tables of these, immutable once built.
//
// A List is flat: a table is one item that knows how many follow, so a message of any shape is one slice, strings are shared
// with whoever built it, and neither a sender nor a receiver walks a tree of pointers.
package value

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Kind tells what a Value is.
type Kind uint8

// The kinds of values. A String holds any bytes.
const (
	Nil Kind = iota
	Bool
	Int
	Float
	String
	Table
)

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// kindNames are Lua's names: most who read an error here write Lua.
var kindNames = [...]string{"nil", "boolean", "integer", "number", "string", "table"} //nolint:gochecknoglobals // a constant

// item is one scalar, or the head of a table: arr values and then hash pairs of key and value follow it, size items in all
// including the head.
type item struct {
	kind Kind
	size uint32
	bits uint64 // Bool, Int, Float; for a table arr<<32 | hash
	str  string
}

func (it item) arr() int  { return int(it.bits >> 32) }
func (it item) hash() int { return int(uint32(it.bits)) }

// List is a sequence of values: the arguments of a message or its answer. The zero List is empty. It may be shared between goroutines.
type List struct {
	items []item
	n     int
}

// Len is the number of values.
func (l List) Len() int { return l.n }

// At is the value at i, counted from 0; beyond the end it is nil, as it is in Lua.
func (l List) At(i int) Value {
	if i < 0 || i >= l.n {
		return Value{}
	}
	pos := 0
	for ; i > 0; i-- {
		pos += int(l.items[pos].size)
	}
	return Value{l.items[pos : pos+int(l.items[pos].size)]}
}

// All calls yield with each value and its index until it returns false.
func (l List) All(yield func(int, Value) bool) {
	for i, pos := 0, 0; i < l.n; i++ {
		end := pos + int(l.items[pos].size)
		if !yield(i, Value{l.items[pos:end]}) {
			return
		}
		pos = end
	}
}

// Rest is the list without its first n values.
func (l List) Rest(n int) List {
	if n >= l.n {
		return List{}
	}
	pos := 0
	for i := 0; i < n; i++ {
		pos += int(l.items[pos].size)
	}
	return List{items: l.items[pos:], n: l.n - n}
}

// Value is one value of a List. The zero Value is nil.
type Value struct{ items []item }

// Kind tells what the value is.
func (v Value) Kind() Kind {
	if len(v.items) == 0 {
		return Nil
	}
	return v.items[0].kind
}

// IsNil tells whether there is nothing.
func (v Value) IsNil() bool { return v.Kind() == Nil }

// Bool is Lua's truth: everything but nil and false.
func (v Value) Bool() bool {
	switch v.Kind() {
	case Nil:
		return false
	case Bool:
		return v.items[0].bits != 0
	default:
		return true
	}
}

// Int is the value as an integer; a float counts when nothing is lost.
func (v Value) Int() (int64, bool) {
	switch v.Kind() {
	case Int:
		return int64(v.items[0].bits), true
	case Float:
		f := math.Float64frombits(v.items[0].bits)
		if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
			return int64(f), true
		}
	}
	return 0, false
}

// Float is the value as a float.
func (v Value) Float() (float64, bool) {
	switch v.Kind() {
	case Int:
		return float64(int64(v.items[0].bits)), true
	case Float:
		return math.Float64frombits(v.items[0].bits), true
	}
	return 0, false
}

// Str is the value as a string. Numbers are not converted.
func (v Value) Str() (string, bool) {
	if v.Kind() != String {
		return "", false
	}
	return v.items[0].str, true
}

// Len is the number of values in a table's array part, and 0 for anything else.
func (v Value) Len() int {
	if v.Kind() != Table {
		return 0
	}
	return v.items[0].arr()
}

// Fields is the number of key-value pairs of a table beside its array part.
func (v Value) Fields() int {
	if v.Kind() != Table {
		return 0
	}
	return v.items[0].hash()
}

// Get is the value under a string key, nil if there is none. It looks at all fields in turn.
func (v Value) Get(key string) Value {
	found := Value{}
	v.Pairs(func(k, val Value) bool {
		if s, ok := k.Str(); ok && s == key {
			found = val
			return false
		}
		return true
	})
	return found
}

// Items calls yield with each value of the array part, counted from 1 as in Lua.
func (v Value) Items(yield func(int, Value) bool) {
	pos := 1
	for i := range v.Len() {
		end := pos + int(v.items[pos].size)
		if !yield(i+1, Value{v.items[pos:end]}) {
			return
		}
		pos = end
	}
}

// Pairs calls yield with each key and value beside the array part.
func (v Value) Pairs(yield func(k, val Value) bool) {
	if v.Kind() != Table {
		return
	}
	pos := 1
	for range v.Len() {
		pos += int(v.items[pos].size)
	}
	for range v.Fields() {
		mid := pos + int(v.items[pos].size)
		end := mid + int(v.items[mid].size)
		if !yield(Value{v.items[pos:mid]}, Value{v.items[mid:end]}) {
			return
		}
		pos = end
	}
}

// Any is the value as plain Go data: nil, bool, int64, float64, string, []any for a table that has only an array part and is not
// empty, and map[string]any otherwise (keys that are not strings are written as text).
func (v Value) Any() any {
	switch v.Kind() {
	case Bool:
		return v.Bool()
	case Int:
		return int64(v.items[0].bits)
	case Float:
		return math.Float64frombits(v.items[0].bits)
	case String:
		return v.items[0].str
	case Table:
		return v.tableAny()
	}
	return nil
}

func (v Value) tableAny() any {
	if v.Len() > 0 && v.Fields() == 0 {
		arr := make([]any, 0, v.Len())
		for _, e := range v.Items {
			arr = append(arr, e.Any())
		}
		return arr
	}
	m := make(map[string]any, v.Len()+v.Fields())
	for i, e := range v.Items {
		m[strconv.Itoa(i)] = e.Any()
	}
	for k, e := range v.Pairs {
		m[k.KeyText()] = e.Any()
	}
	return m
}

// KeyText is a table key as text, for formats whose keys are strings.
func (v Value) KeyText() string {
	if s, ok := v.Str(); ok {
		return s
	}
	return fmt.Sprint(v.Any())
}

// List is a List of this value alone.
func (v Value) List() List {
	if len(v.items) == 0 {
		return List{items: []item{{kind: Nil, size: 1}}, n: 1}
	}
	return List{items: v.items, n: 1}
}

// String shows the value in Lua's notation, for logs and errors.
func (v Value) String() string {
	switch v.Kind() {
	case String:
		return fmt.Sprintf("%q", v.items[0].str)
	case Table:
		parts := make([]string, 0, v.Len()+v.Fields())
		for _, e := range v.Items {
			parts = append(parts, e.String())
		}
		fields := parts[len(parts):]
		for k, e := range v.Pairs {
			fields = append(fields, k.KeyText()+" = "+e.String())
		}
		sort.Strings(fields)
		return "{" + strings.Join(append(parts, fields...), ", ") + "}"
	}
	if v.IsNil() {
		return "nil"
	}
	return fmt.Sprint(v.Any())
}
