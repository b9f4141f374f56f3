package codec

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor/value"
)

// Kind is what a body belongs to. The types of protobuf are chosen by it.
type Kind uint8

// The kinds. A notify's body is one of a request.
const (
	Request Kind = iota
	Response
	Push
)

// String names the kind for errors.
func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Response:
		return "response"
	case Push:
		return "push"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Format is how the bodies of messages become values and back. Formats keep nothing of a message; all methods may be called from any goroutine.
type Format interface {
	// Name is what the handshake calls it: "json", "msgpack", "protobuf", "raw".
	Name() string
	// Append appends v as the body of a message of that route. On an error dst is returned as it was.
	Append(dst []byte, route string, kind Kind, v value.Value) ([]byte, error)
	// ParseTo adds the value of a body to b, exactly one. No bytes are nil as JSON and MessagePack, an empty string with Raw, and a message without
	// fields as protobuf. After an error b is to be reset. The bytes are not kept.
	ParseTo(b *value.Builder, route string, kind Kind, data []byte) error
	// AppendError appends the body of an error.
	AppendError(dst []byte, e Error) []byte
}

// Parse reads a body as a value.
func Parse(f Format, route string, kind Kind, data []byte) (value.Value, error) {
	var b value.Builder
	if err := f.ParseTo(&b, route, kind, data); err != nil {
		return value.Value{}, err
	}
	return b.List().At(0), nil
}

// Error is what the body of an error says. As JSON and as protobuf it is what Pitaya's clients read: protos/error.proto there.
type Error struct {
	Code     string            `json:"code"` // for programs
	Msg      string            `json:"msg"`  // for people
	Metadata map[string]string `json:"metadata,omitempty"`
}

// AppendJSON appends the error as JSON.
func (e Error) AppendJSON(dst []byte) []byte {
	data, err := json.Marshal(e)
	if err != nil { // strings always marshal
		panic(fmt.Sprintf("codec: marshal %#v: %v", e, err))
	}
	return append(dst, data...)
}

// JSON is the format of ParseJSON and AppendJSON.
type JSON struct{}

// Name is "json".
func (JSON) Name() string { return "json" }

// Append is AppendJSON.
func (JSON) Append(dst []byte, _ string, _ Kind, v value.Value) ([]byte, error) {
	return AppendJSON(dst, v)
}

// ParseTo reads one JSON value, see ParseJSON.
func (JSON) ParseTo(b *value.Builder, _ string, _ Kind, data []byte) error {
	return ParseJSONTo(b, data)
}

// AppendError appends {"code": ..., "msg": ...}.
func (JSON) AppendError(dst []byte, e Error) []byte { return e.AppendJSON(dst) }

// ErrRaw is wrapped by the errors of Raw.
var ErrRaw = errors.New("codec: raw")

// Raw takes bodies for strings.
type Raw struct{}

// Name is "raw".
func (Raw) Name() string { return "raw" }

// Append appends a string as it is, and nothing for nil; there is no form for anything else.
func (Raw) Append(dst []byte, route string, kind Kind, v value.Value) ([]byte, error) {
	if v.IsNil() {
		return dst, nil
	}
	s, ok := v.Str()
	if !ok {
		return dst, fmt.Errorf("%w: the %s of %q is a %s, expected a string or nil", ErrRaw, kind, route, v.Kind())
	}
	return append(dst, s...), nil
}

// ParseTo adds the body as a string; an empty one is an empty string.
func (Raw) ParseTo(b *value.Builder, _ string, _ Kind, data []byte) error {
	b.String(string(data))
	return nil
}

// AppendError appends JSON.
func (Raw) AppendError(dst []byte, e Error) []byte { return e.AppendJSON(dst) }
