package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/actor/value"
)

// FromValue makes a document of a table: an array part becomes an array, string keys become fields, integers int64; an empty table is an empty document. Tables
// that have both, keys of other types and text that is not UTF-8 could not come back as they were: they are errors that name the path, as a script writes it.
func FromValue(v value.Value) (bson.Raw, error) {
	if v.Kind() != value.Table {
		return nil, fmt.Errorf("a table with string keys is expected, got %s", v.Kind())
	}
	if v.Len() > 0 {
		return nil, errors.New("a table with string keys is expected, got a list")
	}
	out, err := appendDocument(nil, v)
	if err != nil {
		return nil, fmt.Errorf("document%w", err)
	}
	return out, nil
}

func appendDocument(dst []byte, v value.Value) ([]byte, error) {
	at, dst := bsoncore.AppendDocumentStart(dst)
	for k, e := range v.Pairs {
		key, ok := k.Str()
		if !ok {
			return dst, fmt.Errorf("[%s]: the key is of type %s; a document has string keys, a list has keys from 1 without gaps", k.KeyText(), k.Kind())
		}
		if reason := badField(key); reason != "" {
			return dst, fmt.Errorf("%s: %s", field(key), reason)
		}
		var err error
		if dst, err = appendElement(dst, key, e); err != nil {
			return dst, fmt.Errorf("%s%w", field(key), err)
		}
	}
	dst, err := bsoncore.AppendDocumentEnd(dst, at)
	if err != nil {
		return dst, fmt.Errorf(": %w", err)
	}
	return dst, nil
}

// badField tells why a key can't be one. CheckBody would as well, but not with a script's path, and not if a zero byte had ended the key in between.
func badField(key string) string {
	switch {
	case key == "":
		return "the key is empty"
	case key[0] == '$':
		return "the key begins with $"
	case strings.Contains(key, "."):
		return "the key has a dot"
	case strings.Contains(key, "\x00"):
		return "the key has a zero byte"
	case !utf8.ValidString(key):
		return "the key is not valid UTF-8"
	}
	return ""
}

// field is a step of a path, for people: long keys are cut, unreadable ones quoted.
func field(key string) string {
	const most = 40
	cut := key
	if len(cut) > most {
		cut = cut[:most] + "…"
	}
	if quoted := strconv.Quote(cut); len(quoted) != len(cut)+2 || strings.ContainsAny(cut, ". []") || cut == "" {
		return "[" + quoted + "]"
	}
	return "." + cut
}

func appendElement(dst []byte, key string, v value.Value) ([]byte, error) {
	switch v.Kind() {
	case value.Bool:
		return bsoncore.AppendBooleanElement(dst, key, v.Bool()), nil
	case value.Int:
		n, _ := v.Int()
		return bsoncore.AppendInt64Element(dst, key, n), nil
	case value.Float:
		f, _ := v.Float()
		return bsoncore.AppendDoubleElement(dst, key, f), nil
	case value.String:
		s, _ := v.Str()
		if !utf8.ValidString(s) {
			return dst, errors.New(": the string is not valid UTF-8")
		}
		return bsoncore.AppendStringElement(dst, key, s), nil
	case value.Table:
		if v.Len() > 0 {
			return appendArray(dst, key, v)
		}
		return appendDocument(bsoncore.AppendHeader(dst, bsoncore.TypeEmbeddedDocument, key), v)
	}
	return bsoncore.AppendNullElement(dst, key), nil
}

func appendArray(dst []byte, key string, v value.Value) ([]byte, error) {
	if v.Fields() > 0 {
		return dst, fmt.Errorf(": a table with a list of %d and %d other keys can't be kept; use two tables", v.Len(), v.Fields())
	}
	at, dst := bsoncore.AppendArrayElementStart(dst, key)
	for i, e := range v.Items {
		var err error
		if dst, err = appendElement(dst, strconv.Itoa(i-1), e); err != nil {
			return dst, fmt.Errorf("[%d]%w", i, err)
		}
	}
	dst, err := bsoncore.AppendArrayEnd(dst, at)
	if err != nil {
		return dst, fmt.Errorf(": %w", err)
	}
	return dst, nil
}

// ToValue makes a table of a document, of any bytes. Types that a script has no value for (dates, ObjectIDs, binary and the like) are errors with their path: a
// script would else write them back as something else. So are tables that nest deeper than value.MaxDepth. An int32 comes back from a script as int64, and
// an empty array as an empty document.
func ToValue(body bson.Raw) (value.List, error) {
	var b value.Builder
	if err := addDocument(&b, body, false); err != nil {
		return value.List{}, fmt.Errorf("document%w", err)
	}
	return b.List(), nil
}

var errMalformed = errors.New("malformed BSON")

// addDocument reads one level after the other, so that a nesting without end meets the builder's limit and not the stack's.
func addDocument(b *value.Builder, doc []byte, array bool) error {
	if err := b.Begin(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	length, rest, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) != len(doc) || length < 5 || doc[length-1] != 0 {
		return fmt.Errorf(": %w", errMalformed)
	}
	rest = rest[:len(rest)-1]
	for i := 1; len(rest) > 0; i++ {
		var e bsoncore.Element
		if e, rest, ok = bsoncore.ReadElement(rest); !ok {
			return fmt.Errorf(": %w", errMalformed)
		}
		key, v := e.Key(), e.Value()
		var step string
		if !array {
			b.Key(key)
		}
		err := addValue(b, v)
		switch {
		case err == nil:
			continue
		case errors.Is(err, value.ErrDepth):
			return err // 64 steps say nothing
		case array:
			step = "[" + strconv.Itoa(i) + "]"
		default:
			step = field(key)
		}
		return fmt.Errorf("%s%w", step, err)
	}
	b.End()
	return nil
}

func addValue(b *value.Builder, v bsoncore.Value) error {
	ok := true
	switch v.Type {
	case bsoncore.TypeNull:
		b.Nil()
	case bsoncore.TypeBoolean:
		var x bool
		x, ok = v.BooleanOK()
		b.Bool(x)
	case bsoncore.TypeInt32:
		var x int32
		x, ok = v.Int32OK()
		b.Int(int64(x))
	case bsoncore.TypeInt64:
		var x int64
		x, ok = v.Int64OK()
		b.Int(x)
	case bsoncore.TypeDouble:
		var x float64
		x, ok = v.DoubleOK()
		b.Float(x)
	case bsoncore.TypeString:
		var x string
		x, ok = v.StringValueOK()
		b.String(x)
	case bsoncore.TypeEmbeddedDocument:
		return addDocument(b, v.Data, false)
	case bsoncore.TypeArray:
		return addDocument(b, v.Data, true)
	default:
		return fmt.Errorf(": a value of BSON type %s can't be given to a script", v.Type)
	}
	if !ok {
		return fmt.Errorf(": %w", errMalformed)
	}
	return nil
}
