package reload

import (
	"hash/fnv"
	"reflect"
	"strconv"

	"github.com/skua-go/skua/lua/syntax"
)

// hasher makes a number of a part of a tree: the same for the same code, wherever it stands and however it is laid out.
type hasher struct {
	sum   uint64
	count int
	names map[string]bool // that are used, if the map is there
	mask  bool            // functions are all the same: what changes within them is replaced in place
}

func (h *hasher) add(text string) {
	f := fnv.New64a()
	f.Write(strconv.AppendUint(nil, h.sum, 16))
	f.Write([]byte(text))
	h.sum = f.Sum64()
	h.count++
}

// function hashes what a function does, without its name.
func (h *hasher) function(e *syntax.FuncExpr) {
	h.value(reflect.ValueOf(e.Params))
	h.value(reflect.ValueOf(e.Vararg))
	h.value(reflect.ValueOf(e.Body.Stats))
}

func hashOf(nodes ...any) uint64 {
	h := hasher{mask: true}
	for _, n := range nodes {
		h.value(reflect.ValueOf(n))
	}
	return h.sum
}

// namesIn are the names that expressions use.
func namesIn(exprs []syntax.Expr) map[string]bool {
	h := hasher{names: map[string]bool{}}
	h.value(reflect.ValueOf(exprs))
	return h.names
}

var positions = reflect.TypeFor[syntax.Pos]() //nolint:gochecknoglobals // a constant

func (h *hasher) value(v reflect.Value) { //nolint:gocyclo,cyclop // one case a kind
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			h.add("nil")
			return
		}
		if n, ok := v.Interface().(*syntax.NameExpr); ok && h.names != nil {
			h.names[n.Name] = true
		}
		if _, ok := v.Interface().(*syntax.FuncExpr); ok && h.mask {
			h.add("function")
			return
		}
		h.value(v.Elem())
	case reflect.Struct:
		if v.Type() == positions {
			return
		}
		h.add(v.Type().Name())
		for i := range v.NumField() {
			h.value(v.Field(i))
		}
	case reflect.Slice:
		h.add("[" + strconv.Itoa(v.Len()))
		for i := range v.Len() {
			h.value(v.Index(i))
		}
	case reflect.String:
		h.add(strconv.Quote(v.String()))
	case reflect.Bool:
		h.add(strconv.FormatBool(v.Bool()))
	case reflect.Float64:
		h.add(strconv.FormatFloat(v.Float(), 'x', -1, 64))
	case reflect.Int64, reflect.Int32:
		h.add(strconv.FormatInt(v.Int(), 10))
	default:
		h.add(strconv.FormatUint(v.Uint(), 10))
	}
}
