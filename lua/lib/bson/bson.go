// Package bson is the module bson for scripts, under Skynet's names, over MongoDB's own reader and writer of elements. What Lua has no type for is a string of
// Skynet's form, a zero byte, the type's byte of the BSON specification and the value, so that it can be compared and sent in messages.
package bson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/lua/lib/internal/module"
	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// maxDepth is how deep documents may nest; MongoDB takes 100 levels.
const maxDepth = 128

// document is in the userdata that encode returns.
type document struct{ raw bsoncore.Document }

// codec is the module in a VM.
type codec struct {
	numbers    walk.Numbers
	documentMT int // reference to the metatable of documents
	increment  uint32
}

// Open pushes the module bson.
func Open(s vm.State) {
	c := &codec{numbers: walk.NumbersOf(s)}
	c.documentMT = c.metatable(s)
	module.Push(s, map[string]vm.Func{
		"encode": c.encode, "encode_order": c.encodeOrder, "decode": c.decode, "type": c.typeOf,
		"date": c.date, "timestamp": c.timestamp, "objectid": objectID, "binary": binaryOf, "regex": regex, "int64": c.int64, "decimal": decimal,
		"big_integers_as_strings": func(s vm.State) int {
			if module.Has(s, 1) {
				c.numbers.AsText = s.Bool(1)
			}
			s.PushBool(c.numbers.AsText)
			return 1
		},
	})
	for name, t := range map[string]bsoncore.Type{"null": bsoncore.TypeNull, "minkey": bsoncore.TypeMinKey, "maxkey": bsoncore.TypeMaxKey} {
		s.PushString(special(t, nil))
		s.SetField(-2, name)
	}
}

// metatable is that of documents: they have a method decode, are the same if their bytes are, and tostring gives the bytes.
func (c *codec) metatable(s vm.State) int {
	s.NewTable(0, 3)
	s.NewTable(0, 1)
	s.PushFunc("decode", c.decode)
	s.SetField(-2, "decode")
	s.SetField(-2, "__index")
	s.PushFunc("__tostring", func(s vm.State) int {
		if d, ok := s.Userdata(1).(*document); ok {
			s.PushString(string(d.raw))
			return 1
		}
		s.PushString("bson")
		return 1
	})
	s.SetField(-2, "__tostring")
	s.PushFunc("__eq", func(s vm.State) int {
		a, ok := s.Userdata(1).(*document)
		b, same := s.Userdata(2).(*document)
		s.PushBool(ok && same && bytes.Equal(a.raw, b.raw))
		return 1
	})
	s.SetField(-2, "__eq")
	return s.Ref()
}

func (c *codec) push(s vm.State, raw []byte) int {
	s.PushUserdata(&document{raw})
	s.Push(c.documentMT)
	s.SetMetatable(-2)
	return 1
}

// encode makes a document of a table.
func (c *codec) encode(s vm.State) int {
	module.Table(s, 1, "encode")
	e := encoder{numbers: c.numbers, s: s, open: walk.NewOpen(maxDepth)}
	if err := e.document(1); err != nil {
		s.Errorf("bson.encode: %s", walk.Text(err, "document"))
	}
	module.Work(s, len(e.out))
	return c.push(s, e.out)
}

// encodeOrder makes a document of keys and values in turn, in their order.
func (c *codec) encodeOrder(s vm.State) int {
	top := s.Top()
	if top%2 != 0 {
		s.Errorf("bson.encode_order: keys and values in turn are expected, got %d arguments", top)
	}
	e := encoder{numbers: c.numbers, s: s, open: walk.NewOpen(maxDepth)}
	at, out := bsoncore.AppendDocumentStart(nil)
	e.out = out
	for i := 1; i < top; i += 2 {
		key, ok := s.String(i)
		if !ok {
			module.Bad(s, i, "encode_order", "string")
		}
		if err := e.element(key, i+1); err != nil {
			s.Errorf("bson.encode_order: %s", walk.Text(walk.Field(err, key), "document"))
		}
	}
	if err := e.end(at); err != nil {
		s.Errorf("bson.encode_order: %s", walk.Text(err, "document"))
	}
	module.Work(s, len(e.out))
	return c.push(s, e.out)
}

// decode makes a table of a document, or of a string with its bytes.
func (c *codec) decode(s vm.State) int {
	var raw []byte
	if d, ok := s.Userdata(1).(*document); ok {
		raw = d.raw
	} else if text, ok := s.String(1); ok {
		raw = []byte(text)
	} else if !module.Has(s, 1) {
		s.PushNil()
		return 1
	} else {
		module.Bad(s, 1, "decode", "a document or a string")
	}
	module.Work(s, len(raw))
	if err := c.Push(s, raw); err != nil {
		s.Errorf("bson.decode: %s", walk.Text(err, "document"))
	}
	return 1
}

