package bson

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

type encoder struct {
	numbers walk.Numbers
	s       vm.State
	out     []byte
	open    walk.Open
}

func (e *encoder) end(at int32) error {
	if len(e.out) > walk.MaxOutput {
		return walk.ErrOutput
	}
	out, err := bsoncore.AppendDocumentEnd(e.out, at)
	e.out = out
	return err
}

// document appends the table at index t as a document.
func (e *encoder) document(t int) error {
	if err := e.open.Enter(e.s, t); err != nil {
		return err
	}
	defer e.open.Leave()
	defer e.s.SetTop(e.s.Top())
	t = vm.Plain(e.s, t)
	at, out := bsoncore.AppendDocumentStart(e.out)
	e.out = out
	e.s.PushNil()
	for e.s.Next(t) {
		top := e.s.Top()
		key, err := e.key(top - 1)
		if err != nil {
			return err
		}
		if err := e.element(key, top); err != nil {
			return e.numbers.Key(e.s, top-1, err)
		}
		e.s.Pop(1)
	}
	return e.end(at)
}

// key is the key at index i as text. Whole numbers become digits, as in Skynet.
func (e *encoder) key(i int) (string, error) {
	if text, ok := e.s.String(i); ok {
		return text, nil
	}
	if n, ok := e.numbers.Whole(e.s, i); ok {
		return strconv.FormatInt(n, 10), nil
	}
	return "", fmt.Errorf("a key is a %s; BSON has strings, and whole numbers as text", e.s.Type(i))
}

func (e *encoder) array(t int, n int64) error {
	if err := e.open.Enter(e.s, t); err != nil {
		return err
	}
	defer e.open.Leave()
	at, out := bsoncore.AppendArrayStart(e.out)
	e.out = out
	for i := int64(1); i <= n; i++ {
		e.s.RawGetInt(t, i)
		if err := e.element(strconv.FormatInt(i-1, 10), e.s.Top()); err != nil {
			return walk.Index(err, i)
		}
		e.s.Pop(1)
	}
	return e.end(at)
}

// element appends a key and the value at index i.
func (e *encoder) element(key string, i int) error {
	if err := e.open.Value(len(e.out) + len(key)); err != nil {
		return err
	}
	if strings.IndexByte(key, 0) >= 0 || !utf8.ValidString(key) {
		return errors.New("the key is not UTF-8, or holds a zero byte")
	}
	switch t := e.s.Type(i); t {
	case vm.Nil:
		e.out = bsoncore.AppendNullElement(e.out, key)
	case vm.Boolean:
		e.out = bsoncore.AppendBooleanElement(e.out, key, e.s.Bool(i))
	case vm.Number:
		e.number(key, i)
	case vm.String:
		text, _ := e.s.String(i)
		return e.text(key, text)
	case vm.Table:
		defer e.s.SetTop(e.s.Top())
		i = vm.Plain(e.s, i)
		if shape := e.numbers.ShapeOf(e.s, i); shape.Dense() && shape.Len > 0 {
			e.out = bsoncore.AppendHeader(e.out, bsoncore.TypeArray, key)
			return e.array(i, shape.Len)
		}
		e.out = bsoncore.AppendHeader(e.out, bsoncore.TypeEmbeddedDocument, key)
		return e.document(i)
	default:
		d, ok := e.s.Userdata(i).(*document)
		if !ok {
			return fmt.Errorf("a %s has no form in BSON", t)
		}
		if len(e.out)+len(d.raw) > walk.MaxOutput {
			return walk.ErrOutput
		}
		e.out = bsoncore.AppendDocumentElement(e.out, key, d.raw)
	}
	return nil
}

func (e *encoder) number(key string, i int) {
	n, ok := e.numbers.Whole(e.s, i)
	switch {
	case !ok:
		f, _ := e.s.Float(i)
		e.out = bsoncore.AppendDoubleElement(e.out, key, f)
	case n >= math.MinInt32 && n <= math.MaxInt32:
		e.out = bsoncore.AppendInt32Element(e.out, key, int32(n))
	default:
		e.out = bsoncore.AppendInt64Element(e.out, key, n)
	}
}

func (e *encoder) text(key, text string) error {
	if len(e.out)+len(text) > walk.MaxOutput {
		return walk.ErrOutput
	}
	head := len(e.out)
	out, t, err := appendText(bsoncore.AppendHeader(e.out, 0, key), text)
	out[head] = byte(t)
	e.out = out
	return err
}

// appendText appends the value that a string stands for: one of the types that Lua has not, or a text.
func appendText(out []byte, text string) ([]byte, bsoncore.Type, error) {
	if len(text) >= 2 && text[0] == 0 {
		v, err := specialValue(text)
		return append(out, v.Data...), v.Type, err
	}
	if !utf8.ValidString(text) {
		return out, 0, errors.New("the string is not UTF-8; bson.binary holds bytes")
	}
	return bsoncore.AppendString(out, text), bsoncore.TypeString, nil
}
