package sharedata

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bounds of one tree. What is deeper than this is a list that was linked by its elements, which nobody reads as configuration.
const (
	maxDepth  = 200
	maxShape  = 64 // keys of a shape that other tables may have too; larger ones are dictionaries
	hiddenKey = -(1<<53 - 1)
)

var (
	errDepth  = fmt.Errorf("tables nest deeper than %d levels", maxDepth)
	errHidden = fmt.Errorf("the key %d is taken by the library", hiddenKey)
	errCycle  = errors.New("the table contains itself, which only a sharetable can")
)

// builder makes trees whose tables have their keys in common.
type builder struct {
	shapes map[string]*shape
	left   int // how many more values the tree may have
	sign   []byte
}

func newBuilder(limit int) *builder { return &builder{shapes: map[string]*shape{}, left: limit} }

// spend counts values.
func (b *builder) spend(n int) error {
	if b.left -= n; b.left < 0 {
		return errors.New("it has more values than one table may share (see Config.MaxValues)")
	}
	return nil
}

// field is a key with its value.
type field struct{ key, val slot }

// setFields gives a table its keys beside the list, in an order that does not depend on where they come from.
func (b *builder) setFields(t *frozen, fields []field) {
	if len(fields) == 0 {
		return
	}
	slices.SortFunc(fields, func(x, y field) int { return compareKeys(x.key, y.key) })
	t.fields = make([]slot, len(fields))
	for i, f := range fields {
		t.fields[i] = f.val
	}
	t.shape = b.shapeOf(fields)
}

func (b *builder) shapeOf(fields []field) *shape {
	fresh := func() *shape {
		keys := make([]slot, len(fields))
		for i, f := range fields {
			keys[i] = f.key
		}
		return newShape(keys)
	}
	if len(fields) > maxShape {
		return fresh()
	}
	b.sign = b.sign[:0]
	for _, f := range fields {
		b.sign = appendSign(b.sign, f.key)
	}
	sh := b.shapes[string(b.sign)]
	if sh == nil {
		sh = fresh()
		b.shapes[string(b.sign)] = sh
	}
	return sh
}

func appendSign(dst []byte, k slot) []byte {
	if name, ok := k.obj.(string); ok {
		dst = append(dst, 's')
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		return append(dst, name...)
	}
	return binary.BigEndian.AppendUint64(append(dst, byte(rank(k))), k.num)
}

// rank is the order of the kinds of keys.
func rank(k slot) int {
	switch k.obj.(type) {
	case intKind:
		return 0
	case floatKind:
		return 1
	case string:
		return 2
	default:
		return 3
	}
}

func compareKeys(x, y slot) int {
	if c := cmp.Compare(rank(x), rank(y)); c != 0 {
		return c
	}
	switch k := x.obj.(type) {
	case string:
		return strings.Compare(k, y.obj.(string)) //nolint:forcetypeassert // of one rank
	case intKind:
		return cmp.Compare(int64(x.num), int64(y.num))
	case floatKind:
		return cmp.Compare(math.Float64frombits(x.num), math.Float64frombits(y.num))
	default:
		return cmp.Compare(x.num, y.num)
	}
}

// text is a key in a path.
func (k slot) text() string {
	switch o := k.obj.(type) {
	case string:
		return o
	case intKind:
		return strconv.FormatInt(int64(k.num), 10)
	case floatKind:
		return strconv.FormatFloat(math.Float64frombits(k.num), 'g', -1, 64)
	case boolKind:
		return strconv.FormatBool(k.num != 0)
	default:
		return "?"
	}
}

// pathError is an error in a value of a tree: it names the keys that lead there, the last one first.
type pathError struct {
	path []slot
	err  error
}

func (e *pathError) Error() string {
	const most = 20
	keys := make([]string, 0, most)
	for _, k := range slices.Backward(e.path) {
		if len(keys) == most {
			keys = append(keys, "...")
			break
		}
		keys = append(keys, k.text())
	}
	if len(keys) == 0 {
		return e.err.Error()
	}
	return strings.Join(keys, ".") + ": " + e.err.Error()
}

func (e *pathError) Unwrap() error { return e.err }

// under adds the key under which an error came up.
func under(k slot, err error) error {
	var at *pathError
	if !errors.As(err, &at) {
		at = &pathError{err: err}
	}
	at.path = append(at.path, k)
	return at
}

// validKey tells whether a key can be beside a list of that length.
func validKey(k slot, list int) bool {
	switch k.obj.(type) {
	case string, boolKind:
		return true
	case intKind:
		return !k.within(list) && k != intSlot(hiddenKey)
	case floatKind:
		f := math.Float64frombits(k.num)
		return !math.IsNaN(f) && (f != math.Trunc(f) || math.Abs(f) >= 1<<63) // a float that is an integer is that as a key
	default:
		return false
	}
}
