package store

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// SchemaField is where a content has the version of its kind's schema, an integer; without it, it is of version 1.
const SchemaField = "_schema"

// ErrSchema says that a content can't be brought to the schema that the program knows. See SchemaError.
var ErrSchema = errors.New("store: schema")

// SchemaError is an ErrSchema: the content is of a newer schema than the program knows (Step is 0), or a step of its migration has failed.
type SchemaError struct {
	Kind, ID   string
	Have, Know int
	Step       int // the version that the step leads from
	Err        error
}

func (e *SchemaError) Error() string {
	if e.Step == 0 {
		return fmt.Sprintf("%v: %s: the content has schema %d, this program knows those up to %d", ErrSchema, Name(e.Kind, e.ID), e.Have, e.Know)
	}
	return fmt.Sprintf("%v: %s: the step from schema %d to %d failed: %v", ErrSchema, Name(e.Kind, e.ID), e.Step, e.Step+1, e.Err)
}

// Is makes errors.Is(err, ErrSchema) true.
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }

// Unwrap gives what the step failed with.
func (e *SchemaError) Unwrap() error { return e.Err }

// Migration brings contents of a kind to the newest schema when they are claimed or loaded; the database gets them so with their owner's next change.
type Migration struct {
	// Version is the newest schema, counted from 1. 0: the kind has no migration.
	Version int
	// Steps lead from each version below Version to the next. They get the content without SchemaField, may change it, and are called by any goroutine.
	Steps map[int]func(bson.D) (bson.D, error)
}

// Check tells whether there is a step for each version.
func (m Migration) Check() error {
	for v := 1; v < m.Version; v++ {
		if m.Steps[v] == nil {
			return fmt.Errorf("%w: there is no step from %d to %d", ErrSchema, v, v+1)
		}
	}
	return nil
}

// Apply gives a content of the newest schema: body itself if it is of that already, or empty. The errors are a SchemaError, or an InvalidError for what the
// last step has made.
func (m Migration) Apply(kind, id string, body bson.Raw) (bson.Raw, error) {
	if m.Version == 0 || len(body) == 0 {
		return body, nil
	}
	have, reason := schemaOf(body)
	switch {
	case reason != "":
		return nil, &SchemaError{Kind: kind, ID: id, Have: 1, Know: m.Version, Step: 1, Err: errors.New(reason)}
	case have > m.Version:
		return nil, &SchemaError{Kind: kind, ID: id, Have: have, Know: m.Version}
	case have == m.Version:
		return body, nil
	}
	var d bson.D
	if err := bson.Unmarshal(body, &d); err != nil {
		return nil, &SchemaError{Kind: kind, ID: id, Have: have, Know: m.Version, Step: have, Err: err}
	}
	d = without(d, SchemaField)
	for v := have; v < m.Version; v++ {
		var err error
		if d, err = m.step(v, d); err != nil {
			return nil, &SchemaError{Kind: kind, ID: id, Have: have, Know: m.Version, Step: v, Err: err}
		}
	}
	raw, err := bson.Marshal(append(without(d, SchemaField), bson.E{Key: SchemaField, Value: int64(m.Version)}))
	if err != nil {
		return nil, &SchemaError{Kind: kind, ID: id, Have: have, Know: m.Version, Step: m.Version - 1, Err: err}
	}
	return raw, CheckBody(kind, id, raw)
}

func (m Migration) step(from int, d bson.D) (out bson.D, err error) {
	f := m.Steps[from]
	if f == nil {
		return nil, errors.New("there is no such step")
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f(d)
}

// stamp gives a content the newest schema's version, if it has none: an owner's struct need not know of it.
func (m Migration) stamp(body bson.Raw) bson.Raw {
	if m.Version < 2 || len(body) == 0 {
		return body
	}
	if _, there := find(body, SchemaField); there {
		return body
	}
	out := append(make(bson.Raw, 0, len(body)+len(SchemaField)+10), body[:len(body)-1]...)
	return closeDocument(bsoncore.AppendInt64Element(out, SchemaField, int64(m.Version)), 0)
}

// schemaOf is the version of a content's schema.
func schemaOf(body bson.Raw) (version int, reason string) {
	e, ok := find(body, SchemaField)
	if !ok {
		return 1, ""
	}
	n, ok := (bson.RawValue{Type: e.kind, Value: e.value}).AsInt64OK()
	if !ok || n < 0 || n > 1<<30 {
		return 0, "the field " + SchemaField + " is no version"
	}
	return max(1, int(n)), ""
}

func without(d bson.D, key string) bson.D {
	out := make(bson.D, 0, len(d)+1)
	for _, e := range d {
		if e.Key != key {
			out = append(out, e)
		}
	}
	return out
}
