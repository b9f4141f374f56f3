package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// The codes that a message begins with.
const (
	codeNamed byte = iota // its name follows
	codeNil
	codeFalse
	codeTrue
	codeInt
	codeInt64
	codeUint64
	codeFloat64
	codeString
	codeBytes
	codeDuration
	codeEmpty // struct{}{}
	codeRef
	codeList
	codeValue
)

// Coder writes messages for one other node and reads those of that node. It may be used by any goroutine.
type Coder struct {
	types     *Types
	own, peer *actor.Node
	find      func(name string, incarnation uint64) (*actor.Node, error)
	json      json.Options
}

// NewCoder is a Coder between own, the node of this System, and peer. find is for Refs of third nodes, as [actor.System.NodeOf].
func NewCoder(t *Types, own, peer *actor.Node, find func(name string, incarnation uint64) (*actor.Node, error)) *Coder {
	c := &Coder{types: t, own: own, peer: peer, find: find}
	c.json = c.jsonOptions()
	return c
}

// Append appends a message. On an error dst is returned as it was.
func (c *Coder) Append(dst []byte, msg any) ([]byte, error) {
	switch v := msg.(type) {
	case nil:
		return append(dst, codeNil), nil
	case bool:
		if v {
			return append(dst, codeTrue), nil
		}
		return append(dst, codeFalse), nil
	case int:
		return binary.AppendVarint(append(dst, codeInt), int64(v)), nil
	case int64:
		return binary.AppendVarint(append(dst, codeInt64), v), nil
	case uint64:
		return binary.AppendUvarint(append(dst, codeUint64), v), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(dst, codeFloat64), math.Float64bits(v)), nil
	case string:
		return append(append(dst, codeString), v...), nil
	case []byte:
		return append(append(dst, codeBytes), v...), nil
	case time.Duration:
		return binary.AppendVarint(append(dst, codeDuration), int64(v)), nil
	case struct{}:
		return append(dst, codeEmpty), nil
	case actor.Ref:
		return c.AppendRef(append(dst, codeRef), v), nil
	case value.List:
		return AppendList(append(dst, codeList), v)
	case value.Value:
		return AppendList(append(dst, codeValue), v.List())
	}
	return c.appendNamed(dst, msg)
}

func (c *Coder) appendNamed(dst []byte, msg any) ([]byte, error) {
	f := c.types.byType[reflect.TypeOf(msg)]
	if f == nil {
		return dst, fmt.Errorf("%w: %T", ErrType, msg)
	}
	out := AppendString(append(dst, codeNamed), f.name)
	err := guard(f.name, func() (err error) {
		out, err = f.encode(c, out, msg)
		return err
	})
	if err != nil {
		return dst, fmt.Errorf("wire: %s: %w", f.name, err)
	}
	return out, nil
}

// Parse reads what Append has written, all of data. It keeps nothing of it.
func (c *Coder) Parse(data []byte) (any, error) {
	r := c.Reader(data)
	msg, err := c.parse(r)
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, err
	}
	return msg, nil
}

func (c *Coder) parse(r *Reader) (any, error) {
	switch code := r.Byte(); code {
	case codeNamed:
		return c.parseNamed(r)
	case codeNil:
		return nil, nil
	case codeFalse, codeTrue:
		return code == codeTrue, nil
	case codeInt:
		return int(r.Varint()), nil
	case codeInt64:
		return r.Varint(), nil
	case codeUint64:
		return r.Uvarint(), nil
	case codeFloat64:
		return r.Float(), nil
	case codeString:
		return string(r.Rest()), nil
	case codeBytes:
		return append([]byte{}, r.Rest()...), nil
	case codeDuration:
		return time.Duration(r.Varint()), nil
	case codeEmpty:
		return struct{}{}, nil
	case codeRef:
		return r.Ref(), nil
	case codeList:
		return r.List(), nil
	case codeValue:
		return r.List().At(0), nil
	default:
		return nil, fmt.Errorf("%w: it begins with %d", ErrFormat, code)
	}
}

func (c *Coder) parseNamed(r *Reader) (msg any, err error) {
	name := r.name()
	f := c.types.byName[string(name)]
	if f == nil {
		return nil, fmt.Errorf("%w: %q", ErrType, name)
	}
	err = guard(f.name, func() error {
		msg, err = f.decode(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, f.name, err)
	}
	return msg, nil
}

// How a Ref begins.
const (
	refNobody byte = iota
	refSender
	refReceiver
	refThird
)

// AppendRef appends a Ref for the other node.
func (c *Coder) AppendRef(dst []byte, ref actor.Ref) []byte {
	switch home := ref.Home(); home {
	case nil:
		return append(dst, refNobody)
	case c.own:
		dst = append(dst, refSender)
	case c.peer:
		dst = append(dst, refReceiver)
	default:
		dst = AppendString(append(dst, refThird), home.Name())
		dst = binary.AppendUvarint(dst, home.Incarnation())
	}
	return binary.AppendUvarint(dst, ref.ID())
}

// AppendString appends a string with its length, as Reader.String reads it.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