func special(t bsoncore.Type, raw []byte) string {
	return string(append([]byte{0, byte(t)}, raw...))
}

// date makes a date of seconds since 1970, with a fraction perhaps; BSON keeps milliseconds.
func (c *codec) date(s vm.State) int {
	ms := time.Now().UnixMilli()
	if module.Has(s, 1) {
		f, ok := s.Float(1)
		if !ok {
			module.Bad(s, 1, "date", "number")
		}
		const most = 1 << 43 // seconds whose milliseconds are exact in a float
		if math.IsNaN(f) || math.Abs(f) > most {
			s.Errorf("bad argument #1 to 'date' (%v seconds are no date)", f)
		}
		ms = int64(math.Round(f * 1000))
	}
	s.PushString(special(bsoncore.TypeDateTime, binary.LittleEndian.AppendUint64(nil, uint64(ms))))
	return 1
}

// timestamp makes a timestamp of seconds and an increment; without one, of one that rises.
func (c *codec) timestamp(s vm.State) int {
	c.increment++
	t, i := module.Int(s, 1, "timestamp", time.Now().Unix()), module.Int(s, 2, "timestamp", int64(c.increment))
	if t < 0 || t > math.MaxUint32 || i < 0 || i > math.MaxUint32 {
		s.Errorf("timestamp: seconds and increment are 0 to %d, got %d and %d", uint32(math.MaxUint32), t, i)
	}
	s.PushString(special(bsoncore.TypeTimestamp, bsoncore.AppendTimestamp(nil, uint32(t), uint32(i))))
	return 1
}

// objectID makes an object id of 24 hexadecimal digits, or a new one.
func objectID(s vm.State) int {
	id := bson.NewObjectID()
	if module.Has(s, 1) {
		var err error
		if id, err = bson.ObjectIDFromHex(module.Bytes(s, 1, "objectid")); err != nil {
			s.Errorf("bad argument #1 to 'objectid' (24 hexadecimal digits expected)")
		}
	}
	s.PushString(special(bsoncore.TypeObjectID, id[:]))
	return 1
}

func binaryOf(s vm.State) int {
	data, subtype := module.Bytes(s, 1, "binary"), module.Int(s, 2, "binary", 0)
	if subtype < 0 || subtype > math.MaxUint8 {
		s.Errorf("bad argument #2 to 'binary' (0 to 255 expected, got %d)", subtype)
	}
	s.PushString(special(bsoncore.TypeBinary, append([]byte{byte(subtype)}, data...)))
	return 1
}

func regex(s vm.State) int {
	pattern, options := module.Bytes(s, 1, "regex"), ""
	if module.Has(s, 2) {
		options = module.Bytes(s, 2, "regex")
	}
	if strings.ContainsRune(pattern+options, 0) {
		s.Errorf("regex: a pattern can't hold a zero byte")
	}
	s.PushString(special(bsoncore.TypeRegex, bsoncore.AppendRegex(nil, pattern, options)))
	return 1
}

// int64 makes an integer that is written as one of 64 bits, however small it is. A string of digits says one that the engine's numbers can't hold.
func (c *codec) int64(s vm.State) int {
	n, ok := s.Int(1)
	if text, isText := s.String(1); isText {
		n, ok = parseInt(text)
	}
	if !ok {
		module.Bad(s, 1, "int64", "integer")
	}
	s.PushString(special(bsoncore.TypeInt64, bsoncore.AppendInt64(nil, n)))
	return 1
}

func decimal(s vm.State) int {
	d, err := bson.ParseDecimal128(module.Bytes(s, 1, "decimal"))
	if err != nil {
		s.Errorf("bad argument #1 to 'decimal' (%s)", err.Error())
	}
	high, low := d.GetBytes()
	s.PushString(special(bsoncore.TypeDecimal128, bsoncore.AppendDecimal128(nil, high, low)))
	return 1
}

// typeOf tells what a value is in BSON, and what is in it.
func (c *codec) typeOf(s vm.State) int {
	t := s.Type(1)
	text, _ := s.String(1)
	switch {
	case t == vm.None || t == vm.Nil:
		s.PushString("nil")
		return 1
	case len(text) >= 2 && text[0] == 0:
		n, err := c.pushSpecial(s, text)
		if err != nil {
			s.Errorf("bson.type: %s", err.Error())
		}
		return n
	case t == vm.String || t == vm.Number || t == vm.Boolean || t == vm.Table:
		s.PushString(t.String())
		s.Copy(1)
		return 2
	}
	module.Bad(s, 1, "type", "a value of BSON")
	return 0
}

var errSpecial = errors.New("a string that begins with a zero byte stands for a type of BSON that Lua has not, and this one is broken")
