package bson

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// Take appends the table at index t to dst as a document. last is the content that the same table had before, nil if there was none; hidden is the value of the
// field that scripts do not see, which is left out if it is 0. Errors tell the way to what can't be kept, behind root. What a table shows with a metamethod
// __pairs is taken, and that may raise an error of its own.
func (c *Documents) Take(dst []byte, s vm.State, t int, last []byte, hidden int64, root string) ([]byte, error) {
	top := s.Top()
	if t < 0 {
		t += top + 1
	}
	k := keeper{c: c, s: s, out: dst, from: len(dst), open: walk.NewOpen(c.MaxDepth), hidden: hidden}
	err := k.root(t, last)
	s.SetTop(top)
	if err == nil {
		return k.out, nil
	}
	if size := (*SizeError)(nil); errors.As(err, &size) {
		return dst, fmt.Errorf("%s: %w", root, size)
	}
	return dst, errors.New(walk.Text(err, root))
}

// keeper appends tables as documents.
type keeper struct {
	c      *Documents
	s      vm.State
	out    []byte
	from   int // where the whole document begins
	open   walk.Open
	hidden int64
}

// before is what the content before has at the place that is being taken. The zero before is nothing.
type before struct {
	t     bsoncore.Type
	value []byte
}

func (k *keeper) root(t int, last []byte) error {
	t = vm.Plain(k.s, t)
	shape, err := k.shapeOf(t)
	if err != nil {
		return err
	}
	if shape.list && shape.count > 0 {
		return errors.New("a document has fields with names, and this is a list")
	}
	hidden := k.c.Hidden
	if hidden == "" {
		return k.document(t, shape.count, last, "")
	}
	k.s.PushString(hidden)
	k.s.RawGet(t)
	taken := k.s.Type(-1) != vm.Nil
	k.s.Pop(1)
	if taken {
		return walk.Field(errors.New("a field of this name is kept by the store itself"), hidden)
	}
	return k.document(t, shape.count, last, hidden)
}

// start begins a document or an array.
func (k *keeper) start() int {
	k.out = append(k.out, 0, 0, 0, 0)
	return len(k.out) - 4
}

// end ends the document or array that began there.
func (k *keeper) end(at int) error {
	k.out = append(k.out, 0)
	binary.LittleEndian.PutUint32(k.out[at:], uint32(len(k.out)-at))
	return k.room(0)
}

// room fails when the document gets too long with n bytes more.
func (k *keeper) room(n int) error {
	if len(k.out)-k.from+n > k.c.MaxBytes {
		return &SizeError{k.c.MaxBytes}
	}
	return nil
}

// document appends the table at index t, which has so many fields: those of last first, in their order, and then the new ones.
func (k *keeper) document(t, fields int, last []byte, hidden string) error {
	if err := k.open.Enter(k.s, t); err != nil {
		return err
	}
	at := k.start()
	in, _ := elementsOf(last)
	known, marked := 0, false
	for rest := in; len(rest.rest) > 0; {
		typ, key, v, ok := rest.next()
		if !ok {
			return errBroken
		}
		if hidden != "" && string(key) == hidden {
			k.mark(hidden)
			marked = true
			continue
		}
		k.s.PushBytes(key)
		k.s.RawGet(t)
		if k.s.Type(-1) != vm.Nil {
			known++
			if err := k.element(key, before{typ, v}); err != nil {
				return walk.Field(err, string(key))
			}
		}
		k.s.Pop(1)
	}
	if known < fields {
		if err := k.fresh(t, in, known > 0); err != nil {
			return err
		}
	}
	if hidden != "" && !marked {
		k.mark(hidden)
	}
	k.open.Leave()
	return k.end(at)
}

// mark appends the field that scripts do not see.
func (k *keeper) mark(name string) {
	if k.hidden != 0 {
		k.out = bsoncore.AppendInt64Element(k.out, name, k.hidden)
	}
}

// fresh appends the fields of the table that the content before has not.
func (k *keeper) fresh(t int, in elements, some bool) error {
	var known map[string]struct{}
	if some {
		known = in.keys()
	}
	k.s.PushNil()
	for k.s.Next(t) {
		key, _ := k.s.String(-2)
		if _, ok := known[key]; !ok {
			if reason := badKey(key); reason != nil {
				return walk.Field(reason, key)
			}
			if err := k.element([]byte(key), before{}); err != nil {
				return walk.Field(err, key)
			}
		}
		k.s.Pop(1)
	}
	return nil
}

// badKey tells why a key can't be one: a path would not name its field.
func badKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case key[0] == '$':
		return errors.New("the key begins with $")
	case strings.IndexByte(key, '.') >= 0:
		return errors.New("the key has a dot")
	case strings.IndexByte(key, 0) >= 0:
		return errors.New("the key has a zero byte")
	case !utf8.ValidString(key):
		return errors.New("the key is not UTF-8")
	}
	return nil
}

// array appends the list at index t of so many items.
func (k *keeper) array(t, items int, last []byte) error {
	if err := k.open.Enter(k.s, t); err != nil {
		return err
	}
	at := k.start()
	in, _ := elementsOf(last)
	var number [20]byte
	for i := range items {
		var was before
		if len(in.rest) > 0 {
			var ok bool
			if was.t, _, was.value, ok = in.next(); !ok {
				return errBroken
			}
		}
		k.s.RawGetInt(t, int64(i)+1)
		if err := k.element(strconv.AppendInt(number[:0], int64(i), 10), was); err != nil {
			return walk.Index(err, int64(i)+1)
		}
		k.s.Pop(1)
	}
	k.open.Leave()
	return k.end(at)
}

