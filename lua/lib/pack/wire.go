// Package pack is skynet.pack: the values of a message as compact bytes, in the layout of Skynet's own, so that what a Skynet service has stored or sent can be
// read, and the other way round.
//
// A value is a byte, the type in its low 3 bits and a cookie above, and what follows it, little-endian:
//
//	0 nil
//	1 boolean   cookie 0 or 1
//	2 number    cookie 0: zero; 1: uint8; 2: uint16; 4: int32; 6: int64; 8: float64
//	3 pointer   refused
//	4 string    cookie: the length, below 32
//	5 string    cookie 2: uint16, 4: uint32 with the length
//	6 table     cookie: the length of the array part, 31: a number with it follows; the array part; keys and values in turn; nil
package pack

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/lib/internal/walk"
)

const (
	typeNil = iota
	typeBool
	typeNumber
	typePointer
	typeShort
	typeLong
	typeTable
)

const (
	numZero  = 0
	numByte  = 1
	numWord  = 2
	numInt32 = 4
	numInt64 = 6
	numReal  = 8

	len16 = 2
	len32 = 4

	shortString = 32
	manyItems   = 31
)

func head(typ, cookie int) byte { return byte(typ | cookie<<3) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, head(typeBool, 1))
	}
	return append(dst, head(typeBool, 0))
}

func appendInt(dst []byte, v int64) []byte {
	switch {
	case v == 0:
		return append(dst, head(typeNumber, numZero))
	case v != int64(int32(v)):
		return binary.LittleEndian.AppendUint64(append(dst, head(typeNumber, numInt64)), uint64(v))
	case v > 0 && v <= math.MaxUint8:
		return append(dst, head(typeNumber, numByte), byte(v))
	case v > 0 && v <= math.MaxUint16:
		return binary.LittleEndian.AppendUint16(append(dst, head(typeNumber, numWord)), uint16(v))
	default:
		return binary.LittleEndian.AppendUint32(append(dst, head(typeNumber, numInt32)), uint32(v))
	}
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, head(typeNumber, numReal)), math.Float64bits(v))
}

func appendString(dst []byte, s string) ([]byte, error) {
	switch n := len(s); {
	case n < shortString:
		dst = append(dst, head(typeShort, n))
	case len(dst)+n > walk.MaxOutput:
		return dst, walk.ErrOutput
	case n <= math.MaxUint16:
		dst = binary.LittleEndian.AppendUint16(append(dst, head(typeLong, len16)), uint16(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, head(typeLong, len32)), uint32(n))
	}
	return append(dst, s...), nil
}

func appendTable(dst []byte, items int) []byte {
	if items < manyItems {
		return append(dst, head(typeTable, items))
	}
	return appendInt(append(dst, head(typeTable, manyItems)), int64(items))
}

// Append appends the values of a list. It fails when a string or the whole is longer than 64 MiB.
func Append(dst []byte, l value.List) ([]byte, error) {
	var err error
	for _, v := range l.All {
		if dst, err = appendValue(dst, v); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendValue(dst []byte, v value.Value) ([]byte, error) {
	if len(dst) > walk.MaxOutput {
		return dst, walk.ErrOutput
	}
	switch v.Kind() {
	case value.Nil:
		return append(dst, head(typeNil, 0)), nil
	case value.Bool:
		return appendBool(dst, v.Bool()), nil
	case value.Int:
		n, _ := v.Int()
		return appendInt(dst, n), nil
	case value.Float:
		f, _ := v.Float()
		return appendFloat(dst, f), nil
	case value.String:
		s, _ := v.Str()
		return appendString(dst, s)
	case value.Table:
		var err error
		dst = appendTable(dst, v.Len())
		for _, e := range v.Items {
			if dst, err = appendValue(dst, e); err != nil {
				return dst, err
			}
		}
		for k, e := range v.Pairs {
			if dst, err = appendValue(dst, k); err != nil {
				return dst, err
			}
			if dst, err = appendValue(dst, e); err != nil {
				return dst, err
			}
		}
		return append(dst, head(typeNil, 0)), nil
	}
	return dst, errors.New("pack: a value of an unknown kind")
}
