package lua

import (
	"encoding/binary"

	"github.com/skua-go/skua/actor/wire"
)

// Flags of a Message on the wire.
const (
	wireRaw byte = 1 << iota
	wireEnvelope
)

// WireTypes adds the messages and errors of scripts to those that go to other nodes.
func WireTypes(t *wire.Types) {
	wire.Add(t, "lua.Message", appendMessage, readMessage)
	wire.Add(t, "lua.Bytes", func(_ *wire.Coder, dst []byte, b Bytes) ([]byte, error) { return append(dst, b...), nil },
		func(r *wire.Reader) (Bytes, error) { return Bytes(r.Rest()), nil })
	wire.Register[Ready](t, "lua.Ready")
	wire.Register[Launch](t, "lua.Launch")
	wire.AddError(t, "lua.Error", appendScriptError, readScriptError)
	wire.Register[*NoHandlerError](t, "lua.NoHandlerError")
}

func appendMessage(c *wire.Coder, dst []byte, m Message) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(m.Type))
	var flags byte
	if m.Raw {
		flags |= wireRaw
	}
	if m.Envelope == nil {
		return wire.AppendList(append(dst, flags), m.Args)
	}
	dst = c.AppendRef(append(dst, flags|wireEnvelope), m.Envelope.From)
	dst = binary.AppendVarint(dst, m.Envelope.Session)
	return wire.AppendList(wire.AppendString(dst, m.Envelope.Trace), m.Args)
}

func readMessage(r *wire.Reader) (Message, error) {
	m := Message{Type: Type(r.Uvarint())}
	flags := r.Byte()
	m.Raw = flags&wireRaw != 0
	if flags&wireEnvelope != 0 {
		m.Envelope = &Envelope{From: r.Ref(), Session: r.Varint(), Trace: r.String()}
	}
	m.Args = r.List()
	return m, r.Err()
}

// maxWireTraceback is how much of a traceback goes to another node.
const maxWireTraceback = 32 << 10

func appendScriptError(_ *wire.Coder, dst []byte, e *Error) ([]byte, error) {
	dst = wire.AppendString(dst, e.Script)
	dst = wire.AppendString(dst, e.Message[:min(len(e.Message), maxWireTraceback)])
	dst = wire.AppendString(dst, e.Traceback[:min(len(e.Traceback), maxWireTraceback)])
	return wire.AppendList(wire.AppendString(dst, e.Code), e.Value)
}

func readScriptError(r *wire.Reader) (*Error, error) {
	e := &Error{Script: r.String(), Message: r.String(), Traceback: r.String(), Code: r.String(), Value: r.List()}
	return e, r.Err()
}