// element appends a key and the value on top of the stack.
func (k *keeper) element(key []byte, was before) error {
	if err := k.room(len(key)); err != nil {
		return err
	}
	head := len(k.out)
	k.out = append(append(append(k.out, 0), key...), 0)
	t, err := k.value(was)
	k.out[head] = byte(t)
	return err
}

// value appends the value on top of the stack.
func (k *keeper) value(was before) (bsoncore.Type, error) {
	s := k.s
	switch t := s.Type(-1); t {
	case vm.Boolean:
		if s.Bool(-1) {
			k.out = append(k.out, 1)
		} else {
			k.out = append(k.out, 0)
		}
		return bsoncore.TypeBoolean, nil
	case vm.Number:
		return k.number(was), nil
	case vm.String:
		text, _ := s.String(-1)
		return k.text(text, was)
	case vm.Table:
		top := s.Top()
		defer s.SetTop(top)
		return k.table(vm.Plain(s, top), was)
	default:
		if d, ok := s.Userdata(-1).(*document); ok {
			if err := k.room(len(d.raw)); err != nil {
				return 0, err
			}
			k.out = append(k.out, d.raw...)
			return bsoncore.TypeEmbeddedDocument, nil
		}
		return 0, fmt.Errorf("a %s can't be kept", t)
	}
}

// number appends a number: a float as a double, an integer in 64 bits, or in 32 if it had those before. Where the engine has floats only, a whole number that
// was a double stays one.
func (k *keeper) number(was before) bsoncore.Type {
	n, whole := k.c.numbers.Whole(k.s, -1)
	f, _ := k.s.Float(-1)
	if !whole || !k.s.Exact() && (was.t == bsoncore.TypeDouble || n == 0 && math.Signbit(f)) {
		k.out = binary.LittleEndian.AppendUint64(k.out, math.Float64bits(f))
		return bsoncore.TypeDouble
	}
	if was.t == bsoncore.TypeInt32 && n >= math.MinInt32 && n <= math.MaxInt32 {
		k.out = binary.LittleEndian.AppendUint32(k.out, uint32(n))
		return bsoncore.TypeInt32
	}
	k.out = binary.LittleEndian.AppendUint64(k.out, uint64(n))
	return bsoncore.TypeInt64
}

func (k *keeper) text(text string, was before) (bsoncore.Type, error) {
	if err := k.room(len(text)); err != nil {
		return 0, err
	}
	if was.t == bsoncore.TypeInt64 && k.c.numbers.AsText { // what the engine's numbers can't hold, and the script has left as it was
		if n := int64(binary.LittleEndian.Uint64(was.value)); strconv.FormatInt(n, 10) == text {
			k.out = append(k.out, was.value...)
			return was.t, nil
		}
	}
	out, t, err := appendText(k.out, text)
	if err == nil && t != bsoncore.TypeString && deprecated(t) {
		err = fmt.Errorf("a value of BSON type %s can't be kept", t)
	}
	k.out = out
	return t, err
}

// deprecated are the types that the store refuses, because MongoDB has given them up.
func deprecated(t bsoncore.Type) bool {
	switch t {
	case bsoncore.TypeUndefined, bsoncore.TypeDBPointer, bsoncore.TypeJavaScript, bsoncore.TypeSymbol, bsoncore.TypeCodeWithScope:
		return true
	default:
		return false
	}
}

// table appends a table as an array or a document. An empty one is what it was before; one that was nothing is a document.
func (k *keeper) table(t int, was before) (bsoncore.Type, error) {
	shape, err := k.shapeOf(t)
	if err != nil {
		return 0, err
	}
	if shape.list && (shape.count > 0 || was.t == bsoncore.TypeArray) {
		if was.t != bsoncore.TypeArray {
			was.value = nil
		}
		return bsoncore.TypeArray, k.array(t, shape.count, was.value)
	}
	if was.t != bsoncore.TypeEmbeddedDocument {
		was.value = nil
	}
	return bsoncore.TypeEmbeddedDocument, k.document(t, shape.count, was.value, "")
}

// shape is which keys a table has: those of a list, from 1 on without gaps, or strings.
type shape struct {
	count int
	list  bool // true for an empty table
}

// shapeOf refuses a table whose keys are of no shape.
func (k *keeper) shapeOf(t int) (shape, error) {
	s := k.s
	var names, numbers int
	var most int64
	s.PushNil()
	for s.Next(t) {
		s.Pop(1)
		if s.Type(-1) == vm.String {
			names++
			continue
		}
		n, ok := k.c.numbers.Whole(s, -1)
		if !ok || n < 1 {
			err := fmt.Errorf("the key is a %s; a table has names, or is a list from 1 on", s.Type(-1))
			if ok {
				err = errors.New("the key is a number below 1; a list begins with 1, and other numbers can be names: tostring(n)")
			}
			return shape{}, k.c.numbers.Key(s, -1, err)
		}
		numbers++
		most = max(most, n)
	}
	switch {
	case numbers == 0:
		return shape{names, names == 0}, nil
	case names > 0:
		return shape{}, fmt.Errorf("a table with a list of %d and %d other keys can't be kept; use two tables", numbers, names)
	case int64(numbers) != most:
		return shape{}, k.hole(t, numbers, most)
	}
	return shape{numbers, true}, nil
}

// hole is the error for a list that lacks items.
func (k *keeper) hole(t, items int, most int64) error {
	i := int64(1)
	for ; i < most; i++ {
		k.s.RawGetInt(t, i)
		missing := k.s.Type(-1) == vm.Nil
		k.s.Pop(1)
		if missing {
			break
		}
	}
	const text = "a list has no gaps, and of this one item %d is missing while there is one %d; if numbers name %d things, make them names: tostring(n)"
	return fmt.Errorf(text, i, most, items)
}
