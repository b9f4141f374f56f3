package bson

import (
	"bytes"
	"encoding/binary"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// elements goes through the elements of a document or an array, in place.
type elements struct{ rest []byte }

// elementsOf begins with the first element of a document.
func elementsOf(doc []byte) (elements, bool) {
	if len(doc) < 5 || int64(binary.LittleEndian.Uint32(doc)) != int64(len(doc)) || doc[len(doc)-1] != 0 {
		return elements{}, false
	}
	return elements{doc[4 : len(doc)-1]}, true
}

// next is the next element. Its value is as long as its type says, or it is not ok; what is in the value is not looked at.
func (e *elements) next() (t bsoncore.Type, key, value []byte, ok bool) {
	rest := e.rest
	end := bytes.IndexByte(rest, 0) // the type is never 0
	if end < 1 {
		return 0, nil, nil, false
	}
	t, key, rest = bsoncore.Type(rest[0]), rest[1:end], rest[end+1:]
	n := 0
	switch t {
	case bsoncore.TypeDouble, bsoncore.TypeInt64, bsoncore.TypeDateTime, bsoncore.TypeTimestamp:
		n = 8
	case bsoncore.TypeInt32:
		n = 4
	case bsoncore.TypeBoolean:
		n = 1
	case bsoncore.TypeNull, bsoncore.TypeMinKey, bsoncore.TypeMaxKey:
	case bsoncore.TypeObjectID:
		n = 12
	case bsoncore.TypeString, bsoncore.TypeEmbeddedDocument, bsoncore.TypeArray, bsoncore.TypeBinary:
		if n, ok = prefixed(t, rest); !ok {
			return 0, nil, nil, false
		}
	default:
		value, left, ok := bsoncore.ReadValue(rest, t)
		e.rest = left
		return t, key, value.Data, ok
	}
	if n > len(rest) {
		return 0, nil, nil, false
	}
	e.rest = rest[n:]
	return t, key, rest[:n:n], true
}

// prefixed is how long a value is that begins with a length.
func prefixed(t bsoncore.Type, b []byte) (int, bool) {
	if len(b) < 5 {
		return 0, false
	}
	n := int(int32(binary.LittleEndian.Uint32(b)))
	switch t {
	case bsoncore.TypeString:
		n += 4
	case bsoncore.TypeBinary:
		n += 5
	}
	return n, n >= 5 && n <= len(b)
}

// count is how many elements there are; -1 if they are broken.
func (e elements) count() int {
	n := 0
	for ; len(e.rest) > 0; n++ {
		if _, _, _, ok := e.next(); !ok {
			return -1
		}
	}
	return n
}

// textOf is the text of a string's value.
func textOf(value []byte) ([]byte, bool) {
	last := len(value) - 1
	return value[4:last], value[last] == 0
}

// keys are the names of the elements.
func (e elements) keys() map[string]struct{} {
	known := map[string]struct{}{}
	for len(e.rest) > 0 {
		_, key, _, ok := e.next()
		if !ok {
			break
		}
		known[string(key)] = struct{}{}
	}
	return known
}
