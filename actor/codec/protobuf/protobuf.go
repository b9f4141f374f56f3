// Package protobuf codes the bodies of clients' messages by .proto files that are compiled at run time. Values go between the bytes and a message's values
// without a message in between, and integers keep all 64 bits.
package protobuf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/protofile"
)

// Err is wrapped by the errors of bodies.
var Err = errors.New("codec: protobuf")

// ErrConfig is wrapped by the errors of New.
var ErrConfig = errors.New("codec: protobuf: configuration")

// Types are the messages of a route, by their full names, with or without a dot in front. Where there is none, there is no body.
type Types struct {
	Request  string // of requests and notifies
	Response string
	Push     string
}

// Config tells New which types there are.
type Config struct {
	// Files is where the .proto files are, and those that they import. The well-known types of Google are there always.
	Files fs.FS
	// Names are the files to compile.
	Names []string
	// Routes are the types of routes.
	Routes map[string]Types
}

// Format is the codec.Format. Fields go by their names. A message is a table, as are lists and maps; an enum is the name of a value, or its number if it
// has no name; bytes are strings. 64-bit unsigned integers beyond int64 have the same bits as negative ones. Fields of proto3 that are not set have
// their defaults, as have lists and maps, but messages and optional fields, which are nil.
//
// To write, integers may also be given as strings of digits and floats without a fraction; fields that a message does not have are passed over.
type Format struct{ routes map[string]route }

// route is Types, found.
type route [codec.Push + 1]*protofile.Message

// New compiles the files. It fails with ErrConfig when a file does not compile, with line and column, and when a route's type is in none of them.
func New(cfg Config) (*Format, error) {
	lib := protofile.NewLibrary(cfg.Files)
	types := protofile.NewTypes()
	loaded := map[string]protoreflect.FileDescriptor{}
	for _, name := range cfg.Names {
		text, err := lib.Read(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if err := protofile.Check(name, text); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		c, err := lib.Compile(sha256.Sum256([]byte(name)), loaded, name, text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		loaded[name] = c.File
		types.Merge(c.Types)
	}
	f := &Format{routes: make(map[string]route, len(cfg.Routes))}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		var r route
		t := cfg.Routes[name]
		for kind, typ := range []string{codec.Request: t.Request, codec.Response: t.Response, codec.Push: t.Push} {
			m, ok := types.Messages[strings.TrimPrefix(typ, ".")]
			if !ok && typ != "" {
				return nil, fmt.Errorf("%w: the %s of route %q is a %q, which no file has", ErrConfig, codec.Kind(kind), name, typ)
			}
			r[kind] = m
		}
		f.routes[name] = r
	}
	return f, nil
}

// Name is "protobuf", Pitaya's word.
func (*Format) Name() string { return "protobuf" }

func (f *Format) typeOf(route string, kind codec.Kind) *protofile.Message {
	if kind > codec.Push {
		return nil
	}
	return f.routes[route][kind]
}

// Append appends a table as the route's message of that kind. Nil is a message without fields, and all that a route without a message can be given.
func (f *Format) Append(dst []byte, route string, kind codec.Kind, v value.Value) ([]byte, error) {
	m := f.typeOf(route, kind)
	switch {
	case v.IsNil():
		return dst, nil
	case m == nil:
		return dst, fmt.Errorf("%w: route %q has no message for a %s", Err, route, kind)
	}
	e := encoder{out: dst}
	if err := e.message(m, v); err != nil {
		return dst, fmt.Errorf("%w: %s%w", Err, m.Name, err)
	}
	return e.out, nil
}

// ParseTo reads the route's message of that kind. Bytes that are none, strings that are not UTF-8 where proto3 asks for it, nesting beyond
// value.MaxDepth and more than MaxValues values are errors that name the field. A route without a message takes no bytes, as nil.
func (f *Format) ParseTo(b *value.Builder, route string, kind codec.Kind, data []byte) error {
	m := f.typeOf(route, kind)
	switch {
	case m == nil && len(data) == 0:
		b.Nil()
		return nil
	case m == nil:
		return fmt.Errorf("%w: route %q has no message for a %s, found %d bytes", Err, route, kind, len(data))
	}
	d := decoders.Get().(*decoder) //nolint:forcetypeassert // what the pool makes
	d.b, d.left = b, MaxValues
	err := d.message(m, data)
	d.release()
	if err != nil {
		return fmt.Errorf("%w: %s%w", Err, m.Name, err)
	}
	return nil
}

// AppendError appends what Pitaya's clients read where the serializer is protobuf: protos.Error of its protos/error.proto.
//
//	message Error { string code = 1; string msg = 2; map<string, string> metadata = 3; }
func (*Format) AppendError(dst []byte, e codec.Error) []byte {
	text := func(dst []byte, num protowire.Number, s string) []byte {
		if s == "" {
			return dst
		}
		return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), strings.ToValidUTF8(s, "\uFFFD"))
	}
	dst = text(text(dst, 1, e.Code), 2, e.Msg)
	for _, k := range slices.Sorted(maps.Keys(e.Metadata)) {
		entry := text(text(nil, 1, k), 2, e.Metadata[k])
		dst = protowire.AppendBytes(protowire.AppendTag(dst, 3, protowire.BytesType), entry)
	}
	return dst
}
