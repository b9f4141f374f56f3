// Package packet speaks the Pomelo wire protocol: packages around messages.
//
// A package is a type byte, a 3-byte big-endian body length and the body. The body of a data package is a message: a flag byte, an id (requests
// and responses), a route (requests, notifies and pushes) and the payload. Pitaya, Nano, Cherry and their clients speak it, and so do we, byte
// for byte; docs/protocol.md has worked examples.
//
// Sources: NetEase/pomelo-protocol lib/protocol.js and the Pomelo wiki's "Communication protocol" (packages, messages), topfreegames/pitaya
// conn/message/message_encoder.go (the gzip and error bits), lonng/nano internal/codec/codec.go. Where they trust their input, this package does not.
//
// Nothing here keeps state or starts goroutines: every function may be called from any goroutine.
package packet

import (
	"errors"
	"fmt"
)

// HeaderSize is the length of a package's header in bytes: type and length.
const HeaderSize = 4

// MaxBody is the longest body that a package can carry: its length has 3 bytes.
const MaxBody = 1<<24 - 1

// Type is what a package is for.
type Type byte

// The package types.
const (
	Handshake    Type = 1 // client: who I am; server: accepted or not, heartbeat interval, route dictionary
	HandshakeAck Type = 2 // client: I have read the handshake, send me data
	Heartbeat    Type = 3 // both: I am here
	Data         Type = 4 // both: a message
	Kick         Type = 5 // server: why you are being closed; client: I am leaving (an extension, for transports without an end of stream)
	Ack          Type = 6 // both (an extension): I have received your data packages up to this number, see DecodeAck
	Media        Type = 7 // both (an extension): live media, see MediaPieces
)

// types says in errors what Type may be.
const types = "expected 0x01 to 0x07"

// String names the type for logs and errors.
func (t Type) String() string {
	switch t {
	case Handshake:
		return "handshake"
	case HandshakeAck:
		return "handshake ack"
	case Heartbeat:
		return "heartbeat"
	case Data:
		return "data"
	case Kick:
		return "kick"
	case Ack:
		return "ack"
	case Media:
		return "media"
	}
	return fmt.Sprintf("unknown package type 0x%02x", byte(t))
}

func (t Type) valid() bool { return t >= Handshake && t <= Media }

// Errors of packages and messages. They come wrapped with what was found and what was expected.
var (
	ErrType        = errors.New("packet: unknown package type")
	ErrTooLong     = errors.New("packet: body too long")
	ErrTruncated   = errors.New("packet: truncated")
	ErrTrailing    = errors.New("packet: bytes after the package")
	ErrEmpty       = errors.New("packet: empty message")
	ErrFlag        = errors.New("packet: unknown message flag")
	ErrMessageType = errors.New("packet: unknown message type")
	ErrVarint      = errors.New("packet: message id overflows 64 bits")
	ErrRoute       = errors.New("packet: bad route")
	ErrRouteCode   = errors.New("packet: route code not in the dictionary")
	ErrDictionary  = errors.New("packet: bad route dictionary")
	ErrInflate     = errors.New("packet: body is neither gzip nor zlib")
	ErrInflated    = errors.New("packet: inflated body too long")
	ErrDirection   = errors.New("packet: wrong direction")
	ErrHandshake   = errors.New("packet: bad handshake")
	ErrAck         = errors.New("packet: bad ack")
	ErrLine        = errors.New("packet: not one line")
	ErrCodec       = errors.New("packet: unknown codec")
)

// Side is an end of a connection.
type Side byte

// The two ends.
const (
	Client Side = 1
	Server Side = 2
)

// String names the side for errors.
func (s Side) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// SentBy returns ErrDirection when a package of type t never comes from that side.
func (t Type) SentBy(s Side) error {
	if t == HandshakeAck && s == Server {
		return fmt.Errorf("%w: a %s sent a %s package, which only clients send", ErrDirection, s, t)
	}
	return nil
}

// Packet is one package. Body aliases the bytes it was decoded from.
type Packet struct {
	Type Type
	Body []byte
}

// Split returns a function that cuts a byte stream into whole packages, header included, for bodies of at most maxBody bytes (0: MaxBody).
//
// The function gets the unread bytes and returns how many it consumed and the frame, which aliases data; 0, nil, nil asks for more bytes. It
// fails as early as the bytes allow: with ErrType on the first byte, with ErrTooLong and ErrAck on the fourth, so nobody buffers what will not be accepted.
//
// Ack packages are cut on every connection, also where nobody has agreed on resume: one function serves all connections of a listener and knows none
// of them. Whoever has made no such agreement refuses them with ErrAck.
func Split(maxBody int) func(data []byte) (advance int, frame []byte, err error) {
	if maxBody <= 0 || maxBody > MaxBody {
		maxBody = MaxBody
	}
	return func(data []byte) (int, []byte, error) {
		if len(data) == 0 {
			return 0, nil, nil
		}
		if t := Type(data[0]); !t.valid() {
			return 0, nil, fmt.Errorf("%w: found 0x%02x, %s", ErrType, data[0], types)
		}
		if len(data) < HeaderSize {
			return 0, nil, nil
		}
		n := bodyLen(data)
		if Type(data[0]) == Ack && (n == 0 || n > maxAck) {
			return 0, nil, fmt.Errorf("%w: the package announces %d bytes, expected 1 to %d", ErrAck, n, maxAck)
		}
		if n > maxBody {
			return 0, nil, fmt.Errorf("%w: %s package announces %d bytes, at most %d are accepted", ErrTooLong, Type(data[0]), n, maxBody)
		}
		if len(data) < HeaderSize+n {
			return 0, nil, nil
		}
		return HeaderSize + n, data[: HeaderSize+n : HeaderSize+n], nil
	}
}

func bodyLen(header []byte) int {
	return int(header[1])<<16 | int(header[2])<<8 | int(header[3])
}

// Decode reads one whole package, as Split cuts it. The body aliases frame.
func Decode(frame []byte) (Packet, error) {
	if len(frame) < HeaderSize {
		return Packet{}, fmt.Errorf("%w: package of %d bytes, a header has %d", ErrTruncated, len(frame), HeaderSize)
	}
	t := Type(frame[0])
	if !t.valid() {
		return Packet{}, fmt.Errorf("%w: found 0x%02x, %s", ErrType, frame[0], types)
	}
	n := bodyLen(frame)
	switch body := frame[HeaderSize:]; {
	case len(body) < n:
		return Packet{}, fmt.Errorf("%w: %s package announces %d bytes of body, found %d", ErrTruncated, t, n, len(body))
	case len(body) > n:
		return Packet{}, fmt.Errorf("%w: %s package announces %d bytes of body, found %d", ErrTrailing, t, n, len(body))
	default:
		return Packet{Type: t, Body: body[:n:n]}, nil
	}
}

// AppendPacket appends a package to dst. It fails with ErrType or ErrTooLong and then returns dst as it was.
// It allocates only when dst has no room.
func AppendPacket(dst []byte, t Type, body []byte) ([]byte, error) {
	if !t.valid() {
		return dst, fmt.Errorf("%w: 0x%02x, %s", ErrType, byte(t), types)
	}
	if len(body) > MaxBody {
		return dst, fmt.Errorf("%w: %d bytes, a package carries at most %d", ErrTooLong, len(body), MaxBody)
	}
	n := len(body)
	dst = append(dst, byte(t), byte(n>>16), byte(n>>8), byte(n))
	return append(dst, body...), nil
}

// AppendHeartbeat appends a heartbeat package to dst.
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, byte(Heartbeat), 0, 0, 0)
}
