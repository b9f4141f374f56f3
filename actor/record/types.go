package record

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// ErrType is wrapped by errors about a message whose type is not registered, or can't be.
var ErrType = errors.New("record: type is not registered")

// Registry knows the types of messages. Make it with Types; while it is used it must not be changed.
type Registry struct {
	byType map[reflect.Type]*entryType
	byName map[string]*entryType
	err    error // the first mistake in its making
}

// entryType is a type with its way into JSON and back.
type entryType struct {
	name   string
	doubt  bool // whether a message comes back as it was must be tried
	encode func(c *coder, msg any) ([]byte, error)
	decode func(c *coder, data []byte) (any, error)
}

// Types makes a registry of the types of these values, which are else not used: Types(Deposit{}, Get{}, &Move{}). A type is called as fmt's %T calls it.
//
// A type must come back from JSON as it was, which is checked here as far as types tell: fields that are not exported or left out, and interfaces other than
// any and error, are mistakes, unless the type has its own methods for JSON or text, or a codec ([Add]). Beside what encoding/json knows, actor.Ref,
// time.Duration, value.List and value.Value may occur anywhere. An any may hold what JSON has: nil, bool, int64, float64, string, []any, map[string]any.
// Of an error there remains what [actor.Portable] keeps, and where a tag says omitempty, what is empty comes back as nil.
//
// Registered from the start are actor.Terminated, value.List and value.Value, strings, booleans, numbers, []byte and struct{}.
// A mistake is kept: Err returns it, and so do Start, Read and Replay.
func Types(samples ...any) *Registry {
	r := &Registry{byType: map[reflect.Type]*entryType{}, byName: map[string]*entryType{}}
	for _, s := range builtin() {
		r.add(reflect.TypeOf(s))
	}
	for _, s := range samples {
		if s == nil {
			r.mistake(errors.New("nil has no type"))
			continue
		}
		r.add(reflect.TypeOf(s))
	}
	return r
}

// Add registers a type with JSON of its own: encode must return one JSON value, and decode what it was made of. An empty name is the type's. It takes the
// place of what was registered for the type before.
func Add[M any](r *Registry, name string, encode func(msg M) ([]byte, error), decode func(data []byte) (M, error)) {
	t := reflect.TypeFor[M]()
	if name == "" {
		name = t.String()
	}
	if t.Kind() == reflect.Interface || encode == nil || decode == nil {
		r.mistake(fmt.Errorf("%s: a codec needs a type that is no interface, and two functions", name))
		return
	}
	if old := r.byType[t]; old != nil {
		delete(r.byName, old.name)
	}
	r.put(t, &entryType{
		name: name, doubt: true,
		encode: func(_ *coder, msg any) ([]byte, error) { return encode(msg.(M)) }, //nolint:forcetypeassert // found by its type
		decode: func(_ *coder, data []byte) (any, error) { return decode(data) },
	})
}

// Err is the first mistake that was made in making the registry.
func (r *Registry) Err() error { return r.err }

func (r *Registry) mistake(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", ErrType, err)
	}
}

func (r *Registry) put(t reflect.Type, e *entryType) {
	if r.byName[e.name] != nil || e.name == nilName {
		r.mistake(fmt.Errorf("%s is the name of two types: use Add to give one of them another", e.name))
		return
	}
	r.byType[t], r.byName[e.name] = e, e
}

func (r *Registry) add(t reflect.Type) {
	if r.byType[t] != nil {
		return
	}
	c := checker{seen: map[reflect.Type]bool{}}
	if err := c.check(t, t.String()); err != nil {
		r.mistake(fmt.Errorf("%w; export it, give the type methods for JSON, or use Add", err))
		return
	}
	open := c.open
	r.put(t, &entryType{
		name: t.String(), doubt: c.doubt,
		encode: func(c *coder, msg any) ([]byte, error) {
			data, err := json.Marshal(msg, c.opts)
			if err != nil {
				return nil, err
			}
			if open {
				err = checkOpen(reflect.ValueOf(msg), t.String())
			}
			return data, err
		},
		decode: func(c *coder, data []byte) (any, error) {
			v := reflect.New(t)
			err := json.Unmarshal(data, v.Interface(), c.opts)
			return v.Elem().Interface(), err
		},
	})
}

// encode is a message as JSON, and the name of its type.
func (r *Registry) encode(c *coder, msg any) (name string, data []byte, err error) {
	if msg == nil {
		return nilName, []byte("null"), nil
	}
	e := r.byType[reflect.TypeOf(msg)]
	if e == nil {
		return typeName(msg), nil, ErrType
	}
	name = e.name
	defer func() {
		if p := recover(); p != nil { // in a method of the type
			data, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	clear(c.seen)
	if data, err = e.encode(c, msg); err != nil {
		return name, nil, err
	}
	text := jsontext.Value(data)
	if err := text.Compact(); err != nil {
		return name, nil, err
	}
	if e.doubt {
		err = r.prove(c, e, text)
	}
	return name, text, err
}

// prove reads a message back and writes it once more: what would fail in a replay is better known when it is recorded.
func (r *Registry) prove(c *coder, e *entryType, data []byte) error {
	back, err := e.decode(c, data)
	if err != nil {
		return fmt.Errorf("it can't be read back: %w", err)
	}
	again, err := e.encode(c, back)
	if err != nil {
		return fmt.Errorf("it can't be written once more: %w", err)
	}
	text := jsontext.Value(again)
	if err := text.Compact(); err != nil || !bytes.Equal(text, data) {
		return errors.New("it does not come back as it was")
	}
	return nil
}

// nilName is the type of a message that is nil.
const nilName = "nil"

// decode makes a message of JSON.
func (r *Registry) decode(c *coder, name string, data []byte) (msg any, err error) {
	if name == nilName {
		return nil, nil
	}
	e := r.byName[name]
	if e == nil {
		return nil, ErrType
	}
	defer func() {
		if p := recover(); p != nil {
			msg, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return e.decode(c, data)
}

func builtin() []any {
	return []any{
		actor.Terminated{},
		value.List{},
		value.Value{},
		"", false, 0, int8(0), int16(0), int32(0), int64(0),
		uint(0), uint8(0), uint16(0), uint32(0), uint64(0), float32(0), 0.0, []byte(nil),
		struct{}{},
	}
}

// typeName is how a message of an unknown type is called.
func typeName(msg any) string {
	name := fmt.Sprintf("%T", msg)
	if t, ok := msg.(actor.Typed); ok && !strings.Contains(name, t.MessageType()) {
		name += " (" + t.MessageType() + ")"
	}
	return name
}
