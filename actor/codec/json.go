// Package codec turns the values of messages into bytes and back.
package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor/value"
)

// ErrJSON is wrapped by the errors of this file.
var ErrJSON = errors.New("codec: JSON")

// AppendJSON appends v as JSON (RFC 8259). A table with values in its array part and no fields is an array, any other an object; keys that are no strings
// are written as text. Integers keep all 64 bits. What JSON can't say is an error that names the path: NaN, infinities, strings that are not UTF-8.
func AppendJSON(dst []byte, v value.Value) ([]byte, error) {
	out, err := appendJSON(dst, v)
	if err != nil {
		return dst, fmt.Errorf("%w: value%w", ErrJSON, err)
	}
	return out, nil
}

func appendJSON(dst []byte, v value.Value) ([]byte, error) {
	switch v.Kind() {
	case value.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case value.Int:
		n, _ := v.Int()
		return strconv.AppendInt(dst, n, 10), nil
	case value.Float:
		f, _ := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return dst, fmt.Errorf(": %v is no number in JSON", f)
		}
		return appendFloat(dst, f), nil
	case value.String:
		s, _ := v.Str()
		out, err := jsontext.AppendQuote(dst, s)
		if err != nil {
			return dst, errors.New(": a string is not UTF-8; send bytes as base64")
		}
		return out, nil
	case value.Table:
		if v.Len() > 0 && v.Fields() == 0 {
			return appendArray(dst, v)
		}
		return appendObject(dst, v)
	}
	return append(dst, "null"...), nil
}

// appendFloat keeps a float recognisable as one, so that a script gets 2.0 back and not 2.
func appendFloat(dst []byte, f float64) []byte {
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	if !bytes.ContainsAny(dst[n:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

func appendArray(dst []byte, v value.Value) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, e := range v.Items {
		if i > 1 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, e); err != nil {
			return dst, fmt.Errorf("[%d]%w", i, err)
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, v value.Value) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	member := func(key string, e value.Value) (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if dst, err = jsontext.AppendQuote(dst, key); err != nil {
			return errors.New(": a key is not UTF-8")
		}
		dst = append(dst, ':')
		if dst, err = appendJSON(dst, e); err != nil {
			return fmt.Errorf(".%s%w", key, err)
		}
		return nil
	}
	for i, e := range v.Items {
		if err := member(strconv.Itoa(i), e); err != nil {
			return dst, err
		}
	}
	for k, e := range v.Pairs {
		if err := member(k.KeyText(), e); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// ParseJSON reads one JSON value. Numbers without a fraction and an exponent that fit are integers, others floats. Names that come twice, trailing bytes,
// strings that are not UTF-8 and nesting beyond value.MaxDepth are errors that tell the offset. No bytes, or only white space, are nil.
func ParseJSON(data []byte) (value.Value, error) {
	var b value.Builder
	if err := ParseJSONTo(&b, data); err != nil {
		return value.Value{}, err
	}
	return b.List().At(0), nil
}

// ParseJSONTo is ParseJSON into a Builder, which gets one more value. After an error it is to be reset.
func ParseJSONTo(b *value.Builder, data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		b.Nil()
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	if err := parse(d, b); err != nil {
		return fmt.Errorf("%w: offset %d: %w", ErrJSON, d.InputOffset(), err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: offset %d: bytes behind the value", ErrJSON, d.InputOffset())
	}
	return nil
}

func parse(d *jsontext.Decoder, b *value.Builder) error {
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
		return parseNumber(tok.String(), b)
	case '[':
		return parseArray(d, b)
	case '{':
		return parseObject(d, b)
	}
	return nil
}

func parseNumber(s string, b *value.Builder) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		b.Int(n)
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("the number %s is out of range", s)
	}
	b.Float(f)
	return nil
}

func parseArray(d *jsontext.Decoder, b *value.Builder) error {
	if err := b.Begin(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := parse(d, b); err != nil {
			return err
		}
	}
	b.End()
	_, err := d.ReadToken()
	return err
}

func parseObject(d *jsontext.Decoder, b *value.Builder) error {
	if err := b.Begin(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		b.Key(name.String())
		if err := parse(d, b); err != nil {
			return err
		}
	}
	b.End()
	_, err := d.ReadToken()
	return err
}
