// Package wire writes messages of actors as bytes, for the way to another node, and reads them there.
//
// What a message may be is known beforehand: Types has the types, each by a name that all nodes of a cluster use for it. Plain data, [actor.Ref], [value.List] and [value.Value]
// are there from the start; [Register] adds a Go type by way of JSON, and [Add] one with a form of its own, for what is sent often. Refs are read as those of
// the nodes that they are of, so they can be in any message.
//
// What comes from outside is checked: reading never panics, and takes no more memory than some ten times what was sent, [MaxItems] aside.
package wire

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

var (
	// ErrType is wrapped by errors about a message whose type is not registered, or can't be.
	ErrType = errors.New("wire: type is not registered")
	// ErrFormat is wrapped by the errors about bytes that are no message.
	ErrFormat = errors.New("wire: not a message")
)

// maxTypeName bounds the names of types, in bytes.
const maxTypeName = 64

// Types knows the types of messages. Make it with NewTypes; once it is used it must not be changed.
type Types struct {
	byType    map[reflect.Type]*form
	byName    map[string]*form
	sentinels []sentinel
	err       error
}

// form is how messages of one type are written.
type form struct {
	name   string
	encode func(c *Coder, dst []byte, msg any) ([]byte, error)
	decode func(r *Reader) (any, error)
}

// sentinel is an error that other nodes have too.
type sentinel struct {
	name string
	err  error
}

// NewTypes has the plain types: nil, bool, int, int64, uint64, float64, string, []byte, time.Duration, struct{}, actor.Ref, value.List, value.Value.
func NewTypes() *Types {
	t := &Types{byType: map[reflect.Type]*form{}, byName: map[string]*form{}}
	return t
}

// Err is the first mistake that was made in adding types: a name that is empty, long or taken, or a type that was added before.
func (t *Types) Err() error { return t.err }

func (t *Types) mistake(format string, args ...any) {
	if t.err == nil {
		t.err = fmt.Errorf("wire: "+format, args...)
	}
}

func (t *Types) add(of reflect.Type, f *form) {
	switch {
	case f.name == "" || len(f.name) > maxTypeName:
		t.mistake("the name %q of %v: expected 1 to %d bytes", f.name, of, maxTypeName)
	case t.byName[f.name] != nil:
		t.mistake("%q is the name of two types, one of them %v", f.name, of)
	case of.Kind() == reflect.Interface:
		t.mistake("%v is an interface: messages are of types", of)
	case t.byType[of] != nil || plain(of):
		t.mistake("%v is there already", of)
	default:
		t.byType[of], t.byName[f.name] = f, f
	}
}

// Add adds a type with a form of its own. encode appends the message; decode reads what encode has written, and fails for anything else: it need not look at the Reader's error.
func Add[M any](t *Types, name string, encode func(c *Coder, dst []byte, msg M) ([]byte, error), decode func(r *Reader) (M, error)) {
	t.add(reflect.TypeFor[M](), &form{
		name:   name,
		encode: func(c *Coder, dst []byte, msg any) ([]byte, error) { return encode(c, dst, msg.(M)) }, //nolint:forcetypeassert // found by its type
		decode: func(r *Reader) (any, error) { return decode(r) },
	})
}

// Register adds a type in the form of JSON: its exported fields go. Ref, value.List, value.Value, time.Duration and errors may occur in it anywhere; of an error there remains what
// [actor.Portable] keeps.
func Register[M any](t *Types, name string) {
	Add(t, name, func(c *Coder, dst []byte, msg M) ([]byte, error) {
		data, err := json.Marshal(msg, c.json)
		return append(dst, data...), err
	}, func(r *Reader) (M, error) {
		var msg M
		err := json.Unmarshal(r.Rest(), &msg, r.c.json)
		return msg, err
	})
}

// AddError adds a type of errors that keep more than [actor.Portable] does.
func AddError[E error](t *Types, name string, encode func(c *Coder, dst []byte, err E) ([]byte, error), decode func(r *Reader) (E, error)) {
	Add(t, name, encode, decode)
}

// AddSentinel has errors that wrap err still match it, with errors.Is, on another node.
func AddSentinel(t *Types, name string, err error) {
	for _, s := range t.sentinels {
		if s.name == name {
			t.mistake("%q is the name of two errors", name)
			return
		}
	}
	if name == "" || len(name) > maxTypeName || err == nil {
		t.mistake("the error %q: expected an error and a name of 1 to %d bytes", name, maxTypeName)
		return
	}
	t.sentinels = append(t.sentinels, sentinel{name, err})
}

// plain tells whether a type has a code of its own.
func plain(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[uint64](), reflect.TypeFor[float64](), reflect.TypeFor[string](),
		reflect.TypeFor[[]byte](), reflect.TypeFor[time.Duration](), reflect.TypeFor[struct{}](), reflect.TypeFor[actor.Ref](), reflect.TypeFor[value.List](),
		reflect.TypeFor[value.Value]():
		return true
	}
	return false
}

// guard calls one of a type's functions. A panic in it is an error.
func guard(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("wire: %s: panic: %v", name, p)
		}
	}()
	return f()
}
