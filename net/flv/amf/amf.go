// Package amf reads and writes AMF0, the values in RTMP's commands and FLV's script tags (Adobe, "Action Message Format -- AMF 0", 2007).
//
// What it reads comes from anybody: nesting, the number of values and their size are bounded before anything is made of them.
package amf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFormat tells that the bytes are not AMF0, or more than is taken. It comes wrapped with what and where.
var ErrFormat = errors.New("amf: bad value")

// Bounds of what is read. Commands of real clients have some 5 values with some 20 fields, one or two levels deep.
const (
	MaxDepth  = 8
	MaxValues = 1024
)

// The markers of values.
const (
	number      = 0x00
	boolean     = 0x01
	text        = 0x02
	object      = 0x03
	null        = 0x05
	undefined   = 0x06
	ecmaArray   = 0x08
	objectEnd   = 0x09
	strictArray = 0x0a
	date        = 0x0b
	longText    = 0x0c
	unsupported = 0x0d
	xmlDocument = 0x0f
	typed       = 0x10
)

// Field is one of an object.
type Field struct {
	Key   string
	Value any
}

// Object is fields in their order.
type Object []Field

// Array is an ECMA array: an object whose writer has counted its fields.
type Array []Field

// Get is the value of a field, or nil.
func (o Object) Get(key string) any {
	for _, f := range o {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// Decode reads all values: float64, bool, string, Object (of arrays with keys, too), []any, or nil.
func Decode(b []byte) ([]any, error) {
	d := decoder{b: b, left: MaxValues}
	var values []any
	for d.at < len(d.b) {
		v, err := d.value(0)
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}

type decoder struct {
	b    []byte
	at   int
	left int // values that may still come
}

func (d *decoder) fail(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", ErrFormat, d.at, fmt.Sprintf(format, args...))
}

func (d *decoder) take(n int) ([]byte, error) {
	if n > len(d.b)-d.at {
		return nil, d.fail("%d bytes are expected, there are %d", n, len(d.b)-d.at)
	}
	got := d.b[d.at : d.at+n]
	d.at += n
	return got, nil
}

func (d *decoder) short() (string, error) {
	size, err := d.take(2)
	if err != nil {
		return "", err
	}
	s, err := d.take(int(binary.BigEndian.Uint16(size)))
	return string(s), err
}

func (d *decoder) long() (string, error) {
	size, err := d.take(4)
	if err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(size)
	if uint64(n) > uint64(len(d.b)) {
		return "", d.fail("a string of %d bytes, there are %d", n, len(d.b)-d.at)
	}
	s, err := d.take(int(n))
	return string(s), err
}

func (d *decoder) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, d.fail("values are nested deeper than %d", MaxDepth)
	}
	if d.left--; d.left < 0 {
		return nil, d.fail("more than %d values", MaxValues)
	}
	marker, err := d.take(1)
	if err != nil {
		return nil, err
	}
	switch marker[0] {
	case number:
		return d.number()
	case boolean:
		b, err := d.take(1)
		if err != nil {
			return nil, err
		}
		return b[0] != 0, nil
	case text:
		return d.short()
	case longText, xmlDocument:
		return d.long()
	case null, undefined, unsupported:
		return nil, nil //nolint:nilnil // null is a value
	case date:
		n, err := d.number()
		if err != nil {
			return nil, err
		}
		_, err = d.take(2) // a time zone, which is always 0
		return n, err
	case object, ecmaArray, typed:
		return d.object(marker[0], depth)
	case strictArray:
		return d.array(depth)
	default:
		return nil, d.fail("a value of type 0x%02x", marker[0])
	}
}

func (d *decoder) number() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (d *decoder) object(marker byte, depth int) (any, error) {
	var err error
	switch marker {
	case ecmaArray:
		_, err = d.take(4) // how many fields there are, which writers guess
	case typed:
		_, err = d.short()
	}
	if err != nil {
		return nil, err
	}
	o := Object{}
	for {
		key, err := d.short()
		if err != nil {
			return nil, err
		}
		if key == "" && d.at < len(d.b) && d.b[d.at] == objectEnd {
			d.at++
			return o, nil
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, Field{key, v})
	}
}

func (d *decoder) array(depth int) (any, error) {
	size, err := d.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	if uint64(n) > uint64(d.left) {
		return nil, d.fail("an array of %d values, more than %d in all", n, MaxValues)
	}
	list := make([]any, 0, n)
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// Append writes values behind b: float64, int, bool, string, Object, Array, []string or nil.
func Append(b []byte, values ...any) []byte {
	for _, v := range values {
		b = appendValue(b, v)
	}
	return b
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		return binary.BigEndian.AppendUint64(append(b, number), math.Float64bits(v))
	case int:
		return appendValue(b, float64(v))
	case bool:
		if v {
			return append(b, boolean, 1)
		}
		return append(b, boolean, 0)
	case string:
		if len(v) > math.MaxUint16 {
			b = binary.BigEndian.AppendUint32(append(b, longText), uint32(len(v)))
			return append(b, v...)
		}
		return appendKey(append(b, text), v)
	case Object:
		return appendFields(append(b, object), v)
	case Array:
		return appendFields(binary.BigEndian.AppendUint32(append(b, ecmaArray), uint32(len(v))), v)
	case []string:
		b = binary.BigEndian.AppendUint32(append(b, strictArray), uint32(len(v)))
		for _, s := range v {
			b = appendValue(b, s)
		}
		return b
	default:
		return append(b, null)
	}
}

func appendFields(b []byte, fields []Field) []byte {
	for _, f := range fields {
		b = appendValue(appendKey(b, f.Key), f.Value)
	}
	return append(b, 0, 0, objectEnd)
}

// appendKey writes a string of up to 65,535 bytes; what is more is cut.
func appendKey(b []byte, s string) []byte {
	s = s[:min(len(s), math.MaxUint16)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}
