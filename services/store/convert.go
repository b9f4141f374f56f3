package store

import (
	"fmt"

	"github.com/skua-go/skua/actor/value"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// FromValue makes a document of a table: an array part becomes an array, string keys become fields, integers int64. Tables that have both, and keys of
// other types, would come back changed and are refused with their path.
func FromValue(v value.Value) (bson.Raw, error) {
	if v.Kind() != value.Table || v.Len() > 0 {
		return nil, fmt.Errorf("a table with string keys is expected, got %s", describe(v))
	}
	out, err := appendDocument(nil, v)
	if err != nil {
		return nil, fmt.Errorf("document%w", err)
	}
	return bson.Raw(out), nil
}

func describe(v value.Value) string {
	if v.Kind() == value.Table {
		return "a list"
	}
	return v.Kind().String()
}

func appendDocument(dst []byte, v value.Value) ([]byte, error) {
	at, dst := bsoncore.AppendDocumentStart(dst)
	for k, e := range v.Pairs {
		key, ok := k.Str()
		if !ok {
			return dst, fmt.Errorf("[%s]: the key is a %s; documents have string keys (a list has keys from 1 without gaps)", k.KeyText(), k.Kind())
		}
		var err error
		if dst, err = appendElement(dst, key, e); err != nil {
			return dst, fmt.Errorf(".%s%w", key, err)
		}
	}
	dst, err := bsoncore.AppendDocumentEnd(dst, at)
	if err != nil {
		return dst, fmt.Errorf(": %w", err)
	}
	return dst, nil
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
		return dst, fmt.Errorf(": a table with both a list and %d other keys can't be kept; use two tables", v.Fields())
	}
	at, dst := bsoncore.AppendArrayElementStart(dst, key)
	for i, e := range v.Items {
		var err error
		if dst, err = appendElement(dst, fmt.Sprint(i-1), e); err != nil {
			return dst, fmt.Errorf("[%d]%w", i, err)
		}
	}
	dst, err := bsoncore.AppendArrayEnd(dst, at)
	if err != nil {
		return dst, fmt.Errorf(": %w", err)
	}
	return dst, nil
}

// ToValue makes a table of a document. Types that a script has no value for (dates, ObjectIDs, binary and the like) are errors with their path: a
// script would else write them back as something else.
func ToValue(body bson.Raw) (value.List, error) {
	var b value.Builder
	if err := addDocument(&b, bsoncore.Document(body), false); err != nil {
		return value.List{}, fmt.Errorf("document%w", err)
	}
	return b.List(), nil
}

func addDocument(b *value.Builder, doc bsoncore.Document, array bool) error {
	elements, err := doc.Elements()
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	if err := b.Begin(); err != nil {
		return fmt.Errorf(": %w", err)
	}
	for i, e := range elements {
		if !array {
			b.Key(e.Key())
		}
		if err := addValue(b, e.Value()); err != nil {
			if array {
				return fmt.Errorf("[%d]%w", i+1, err)
			}
			return fmt.Errorf(".%s%w", e.Key(), err)
		}
	}
	b.End()
	return nil
}

func addValue(b *value.Builder, v bsoncore.Value) error {
	switch v.Type {
	case bsoncore.TypeNull:
		b.Nil()
	case bsoncore.TypeBoolean:
		b.Bool(v.Boolean())
	case bsoncore.TypeInt32:
		b.Int(int64(v.Int32()))
	case bsoncore.TypeInt64:
		b.Int(v.Int64())
	case bsoncore.TypeDouble:
		b.Float(v.Double())
	case bsoncore.TypeString:
		b.String(v.StringValue())
	case bsoncore.TypeEmbeddedDocument:
		return addDocument(b, v.Document(), false)
	case bsoncore.TypeArray:
		return addDocument(b, bsoncore.Document(v.Array()), true)
	default:
		return fmt.Errorf(": a %s can't be given to a script", v.Type)
	}
	return nil
}
