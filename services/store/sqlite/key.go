package sqlite

import (
	"encoding/binary"
	"math"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// Keys are values of an index as bytes that sort by bytes as the values do: those of BSON in MongoDB's order of comparison
// (https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/), as far as store.Index allows them. No
// encoding of a value is the beginning of another's, so values can be put one behind the other, and the bytes of a
// value that is to sort the other way round are inverted.
//
// A value is a byte for its class and then: null nothing; a number as in appendNumber; text its bytes, each zero
// followed by 0xff, and two zeros; binary its length, its subtype, its bytes; an ObjectID its bytes; a boolean one byte;
// a date and a timestamp 8 bytes, big endian, the date's sign bit turned round.
const (
	classNull      = 0x20
	classNumber    = 0x30
	classText      = 0x40
	classBinary    = 0x60
	classObjectID  = 0x68
	classBoolean   = 0x70
	classDate      = 0x78
	classTimestamp = 0x80
)

// The parts that numbers fall into.
const (
	numberNaN      = 0x00
	numberNegative = 0x01
	numberZero     = 0x02
	numberPositive = 0x03
)

// class is that of a value that an index may hold.
func class(v bson.RawValue) byte {
	switch v.Type {
	case bson.TypeDouble, bson.TypeInt32, bson.TypeInt64:
		return classNumber
	case bson.TypeString:
		return classText
	case bson.TypeBinary:
		return classBinary
	case bson.TypeObjectID:
		return classObjectID
	case bson.TypeBoolean:
		return classBoolean
	case bson.TypeDateTime:
		return classDate
	case bson.TypeTimestamp:
		return classTimestamp
	}
	return classNull
}

// appendValue appends a value that an index may hold, ascending. Its bytes are well-formed: store.CheckBody or
// Query.Plan has passed them.
func appendValue(dst []byte, v bson.RawValue) []byte {
	dst = append(dst, class(v))
	switch v.Type {
	case bson.TypeDouble:
		return appendDouble(dst, math.Float64frombits(binary.LittleEndian.Uint64(v.Value)))
	case bson.TypeInt32:
		return appendInt(dst, int64(int32(binary.LittleEndian.Uint32(v.Value))))
	case bson.TypeInt64:
		return appendInt(dst, int64(binary.LittleEndian.Uint64(v.Value)))
	case bson.TypeString:
		return appendText(dst, v.Value[4:len(v.Value)-1])
	case bson.TypeBinary:
		size := binary.LittleEndian.Uint32(v.Value)
		return append(binary.BigEndian.AppendUint32(dst, size), v.Value[4:]...)
	case bson.TypeObjectID, bson.TypeBoolean:
		return append(dst, v.Value...)
	case bson.TypeDateTime:
		return binary.BigEndian.AppendUint64(dst, binary.LittleEndian.Uint64(v.Value)^1<<63)
	case bson.TypeTimestamp:
		return binary.BigEndian.AppendUint64(dst, binary.LittleEndian.Uint64(v.Value))
	}
	return dst
}

func appendText(dst, text []byte) []byte {
	for _, c := range text {
		if dst = append(dst, c); c == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 0)
}

func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, numberNaN)
	case f == 0:
		return append(dst, numberZero)
	case f < 0:
		return appendNumber(dst, true, -f, 0)
	}
	return appendNumber(dst, false, f, 0)
}

func appendInt(dst []byte, n int64) []byte {
	if n == 0 {
		return append(dst, numberZero)
	}
	size := uint64(n)
	if n < 0 {
		size = -size
	}
	f := float64(size)
	if f >= exactInts && uint64(f) > size {
		f = math.Nextafter(f, 0)
	}
	return appendNumber(dst, n < 0, f, size-uint64(f))
}

// exactInts is where doubles begin to be further apart than integers are.
const exactInts = 1 << 53

// appendNumber appends a number that is not zero: the largest double that is not above its size, and, where integers
// are in between, by how much it is above that one. So int64 and doubles compare by their exact values. Those of
// negative numbers are inverted.
func appendNumber(dst []byte, negative bool, size float64, rest uint64) []byte {
	sign := byte(numberPositive)
	if negative {
		sign = numberNegative
	}
	dst = append(dst, sign)
	from := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(size))
	if size >= exactInts {
		dst = binary.BigEndian.AppendUint16(dst, uint16(rest))
	}
	if negative {
		invert(dst[from:])
	}
	return dst
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// appendField appends the value of an index's field, inverted for one in descending order.
func appendField(dst []byte, field string, v bson.RawValue) []byte {
	from := len(dst)
	dst = appendValue(dst, v)
	if descending(field) {
		invert(dst[from:])
	}
	return dst
}

func descending(field string) bool { return strings.HasPrefix(field, "-") }

// keyOf is the key of a document's values in an index. The document's id, which decides between equals, comes behind it
// in the database.
func keyOf(x *store.Index, values []bson.RawValue) []byte {
	var dst []byte
	for i, v := range values {
		dst = appendField(dst, x.Fields[i], v)
	}
	return dst
}

// bounds are the keys that serve a query: from lo to below hi.
type bounds struct{ lo, hi []byte }

// boundsOf are those of a plan.
func boundsOf(q *store.Query, p *store.Plan) bounds {
	var prefix []byte
	for _, f := range p.Index.Fields[:p.Equal] {
		for _, w := range q.Where {
			if w.Op == store.Eq && w.Path == strings.TrimPrefix(f, "-") {
				prefix = appendField(prefix, f, w.Value)
			}
		}
	}
	b := bounds{lo: prefix, hi: after(prefix)}
	if len(prefix) == 0 {
		b = bounds{lo: []byte{0}, hi: []byte{0xff}} // no key begins with them
	}
	if len(p.Range) > 0 {
		b = within(prefix, p.Range, descending(p.Index.Fields[p.Equal]))
	}
	if q.After == nil {
		return b
	}
	at := append(keyOf(p.Index, q.After.Values), q.After.ID...)
	if p.Reverse {
		if string(at) < string(b.hi) {
			b.hi = at
		}
	} else if at = append(at, 0); string(at) > string(b.lo) { // the next possible key
		b.lo = at
	}
	return b
}

// within are the keys that begin with prefix and go on with a value in a range.
func within(prefix []byte, conditions []store.Condition, inverted bool) bounds {
	c := class(conditions[0].Value)
	lo, hi := []byte{c}, []byte{c + 1}
	if c == classNumber {
		lo = append(lo, numberNaN+1) // NaN is in no range
	}
	for _, w := range conditions {
		if class(w.Value) != c {
			return bounds{lo: prefix, hi: prefix} // no value is of two classes
		}
		end := appendValue(nil, w.Value)
		switch w.Op {
		case store.Gt:
			lo = after(end)
		case store.Gte:
			lo = end
		case store.Lt:
			hi = end
		case store.Lte:
			hi = after(end)
		case store.Eq:
		}
	}
	if inverted {
		lo, hi = mirror(hi), mirror(lo)
	}
	return bounds{lo: append(prefix[:len(prefix):len(prefix)], lo...), hi: append(prefix[:len(prefix):len(prefix)], hi...)}
}

// after is the lowest key that is above all that begin with prefix; nil: there is none.
func after(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] != 0xff {
			next := append([]byte(nil), prefix[:n]...)
			next[n-1]++
			return next
		}
	}
	return nil
}

// mirror gives the bound between inverted keys that is where bound is between the keys: a key is below bound, and does
// not begin with it, if and only if its inversion is not below the mirror.
func mirror(bound []byte) []byte {
	turned := append([]byte(nil), bound...)
	invert(turned)
	return after(turned)
}
