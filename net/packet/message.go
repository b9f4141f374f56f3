package packet

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// MessageType is what a message is for.
type MessageType byte

// The message types.
const (
	Request  MessageType = 0 // client: a call, answered by a Response with its id
	Notify   MessageType = 1 // client: a message that is not answered
	Response MessageType = 2 // server: the answer to the request with its id
	Push     MessageType = 3 // server: a message of its own accord
)

// String names the type for logs and errors.
func (t MessageType) String() string {
	switch t {
	case Request:
		return "request"
	case Notify:
		return "notify"
	case Response:
		return "response"
	case Push:
		return "push"
	}
	return fmt.Sprintf("unknown message type %d", byte(t))
}

// SentBy returns ErrDirection when messages of type t never come from that side: clients request and notify, servers answer and push.
func (t MessageType) SentBy(s Side) error {
	fromClient := t == Request || t == Notify
	if fromClient == (s == Client) {
		return nil
	}
	if s == Client {
		return fmt.Errorf("%w: a client sent a %s, clients send requests and notifies", ErrDirection, t)
	}
	return fmt.Errorf("%w: a server sent a %s, servers send responses and pushes", ErrDirection, t)
}

func (t MessageType) hasID() bool    { return t == Request || t == Response }
func (t MessageType) hasRoute() bool { return t != Response }

// The flag byte, from its highest bit: two of 0, error, gzip, three of the type, compressed route.
const (
	flagRoute   = 0x01
	flagType    = 0x0e
	flagGzip    = 0x10
	flagError   = 0x20
	flagUnknown = 0xc0
)

// maxIDBytes holds 64 bits in groups of 7.
const maxIDBytes = 10

// Message is the body of a data package.
type Message struct {
	Type  MessageType
	ID    uint64 // of requests and responses; Pomelo's own clients stay below 2^31
	Route string // of requests, notifies and pushes
	Body  []byte // never compressed here: inflated by DecodeMessage, deflated by AppendMessage
	Error bool   // of responses: Body is a Reason, not an answer
	// Gzip says after decoding that the body came compressed, as zlib or gzip. Before encoding it asks for compression, as zlib, which is done when it
	// makes the body shorter.
	Gzip bool
}

// DecodeMessage reads the body of a data package. A compressed body, gzip or zlib, is inflated to at most maxInflated bytes (0: MaxBody).
//
// Body aliases the argument unless it was compressed. Route allocates unless the dictionary has it. routes may be nil. Direction is not
// checked here, see MessageType.SentBy.
func DecodeMessage(body []byte, routes *Routes, maxInflated int) (Message, error) {
	return decodeMessage(body, routes, nil, maxInflated)
}

