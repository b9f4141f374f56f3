package bson

import (
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/lua/vm"
)

func parseInt(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// specialValue is the value of BSON that a string with a zero byte in front stands for.
func specialValue(text string) (bsoncore.Value, error) {
	v := bsoncore.Value{Type: bsoncore.Type(text[1]), Data: []byte(text[2:])}
	switch v.Type {
	case bsoncore.TypeBinary:
		if len(v.Data) == 0 {
			return v, errSpecial
		}
		v.Data = bsoncore.AppendBinary(nil, v.Data[0], v.Data[1:])
		return v, nil
	case bsoncore.TypeNull, bsoncore.TypeMinKey, bsoncore.TypeMaxKey, bsoncore.TypeObjectID, bsoncore.TypeDateTime, bsoncore.TypeTimestamp, bsoncore.TypeRegex,
		bsoncore.TypeInt64, bsoncore.TypeDecimal128, bsoncore.TypeUndefined, bsoncore.TypeDBPointer, bsoncore.TypeJavaScript, bsoncore.TypeSymbol,
		bsoncore.TypeCodeWithScope:
	default:
		return v, errSpecial
	}
	read, rest, ok := bsoncore.ReadValue(v.Data, v.Type)
	if !ok || len(rest) != 0 || read.Validate() != nil {
		return v, errSpecial
	}
	return v, nil
}

// specialString is specialValue's counterpart.
func specialString(v bsoncore.Value) (string, error) {
	if v.Type == bsoncore.TypeBinary {
		subtype, data, ok := v.BinaryOK()
		if !ok {
			return "", fmt.Errorf("the %s is broken", v.Type)
		}
		return special(v.Type, append([]byte{subtype}, data...)), nil
	}
	text := special(v.Type, v.Data)
	if _, err := specialValue(text); err != nil {
		return "", fmt.Errorf("the %s is broken", v.Type)
	}
	return text, nil
}

// pushSpecial pushes the name of the type that such a string stands for, and what is in it.
func (c *codec) pushSpecial(s vm.State, text string) (int, error) {
	v, err := specialValue(text)
	if err != nil {
		return 0, err
	}
	switch v.Type {
	case bsoncore.TypeNull:
		s.PushString("nil")
		return 1, nil
	case bsoncore.TypeMinKey:
		s.PushString("minkey")
		return 1, nil
	case bsoncore.TypeMaxKey:
		s.PushString("maxkey")
		return 1, nil
	case bsoncore.TypeBinary:
		s.PushString("binary")
		s.PushString(text[3:])
		s.PushInt(int64(text[2]))
		return 3, nil
	case bsoncore.TypeObjectID:
		s.PushString("objectid")
		s.PushString(bson.ObjectID(v.ObjectID()).Hex())
		return 2, nil
	case bsoncore.TypeDateTime:
		s.PushString("date")
		return 2, c.pushDate(s, v.DateTime())
	case bsoncore.TypeTimestamp:
		t, i := v.Timestamp()
		s.PushString("timestamp")
		s.PushInt(int64(t))
		s.PushInt(int64(i))
		return 3, nil
	case bsoncore.TypeRegex:
		pattern, options := v.Regex()
		s.PushString("regex")
		s.PushString(pattern)
		s.PushString(options)
		return 3, nil
	case bsoncore.TypeInt64:
		s.PushString("int64")
		return 2, c.numbers.Push(s, v.Int64())
	case bsoncore.TypeDecimal128:
		high, low := v.Decimal128()
		s.PushString("decimal")
		s.PushString(bson.NewDecimal128(high, low).String())
		return 2, nil
	}
	s.PushString("unsupported")
	s.PushString(text[2:])
	return 2, nil
}

// pushDate pushes milliseconds as seconds.
func (c *codec) pushDate(s vm.State, ms int64) error {
	if ms%1000 == 0 {
		return c.numbers.Push(s, ms/1000)
	}
	s.PushFloat(float64(ms) / 1000)
	return nil
}
