package acceptance_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// The wire as docs/protocol.md has it, written from that page and not with package net/packet: what the two understand differently shows here.

const (
	typeHandshake = 1 + iota
	typeHandshakeAck
	typeHeartbeat
	typeData
	typeKick
	typeAck
)

const (
	messageRequest = iota
	messageNotify
	messageResponse
	messagePush
)

const (
	flagCode  = 0x01
	flagGzip  = 0x10
	flagError = 0x20
)

func pack(typ byte, body []byte) []byte {
	n := len(body)
	return append([]byte{typ, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// unpack reads one package.
func unpack(r *bufio.Reader) (typ byte, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, int(head[1])<<16|int(head[2])<<8|int(head[3]))
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

// varint is a number in groups of 7 bits, least significant first.
func varint(b []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// ask is a data package with a request, or a notify when id is 0.
func ask(id uint64, route string, body []byte) []byte {
	m := []byte{messageNotify << 1}
	if id > 0 {
		m = varint([]byte{messageRequest << 1}, id)
	}
	m = append(append(m, byte(len(route))), route...)
	return pack(typeData, append(m, body...))
}

// askCoded is ask with a route of the dictionary.
func askCoded(id uint64, code uint16, body []byte) []byte {
	m := varint([]byte{messageRequest<<1 | flagCode}, id)
	return pack(typeData, append(binary.BigEndian.AppendUint16(m, code), body...))
}

// message is what a client gets in a data package.
type message struct {
	kind  byte
	error bool
	id    uint64
	route string // of pushes
	body  []byte
}

func parse(b []byte) (m message, err error) {
	if len(b) == 0 {
		return m, fmt.Errorf("an empty message")
	}
	flag := b[0]
	b = b[1:]
	m.kind, m.error = flag>>1&7, flag&flagError != 0
	switch {
	case flag&0xc0 != 0, flag&flagGzip != 0:
		return m, fmt.Errorf("flag %#x, which was not asked for", flag)
	case m.kind == messageResponse:
		n, used := binary.Uvarint(b)
		if used <= 0 {
			return m, fmt.Errorf("no id in % x", b)
		}
		m.id, m.body = n, b[used:]
	case m.kind == messagePush && flag&flagCode != 0:
		if len(b) < 2 {
			return m, fmt.Errorf("half a route code")
		}
		m.route, m.body = fmt.Sprint(binary.BigEndian.Uint16(b)), b[2:]
	case m.kind == messagePush:
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return m, fmt.Errorf("half a route")
		}
		m.route, m.body = string(b[1:1+b[0]]), b[1+b[0]:]
	default:
		return m, fmt.Errorf("a message of type %d from a server", m.kind)
	}
	return m, nil
}

// reason is the body of kicks and errors.
type reason struct {
	Code string `json:"code"`
	Msg  string `json:"msg"`
}

// welcome is the server's handshake.
type welcome struct {
	Code int `json:"code"`
	Sys  struct {
		Heartbeat  float64           `json:"heartbeat"`
		Dict       map[string]uint16 `json:"dict"`
		Serializer string            `json:"serializer"`
		Resume     *struct {
			Token    string  `json:"token"`
			Window   int     `json:"window"`
			Received uint64  `json:"received"`
			Resumed  bool    `json:"resumed"`
			Refused  *reason `json:"refused"`
			Ring     struct {
				Packages int `json:"packages"`
				Bytes    int `json:"bytes"`
			} `json:"ring"`
		} `json:"resume"`
	} `json:"sys"`
}

// kicked is a connection that the server has ended with a reason.
type kicked struct{ reason }

func (k *kicked) Error() string { return "kicked: " + k.Code + ": " + k.Msg }

// greet shakes hands, but for the ack; resume is the value of sys.resume, nil for none.
func greet(w io.Writer, r *bufio.Reader, resume any) (welcome, error) {
	var hello welcome
	sys := map[string]any{"type": "acceptance", "version": "1"}
	if resume != nil {
		sys["resume"] = resume
	}
	body, err := json.Marshal(map[string]any{"sys": sys})
	if err != nil {
		return hello, err
	}
	if _, err := w.Write(pack(typeHandshake, body)); err != nil {
		return hello, err
	}
	typ, body, err := unpack(r)
	if err != nil {
		return hello, err
	}
	switch typ {
	case typeHandshake:
	case typeKick:
		k := &kicked{}
		_ = json.Unmarshal(body, &k.reason)
		return hello, k
	default:
		return hello, fmt.Errorf("a package of type %d for a handshake", typ)
	}
	if err := json.Unmarshal(body, &hello); err != nil {
		return hello, err
	}
	if hello.Code != 200 {
		return hello, fmt.Errorf("handshake answered with %d", hello.Code)
	}
	return hello, nil
}