func decodeMessage(body []byte, routes *Routes, learned *learned, maxInflated int) (Message, error) {
	if len(body) == 0 {
		return Message{}, fmt.Errorf("%w: expected at least a flag byte", ErrEmpty)
	}
	flag := body[0]
	if flag&flagUnknown != 0 {
		return Message{}, fmt.Errorf("%w: flag byte 0x%02x has bits 0x%02x set, which mean nothing", ErrFlag, flag, flag&flagUnknown)
	}
	m := Message{Type: MessageType(flag & flagType >> 1), Error: flag&flagError != 0, Gzip: flag&flagGzip != 0}
	if m.Type > Push {
		return Message{}, fmt.Errorf("%w: found %d in flag byte 0x%02x, expected 0 to 3", ErrMessageType, m.Type, flag)
	}
	rest := body[1:]
	var err error
	if m.Type.hasID() {
		if m.ID, rest, err = decodeID(m.Type, rest); err != nil {
			return Message{}, err
		}
	}
	if m.Type.hasRoute() {
		if m.Route, rest, err = decodeRoute(m.Type, rest, flag&flagRoute != 0, routes, learned); err != nil {
			return Message{}, err
		}
	}
	m.Body = rest[:len(rest):len(rest)]
	if m.Gzip {
		if m.Body, err = inflate(m.Body, maxInflated); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

func decodeID(t MessageType, data []byte) (id uint64, rest []byte, err error) {
	for i, b := range data {
		if i == maxIDBytes || i == maxIDBytes-1 && b > 1 {
			return 0, nil, fmt.Errorf("%w: %s with id bytes % x", ErrVarint, t, data[:i+1])
		}
		id |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return id, data[i+1:], nil
		}
	}
	return 0, nil, fmt.Errorf("%w: the id of a %s ends after %d bytes, expected a byte below 0x80", ErrTruncated, t, len(data))
}

func decodeRoute(t MessageType, data []byte, compressed bool, routes *Routes, learned *learned) (route string, rest []byte, err error) {
	if compressed {
		if len(data) < 2 {
			return "", nil, fmt.Errorf("%w: the route code of a %s has %d bytes, expected 2", ErrTruncated, t, len(data))
		}
		code := binary.BigEndian.Uint16(data)
		route, ok := routes.Route(code)
		if !ok {
			return "", nil, fmt.Errorf("%w: %s with code %d, the dictionary has %d routes", ErrRouteCode, t, code, routes.Len())
		}
		return route, data[2:], nil
	}
	if len(data) == 0 {
		return "", nil, fmt.Errorf("%w: a %s ends before the length of its route", ErrTruncated, t)
	}
	n := int(data[0])
	if len(data) < 1+n {
		return "", nil, fmt.Errorf("%w: a %s announces a route of %d bytes, found %d", ErrTruncated, t, n, len(data)-1)
	}
	raw := data[1 : 1+n]
	route, ok := routes.name(raw)
	if !ok {
		route, ok = learned.find(raw)
	}
	if !ok {
		if !utf8.Valid(raw) {
			return "", nil, fmt.Errorf("%w: the route of a %s is not UTF-8: %.64q", ErrRoute, t, raw)
		}
		route = string(raw)
	}
	return route, data[1+n:], nil
}

// AppendMessage appends the encoded message to dst; a route that the dictionary has goes as its code. routes may be nil.
// On an error (ErrMessageType, ErrRoute) dst is returned as it was. It allocates only when dst has no room or Gzip is set.
func AppendMessage(dst []byte, m Message, routes *Routes) ([]byte, error) {
	if m.Type > Push {
		return dst, fmt.Errorf("%w: %d, expected 0 to 3", ErrMessageType, m.Type)
	}
	flag := byte(m.Type) << 1
	if m.Error {
		flag |= flagError
	}
	var code uint16
	if m.Type.hasRoute() {
		var known bool
		if code, known = routes.Code(m.Route); known {
			flag |= flagRoute
		} else if len(m.Route) > MaxRoute {
			return dst, fmt.Errorf("%w: %.32q... has %d bytes, at most %d fit", ErrRoute, m.Route, len(m.Route), MaxRoute)
		} else if !utf8.ValidString(m.Route) {
			return dst, fmt.Errorf("%w: %.64q is not UTF-8", ErrRoute, m.Route)
		}
	}
	at := len(dst)
	dst = append(dst, flag)
	if m.Type.hasID() {
		dst = binary.AppendUvarint(dst, m.ID) // the same encoding: 7 bits a byte, least significant first
	}
	if m.Type.hasRoute() {
		if flag&flagRoute != 0 {
			dst = binary.BigEndian.AppendUint16(dst, code)
		} else {
			dst = append(dst, byte(len(m.Route)))
			dst = append(dst, m.Route...)
		}
	}
	if m.Gzip {
		if out, ok := appendDeflated(dst, m.Body); ok {
			out[at] |= flagGzip
			return out, nil
		}
	}
	return append(dst, m.Body...), nil
}

// AppendData appends a data package with the message in it, without a copy between the two. Errors are those of AppendMessage and
// ErrTooLong; on one dst is returned as it was.
func AppendData(dst []byte, m Message, routes *Routes) ([]byte, error) {
	at := len(dst)
	dst = append(dst, byte(Data), 0, 0, 0)
	dst, err := AppendMessage(dst, m, routes)
	if err != nil {
		return dst[:at], err
	}
	n := len(dst) - at - HeaderSize
	if n > MaxBody {
		return dst[:at], fmt.Errorf("%w: %s of %d bytes, a package carries at most %d", ErrTooLong, m.Type, n, MaxBody)
	}
	dst[at+1], dst[at+2], dst[at+3] = byte(n>>16), byte(n>>8), byte(n)
	return dst, nil
}
