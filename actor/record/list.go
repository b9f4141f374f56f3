package record

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor/value"
)

// Values of scripts are written as JSON that people can read and that gives back exactly what was there, which package codec's JSON for clients does not:
// integers and floats stay apart, strings may hold any bytes, and a table keeps its array part and keys that are no strings. What plain JSON can't say is
// an object with one name that begins with a dollar:
//
//	{"$bytes": "base64"}                      a string that is not UTF-8
//	{"$float": "NaN"}                         or "+Inf", "-Inf"
//	{"$table": [[items...], [key, value]...]} a table with both parts, or with keys that are no names for an object
const (
	inBytes = "$bytes"
	inFloat = "$float"
	inTable = "$table"
)

// appendList appends the values as an array.
func appendList(dst []byte, l value.List) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, v := range l.All {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, v); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendValue(dst []byte, v value.Value) ([]byte, error) {
	switch v.Kind() {
	case value.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case value.Int:
		n, _ := v.Int()
		return strconv.AppendInt(dst, n, 10), nil
	case value.Float:
		f, _ := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Appendf(dst, `{"%s":"%s"}`, inFloat, strconv.FormatFloat(f, 'g', -1, 64)), nil
		}
		return appendFloat(dst, f), nil
	case value.String:
		return appendString(dst, v)
	case value.Table:
		return appendTable(dst, v)
	}
	return append(dst, "null"...), nil
}

// appendFloat writes a float that can't be taken for an integer.
func appendFloat(dst []byte, f float64) []byte {
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	if !bytes.ContainsAny(dst[n:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

func appendString(dst []byte, v value.Value) ([]byte, error) {
	s, _ := v.Str()
	if !utf8.ValidString(s) {
		return fmt.Appendf(dst, `{"%s":"%s"}`, inBytes, base64.StdEncoding.EncodeToString([]byte(s))), nil
	}
	return jsontext.AppendQuote(dst, s)
}

func appendTable(dst []byte, v value.Value) ([]byte, error) {
	if v.Fields() == 0 && v.Len() > 0 {
		return appendItems(dst, v)
	}
	if v.Len() == 0 && named(v) {
		return appendObject(dst, v)
	}
	dst = fmt.Appendf(dst, `{"%s":[`, inTable)
	dst, err := appendItems(dst, v)
	if err != nil {
		return dst, err
	}
	for key, e := range v.Pairs {
		if dst, err = appendValue(append(dst, ",["...), key); err != nil {
			return dst, err
		}
		if dst, err = appendValue(append(dst, ','), e); err != nil {
			return dst, err
		}
		dst = append(dst, ']')
	}
	return append(dst, "]}"...), nil
}

func appendItems(dst []byte, v value.Value) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, e := range v.Items {
		if i > 1 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, e); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// named tells whether the table's keys can be the names of an object.
func named(v value.Value) bool {
	seen := make(map[string]bool, v.Fields())
	for key := range v.Pairs {
		s, ok := key.Str()
		if !ok || seen[s] || strings.HasPrefix(s, "$") || !utf8.ValidString(s) {
			return false
		}
		seen[s] = true
	}
	return true
}

func appendObject(dst []byte, v value.Value) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	var err error
	for key, e := range v.Pairs {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if dst, err = appendString(dst, key); err != nil {
			return dst, err
		}
		if dst, err = appendValue(append(dst, ':'), e); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// readList reads what appendList wrote.
func readList(d *jsontext.Decoder) (value.List, error) {
	var b value.Builder
	if err := expect(d, '['); err != nil {
		return value.List{}, err
	}
	for d.PeekKind() != ']' {
		if err := readValue(d, &b); err != nil {
			return value.List{}, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return value.List{}, err
	}
	return b.List(), nil
}

func expect(d *jsontext.Decoder, kind jsontext.Kind) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != kind {
		return fmt.Errorf("expected %v, got %v", kind, tok.Kind())
	}
	return nil
}

func readValue(d *jsontext.Decoder, b *value.Builder) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch tok.Kind() {
	case 'n':
		b.Nil()
	case 't', 'f':
		b.Bool(tok.Bool())
	case '"':
		b.String(tok.String())
	case '0':
		return readNumber(tok.String(), b)
	case '[':
		return readItems(d, b)
	case '{':
		return readObject(d, b)
	}
	return nil
}

func readNumber(s string, b *value.Builder) error {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return fmt.Errorf("the number %s is out of range", s)
		}
		b.Float(f)
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("the integer %s is out of range", s)
	}
	b.Int(n)
	return nil
}

// readItems reads a table that is all array part, behind its bracket.
func readItems(d *jsontext.Decoder, b *value.Builder) error {
	if err := b.Begin(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := readValue(d, b); err != nil {
			return err
		}
	}
	b.End()
	_, err := d.ReadToken()
	return err
}

// readObject reads a table with names, or what has a dollar, behind its bracket.
func readObject(d *jsontext.Decoder, b *value.Builder) error {
	for begun := false; ; begun = true {
		tok, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String() // which a decoder may overwrite with what comes next
		if !begun && tok.Kind() == '"' && strings.HasPrefix(name, "$") {
			return readSpecial(d, b, name)
		}
		if !begun {
			if err := b.Begin(); err != nil {
				return err
			}
		}
		if tok.Kind() == '}' {
			b.End()
			return nil
		}
		b.Key(name)
		if err := readValue(d, b); err != nil {
			return err
		}
	}
}

// readSpecial reads the content of an object with one name that begins with a dollar, and its end.
func readSpecial(d *jsontext.Decoder, b *value.Builder, name string) error {
	if name == inTable {
		if err := readTable(d, b); err != nil {
			return err
		}
		return expect(d, '}')
	}
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '"' {
		return fmt.Errorf("%s: expected a string, got %v", name, tok.Kind())
	}
	switch text := tok.String(); name {
	case inBytes:
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b.String(string(data))
	case inFloat:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b.Float(f)
	default:
		return fmt.Errorf("%q is none of %s, %s, %s", name, inBytes, inFloat, inTable)
	}
	return expect(d, '}')
}

var errKey = errors.New(inTable + ": a key is nil or a table")

// readTable reads an array of the items and the pairs.
func readTable(d *jsontext.Decoder, b *value.Builder) error {
	if err := expect(d, '['); err != nil {
		return err
	}
	if err := b.Begin(); err != nil {
		return err
	}
	if err := expect(d, '['); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := readValue(d, b); err != nil {
			return err
		}
	}
	if err := expect(d, ']'); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := readPair(d, b); err != nil {
			return err
		}
	}
	b.End()
	return expect(d, ']')
}

func readPair(d *jsontext.Decoder, b *value.Builder) error {
	if err := expect(d, '['); err != nil {
		return err
	}
	var kb value.Builder
	if err := readValue(d, &kb); err != nil {
		return err
	}
	key := kb.List().At(0)
	if key.IsNil() || key.Kind() == value.Table {
		return errKey
	}
	b.ValueKey(key)
	if err := readValue(d, b); err != nil {
		return err
	}
	return expect(d, ']')
}
