package admin

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/syntax"
)

// parseLiterals reads arguments as Lua writes them: constants and tables of constants, parted by commas.
func parseLiterals(text string) (value.List, error) {
	var b value.Builder
	fn, err := syntax.Parse("arguments", "return "+text+"\n")
	if err != nil {
		return b.List(), err
	}
	if len(fn.Body.Stats) != 1 {
		return b.List(), errors.New("expected values parted by commas")
	}
	ret, ok := fn.Body.Stats[0].(*syntax.ReturnStat)
	if !ok {
		return b.List(), errors.New("expected values parted by commas")
	}
	for i, e := range ret.Exprs {
		v, err := constant(e)
		if err == nil {
			err = b.Any(v)
		}
		if err != nil {
			return b.List(), fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return b.List(), nil
}

// constant is the value of an expression as value.Of takes it.
func constant(e syntax.Expr) (any, error) {
	switch e := e.(type) {
	case *syntax.NilExpr:
		return nil, nil //nolint:nilnil // that is its value
	case *syntax.TrueExpr:
		return true, nil
	case *syntax.FalseExpr:
		return false, nil
	case *syntax.IntExpr:
		return e.Value, nil
	case *syntax.FloatExpr:
		return e.Value, nil
	case *syntax.StringExpr:
		return e.Value, nil
	case *syntax.ParenExpr:
		return constant(e.X)
	case *syntax.UnaryExpr:
		if e.Op == syntax.Neg {
			return negated(e.X)
		}
	case *syntax.TableExpr:
		return tableOf(e)
	}
	return nil, errors.New("expected a constant or a table of constants")
}

func negated(e syntax.Expr) (any, error) {
	v, err := constant(e)
	switch v := v.(type) {
	case int64:
		return -v, err
	case float64:
		return -v, err
	}
	return nil, errors.New("expected a number behind -")
}

func tableOf(e *syntax.TableExpr) (value.Value, error) {
	var b value.Builder
	if err := b.Begin(); err != nil {
		return value.Value{}, err
	}
	var list, keys []any
	var fields []syntax.Expr
	for _, f := range e.Fields {
		if f.Key == nil {
			v, err := constant(f.Value)
			if err != nil {
				return value.Value{}, err
			}
			list = append(list, v)
			continue
		}
		k, err := constant(f.Key)
		if err != nil {
			return value.Value{}, err
		}
		keys, fields = append(keys, k), append(fields, f.Value)
	}
	for _, v := range list {
		if err := b.Any(v); err != nil {
			return value.Value{}, err
		}
	}
	for i, k := range keys {
		switch k := k.(type) {
		case string:
			b.Key(k)
		case int64:
			b.IntKey(k)
		case float64:
			b.FloatKey(k)
		case bool:
			b.BoolKey(k)
		default:
			return value.Value{}, errors.New("expected a key that is a string, a number or a boolean")
		}
		v, err := constant(fields[i])
		if err == nil {
			err = b.Any(v)
		}
		if err != nil {
			return value.Value{}, err
		}
	}
	b.End()
	return b.List().At(0), nil
}

// textOf writes values as Lua does, up to so many bytes.
func textOf(list value.List, most int) string {
	var b strings.Builder
	for i := range list.Len() {
		if i > 0 {
			b.WriteString(", ")
		}
		writeLiteral(&b, list.At(i), most)
	}
	return cut(b.String(), most)
}

// cut is a text of so many bytes at most; what is cut off is told.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// writeLiteral writes a value, and stops soon behind so many bytes.
func writeLiteral(b *strings.Builder, v value.Value, most int) {
	if b.Len() > most {
		return
	}
	switch v.Kind() {
	case value.String:
		text, _ := v.Str()
		b.WriteString(quoted(cut(text, most)))
	case value.Table:
		writeTable(b, v, most)
	case value.Nil:
		b.WriteString("nil")
	default:
		b.WriteString(v.String())
	}
}

func writeTable(b *strings.Builder, v value.Value, most int) {
	b.WriteByte('{')
	next := func() bool {
		if b.Len() > most {
			return false
		}
		if last := b.String(); last[len(last)-1] != '{' {
			b.WriteString(", ")
		}
		return true
	}
	for _, e := range v.Items {
		if !next() {
			return
		}
		writeLiteral(b, e, most)
	}
	for k, e := range v.Pairs {
		if !next() {
			return
		}
		if name, ok := k.Str(); ok && isName(name) {
			b.WriteString(name)
		} else {
			b.WriteByte('[')
			writeLiteral(b, k, most)
			b.WriteByte(']')
		}
		b.WriteString(" = ")
		writeLiteral(b, e, most)
	}
	b.WriteByte('}')
}

// quoted is a string as Lua writes it: bytes that are no text are escaped, so that it can be given back.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for text != "" {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteString(text[:n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == utf8.RuneError && n == 1, r < ' ', r == 0x7f:
			fmt.Fprintf(&b, "\\x%02x", text[0])
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, "\\u{%x}", r)
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	b.WriteByte('"')
	return b.String()
}

// isName tells whether a key can stand without brackets.
func isName(text string) bool {
	for i, r := range text {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}

// jsonOf is a value for JSON; what there is no room for is left out.
func jsonOf(v value.Value, room *int) any {
	*room -= 8
	if *room < 0 {
		return "..."
	}
	switch v.Kind() {
	case value.String:
		text, _ := v.Str()
		text = cut(text, *room)
		*room -= len(text)
		return strings.ToValidUTF8(text, "\uFFFD")
	case value.Float:
		f, _ := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return v.String()
		}
		return f
	case value.Table:
		return jsonTable(v, room)
	}
	return v.Any()
}

func jsonTable(v value.Value, room *int) any {
	if v.Len() > 0 && v.Fields() == 0 {
		list := []any{}
		for _, e := range v.Items {
			if *room < 0 {
				break
			}
			list = append(list, jsonOf(e, room))
		}
		return list
	}
	fields := map[string]any{}
	for i, e := range v.Items {
		if *room < 0 {
			break
		}
		fields[strconv.Itoa(i)] = jsonOf(e, room)
	}
	for k, e := range v.Pairs {
		if *room < 0 {
			break
		}
		key := strings.ToValidUTF8(cut(k.KeyText(), maxText), "\uFFFD")
		*room -= len(key)
		fields[key] = jsonOf(e, room)
	}
	return fields
}
