// Package codec turns the values of messages into bytes and back.
package codec

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor/value"
)

// ErrJSON is wrapped by the errors of JSON.
var ErrJSON = errors.New("codec: JSON")

// AppendJSON appends v as JSON (RFC 8259). A table with values in its array part and no fields is an array, any other an object; keys that are no strings
// are written as text. Integers keep all 64 bits. What JSON can't say is an error that names the path: NaN, infinities, strings that are not UTF-8.
func AppendJSON(dst []byte, v value.Value) ([]byte, error) {
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	r := v.List().Reader()
	out, err := appendJSON(dst, &r)
	if err != nil {
		return dst, fmt.Errorf("%w: value%w", ErrJSON, err)
	}
	return out, nil
}

// appendJSON appends the value that r is at.
func appendJSON(dst []byte, r *value.Reader) ([]byte, error) {
	it := r.Next()
	switch it.Kind {
	case value.Bool:
		return strconv.AppendBool(dst, it.Bits != 0), nil
	case value.Int:
		return strconv.AppendInt(dst, int64(it.Bits), 10), nil
	case value.Float:
		f := math.Float64frombits(it.Bits)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return dst, fmt.Errorf(": %v is no number in JSON", f)
		}
		return appendFloat(dst, f), nil
	case value.String:
		out, ok := appendQuoted(dst, it.Str)
		if !ok {
			return dst, errors.New(": a string is not UTF-8; send bytes as base64")
		}
		return out, nil
	case value.Table:
		if it.Items > 0 && it.Fields == 0 {
			return appendArray(dst, r, it.Items)
		}
		return appendObject(dst, r, it)
	}
	return append(dst, "null"...), nil
}

// appendFloat keeps a float recognisable as one, so that a script gets 2.0 back and not 2.
func appendFloat(dst []byte, f float64) []byte {
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	for _, c := range dst[n:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendQuoted appends a string, and says false when it is not UTF-8.
func appendQuoted(dst []byte, s string) ([]byte, bool) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			out, err := jsontext.AppendQuote(dst, s)
			return out, err == nil
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"'), true
}

func appendArray(dst []byte, r *value.Reader, n int) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, r); err != nil {
			return dst, fmt.Errorf("[%d]%w", i+1, err)
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, r *value.Reader, head value.Item) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i := range head.Items + head.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		key := value.Item{Kind: value.Int, Bits: uint64(i) + 1}
		if i >= head.Items {
			key = r.Next()
		}
		var ok bool
		if dst, ok = appendKey(dst, key); !ok {
			return dst, errors.New(": a key is not UTF-8")
		}
		dst = append(dst, ':')
		if dst, err = appendJSON(dst, r); err != nil {
			return dst, fmt.Errorf(".%s%w", keyText(key), err)
		}
	}
	return append(dst, '}'), nil
}

func appendKey(dst []byte, key value.Item) ([]byte, bool) {
	if key.Kind == value.Int {
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, int64(key.Bits), 10)
		return append(dst, '"'), true
	}
	return appendQuoted(dst, keyText(key))
}

// keyText is the key of a table as text: names are.
func keyText(key value.Item) string {
	switch key.Kind {
	case value.String:
		return key.Str
	case value.Int:
		return strconv.FormatInt(int64(key.Bits), 10)
	case value.Bool:
		return strconv.FormatBool(key.Bits != 0)
	}
	return fmt.Sprint(math.Float64frombits(key.Bits))
}
