package json

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// encoder is one call of encode.
type encoder struct {
	*options
	s    vm.State
	out  []byte
	open walk.Open
}

// Append appends the value at index i as JSON. Its errors are those of package walk.
func (o *options) Append(dst []byte, s vm.State, i int) ([]byte, error) {
	e := encoder{options: o, s: s, out: dst, open: walk.NewOpen(o.encodeDepth)}
	err := e.value(i)
	return e.out, err
}

func (e *encoder) value(i int) error {
	if err := e.open.Value(len(e.out)); err != nil {
		return err
	}
	switch t := e.s.Type(i); t {
	case vm.Nil:
		e.out = append(e.out, "null"...)
	case vm.Boolean:
		e.out = strconv.AppendBool(e.out, e.s.Bool(i))
	case vm.Number:
		return e.number(i)
	case vm.String:
		text, _ := e.s.String(i)
		return e.text(text)
	case vm.Table:
		return e.table(i)
	default:
		switch e.s.Userdata(i).(type) {
		case *null:
			e.out = append(e.out, "null"...)
		case *emptyArray:
			e.out = append(e.out, "[]"...)
		default:
			return fmt.Errorf("a %s has no form in JSON", t)
		}
	}
	return nil
}

func (e *encoder) number(i int) error {
	if n, ok := e.numbers.Whole(e.s, i); ok {
		e.out = strconv.AppendInt(e.out, n, 10)
		return nil
	}
	f, _ := e.s.Float(i)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		if e.invalidAsNull {
			e.out = append(e.out, "null"...)
			return nil
		}
		return fmt.Errorf("%v is no number in JSON", f)
	}
	e.out = e.float(e.out, f)
	return nil
}

// float writes a float that is a whole number as one, as cjson does; but one that an integer of its size would not be sure to equal has an exponent.
func (o *options) float(dst []byte, f float64) []byte {
	if o.precision < maxPrecision {
		return strconv.AppendFloat(dst, f, 'g', o.precision, 64)
	}
	if abs := math.Abs(f); abs != 0 && abs < 1e-6 || abs >= 1<<53 {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func (e *encoder) text(text string) error {
	if len(e.out)+len(text) > walk.MaxOutput {
		return walk.ErrOutput
	}
	n := len(e.out)
	out, err := jsontext.AppendQuote(e.out, text)
	if err != nil {
		return errors.New("the string is not UTF-8; JSON holds bytes as base64, say")
	}
	e.out = out
	if e.escapeSlash && bytes.IndexByte(out[n:], '/') >= 0 {
		escaped := bytes.ReplaceAll(out[n:], []byte("/"), []byte(`\/`))
		e.out = e.out[:n]
		e.out = append(e.out, escaped...)
	}
	return nil
}

func (e *encoder) table(t int) error {
	if err := e.open.Enter(e.s, t); err != nil {
		return err
	}
	defer e.open.Leave()
	defer e.s.SetTop(e.s.Top())
	t = vm.Plain(e.s, t)
	shape := e.numbers.ShapeOf(e.s, t)
	switch {
	case shape.Dense() && shape.Len > 0:
		return e.array(t, shape.Len)
	case e.hasMetatable(t, e.arrayMT):
		return e.array(t, int64(e.s.Len(t)))
	case !shape.List:
		return e.object(t)
	case shape.Len == 0:
		if e.emptyAsArray || e.hasMetatable(t, e.emptyArrayMT) {
			e.out = append(e.out, "[]"...)
		} else {
			e.out = append(e.out, "{}"...)
		}
		return nil
	}
	if e.sparseRatio > 0 && shape.Len > e.sparseSafe && shape.Len/e.sparseRatio >= shape.Count && shape.Len > shape.Count*e.sparseRatio {
		if !e.sparseConvert {
			return errSparse
		}
		return e.object(t)
	}
	return e.array(t, shape.Len)
}

// hasMetatable asks Lua's getmetatable: the seam has no such verb. Tables that are lists, which are most that have one of these metatables, do not get here.
func (e *encoder) hasMetatable(t, ref int) bool {
	e.s.Push(e.getmetatable)
	e.s.Copy(t)
	e.s.Call(1, 1)
	e.s.Push(ref)
	same := e.s.Equal(-1, -2)
	e.s.Pop(2)
	return same
}

func (e *encoder) array(t int, n int64) error {
	e.out = append(e.out, '[')
	for i := int64(1); i <= n; i++ {
		if i > 1 {
			e.out = append(e.out, ',')
		}
		e.s.RawGetInt(t, i)
		if err := e.value(e.s.Top()); err != nil {
			return walk.Index(err, i)
		}
		e.s.Pop(1)
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *encoder) object(t int) error {
	e.out = append(e.out, '{')
	first := true
	e.s.PushNil()
	for e.s.Next(t) {
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
		top := e.s.Top()
		if err := e.key(top - 1); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		if err := e.value(top); err != nil {
			return e.numbers.Key(e.s, top-1, err)
		}
		e.s.Pop(1)
	}
	e.out = append(e.out, '}')
	return nil
}

func (e *encoder) key(i int) error {
	if text, ok := e.s.String(i); ok {
		if err := e.text(text); err != nil {
			return walk.Field(errors.New("the key is not UTF-8"), text)
		}
		return nil
	}
	if e.s.Type(i) != vm.Number {
		return fmt.Errorf("a key is a %s; JSON has strings, and numbers as text", e.s.Type(i))
	}
	e.out = append(e.out, '"')
	if n, ok := e.numbers.Whole(e.s, i); ok {
		e.out = strconv.AppendInt(e.out, n, 10)
	} else {
		f, _ := e.s.Float(i)
		e.out = e.float(e.out, f)
	}
	e.out = append(e.out, '"')
	return nil
}
