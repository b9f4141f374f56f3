package lua54

import (
	"hash/maphash"
	"math"
	"unsafe"
)

// value is any value of Lua in two words, so that numbers need no memory of their own. o tells the kind: nil is nil, integers and floats point to intObj and
// floatObj and have their bits in n, the rest points to what it is. n of these says nothing.
type value struct {
	o *object
	n uint64
}

// object is the head of everything that a value can point to. hash is what tables find it by.
type object struct {
	kind kind
	mark uint8
	hash uint32
}

type kind uint8

const (
	kindNil kind = iota
	kindFalse
	kindTrue
	kindInt
	kindFloat
	kindString
	kindTable
	kindClosure
	kindGoFunc
	kindUserdata
	kindThread
)

// shared in mark says that the object may belong to several VMs, and is never written to.
const shared = 0xff

var ( // the objects of kinds that have no others
	falseObj = object{kindFalse, shared, 1} //nolint:gochecknoglobals // a constant
	trueObj  = object{kindTrue, shared, 2}  //nolint:gochecknoglobals // a constant
	intObj   = object{kindInt, shared, 3}   //nolint:gochecknoglobals // a constant
	floatObj = object{kindFloat, shared, 4} //nolint:gochecknoglobals // a constant
	seed     = maphash.MakeSeed()           //nolint:gochecknoglobals // one for all, since VMs share strings of code
)

// str is a string. hash is 0 until somebody asks; strings that VMs share have it from the start.
type str struct {
	object
	s string
}

// closure is a function of Lua.
type closure struct {
	object
	p  *proto
	up []*upvalue
}

// upvalue is a variable that closures share: on the stack of a thread while its function runs, then in v.
type upvalue struct {
	p    *value
	v    value
	next *upvalue // of the thread's open ones, the highest first
	at   int      // where on the stack
}

type userdata struct {
	object
	doomed bool // its __gc is to be called
	meta   *table
	v      any
}

func intValue(n int64) value     { return value{&intObj, uint64(n)} }
func floatValue(f float64) value { return value{&floatObj, math.Float64bits(f)} }

func boolValue(b bool) value {
	if b {
		return value{o: &trueObj}
	}
	return value{o: &falseObj}
}

func stringValue(s string) value { return value{o: &(&str{object{kind: kindString}, s}).object} }

func (v value) kind() kind {
	if v.o == nil {
		return kindNil
	}
	return v.o.kind
}

func (v value) isInt() bool    { return v.o == &intObj }
func (v value) isFloat() bool  { return v.o == &floatObj }
func (v value) isNumber() bool { return v.o == &intObj || v.o == &floatObj }
func (v value) isString() bool { return v.o != nil && v.o.kind == kindString }
func (v value) falsy() bool    { return v.o == nil || v.o == &falseObj }
func (v value) int() int64     { return int64(v.n) }
func (v value) float() float64 { return math.Float64frombits(v.n) }

// What a value points to begins with its object, so each of these is the inverse of the field's address.
func (o *object) str() *str           { return (*str)(unsafe.Pointer(o)) }      //nolint:gosec // see above
func (o *object) table() *table       { return (*table)(unsafe.Pointer(o)) }    //nolint:gosec // see above
func (o *object) closure() *closure   { return (*closure)(unsafe.Pointer(o)) }  //nolint:gosec // see above
func (o *object) goFunc() *goFunc     { return (*goFunc)(unsafe.Pointer(o)) }   //nolint:gosec // see above
func (o *object) userdata() *userdata { return (*userdata)(unsafe.Pointer(o)) } //nolint:gosec // see above
func (o *object) thread() *thread     { return (*thread)(unsafe.Pointer(o)) }   //nolint:gosec // see above

func (v value) text() string { return v.o.str().s }

// asTable is the table that v is, or nil.
func (v value) asTable() *table {
	if v.o != nil && v.o.kind == kindTable {
		return v.o.table()
	}
	return nil
}

// key is the hash of a string.
func (s *str) key() uint32 {
	if s.hash == 0 {
		s.hash = hashOf(s.s)
	}
	return s.hash
}

func hashOf(s string) uint32 { return uint32(maphash.String(seed, s)) | 1 }

// constant makes a string that VMs may share.
func constant(s string) *str {
	if len(s) <= maxInterned {
		return intern(s)
	}
	return &str{object{kindString, shared, hashOf(s)}, s}
}

// equal is == without metamethods.
func equal(a, b value) bool {
	if a.o == b.o {
		switch {
		case a.o == &intObj:
			return a.n == b.n
		case a.o == &floatObj:
			return a.float() == b.float()
		}
		return true
	}
	if a.o == nil || b.o == nil {
		return false
	}
	switch {
	case a.o.kind == kindString && b.o.kind == kindString:
		return a.text() == b.text()
	case a.isInt() && b.isFloat():
		return intEqualsFloat(a.int(), b.float())
	case a.isFloat() && b.isInt():
		return intEqualsFloat(b.int(), a.float())
	}
	return false
}

func intEqualsFloat(i int64, f float64) bool {
	n, ok := floatToInt(f)
	return ok && n == i
}

// floatToInt is the integer that has the value of f.
func floatToInt(f float64) (int64, bool) {
	if f >= -0x1p63 && f < 0x1p63 {
		n := int64(f)
		return n, float64(n) == f
	}
	return 0, false
}

// toInt is the integer that a number is.
func (v value) toInt() (int64, bool) {
	switch v.o {
	case &intObj:
		return v.int(), true
	case &floatObj:
		return floatToInt(v.float())
	}
	return 0, false
}

// toFloat is the float that a number is, rounded.
func (v value) toFloat() (float64, bool) {
	switch v.o {
	case &floatObj:
		return v.float(), true
	case &intObj:
		return float64(v.int()), true
	}
	return 0, false
}
