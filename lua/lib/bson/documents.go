package bson

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/lua/lib/internal/walk"
	"github.com/skua-go/skua/lua/vm"
)

// Documents puts the documents of a database into a VM as plain tables, and takes them out again. Unlike bson.encode, which makes a document of most tables, it
// refuses what would not come back as it was, and keeps what the content before says of the same place: the types of its numbers, the order of its fields, and
// whether an empty table is a list.
//
// Types that Lua has not are the strings of the module bson, null among them.
type Documents struct {
	numbers walk.Numbers
	// Hidden is a field at the top that scripts do not see, a whole number. Empty: there is none.
	Hidden string
	// MaxBytes and MaxDepth bound what Take makes.
	MaxBytes, MaxDepth int
}

// NewDocuments is for one VM.
func NewDocuments(s vm.State, hidden string, maxBytes, maxDepth int) *Documents {
	return &Documents{numbers: walk.NumbersOf(s), Hidden: hidden, MaxBytes: maxBytes, MaxDepth: maxDepth}
}

// SizeError is for a table that would make more than Documents.MaxBytes.
type SizeError struct{ Max int }

func (e *SizeError) Error() string {
	return "the document has more than " + strconv.Itoa(e.Max) + " bytes"
}

// Push pushes a document as a table. It keeps nothing of raw. Errors tell the way to what the VM can't hold, behind root; the stack is then as it was.
func (c *Documents) Push(s vm.State, raw []byte, root string) error {
	top := s.Top()
	s.Alloc(2 * len(raw)) // about: a number in 4 bytes is one of 16, and the names of fields are there once
	l := loader{numbers: &c.numbers, s: s, depth: c.MaxDepth}
	if err := l.document(raw, c.Hidden); err != nil {
		s.SetTop(top)
		return errors.New(walk.Text(err, root))
	}
	return nil
}

type loader struct {
	numbers *walk.Numbers
	s       vm.State
	depth   int // how many levels there may be yet
}

func (l *loader) enter(raw []byte) (elements, int, error) {
	if l.depth--; l.depth < 0 {
		return elements{}, 0, errors.New("documents nest too deep")
	}
	in, ok := elementsOf(raw)
	if !ok {
		return in, 0, errBroken
	}
	n := in.count()
	if n < 0 {
		return in, 0, errBroken
	}
	return in, n, nil
}

func (l *loader) document(raw []byte, hidden string) error {
	in, n, err := l.enter(raw)
	if err != nil {
		return err
	}
	l.s.NewTable(0, n)
	table := l.s.Top()
	for len(in.rest) > 0 {
		t, key, v, _ := in.next()
		if hidden != "" && string(key) == hidden {
			continue
		}
		l.s.PushBytes(key)
		if err := l.value(t, v); err != nil {
			return walk.Field(err, string(key))
		}
		l.s.RawSet(table)
	}
	l.depth++
	return nil
}

func (l *loader) array(raw []byte) error {
	in, n, err := l.enter(raw)
	if err != nil {
		return err
	}
	l.s.NewTable(n, 0)
	table := l.s.Top()
	for i := int64(1); len(in.rest) > 0; i++ {
		t, _, v, _ := in.next()
		if err := l.value(t, v); err != nil {
			return walk.Index(err, i)
		}
		l.s.RawSetInt(table, i)
	}
	l.depth++
	return nil
}

func (l *loader) value(t bsoncore.Type, v []byte) error {
	switch t {
	case bsoncore.TypeEmbeddedDocument:
		return l.document(v, "")
	case bsoncore.TypeArray:
		return l.array(v)
	case bsoncore.TypeString:
		text, ok := textOf(v)
		if !ok {
			return errBroken
		}
		if len(text) >= 2 && text[0] == 0 {
			return errZero
		}
		l.s.PushBytes(text)
	case bsoncore.TypeInt64:
		return l.numbers.Push(l.s, int64(binary.LittleEndian.Uint64(v)))
	case bsoncore.TypeInt32:
		l.s.PushInt(int64(int32(binary.LittleEndian.Uint32(v))))
	case bsoncore.TypeDouble:
		l.s.PushFloat(math.Float64frombits(binary.LittleEndian.Uint64(v)))
	case bsoncore.TypeBoolean:
		l.s.PushBool(v[0] != 0)
	default:
		text, err := specialString(bsoncore.Value{Type: t, Data: v})
		if err != nil {
			return err
		}
		l.s.PushString(text)
	}
	return nil
}
