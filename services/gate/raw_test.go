package gate_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// raw is a client that may do everything wrong.
type raw struct {
	net.Conn
	t   *testing.T
	buf []byte
}

func (n *node) raw() *raw {
	n.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.urls["tcp"], "tcp://"))
	must(n.t, err)
	n.t.Cleanup(func() { _ = conn.Close() })
	return &raw{Conn: conn, t: n.t}
}

// shaken is a raw client behind its handshake.
func (n *node) shaken() *raw {
	n.t.Helper()
	r := n.raw()
	r.send(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil))
	if p := r.next(); p.Type != packet.Handshake {
		n.t.Fatalf("got a %s, want the handshake", p.Type)
	}
	if p := r.next(); p.Type != packet.Heartbeat {
		n.t.Fatalf("got a %s, want the first heartbeat", p.Type)
	}
	return r
}

func pack(typ packet.Type, body []byte) []byte {
	out, err := packet.AppendPacket(nil, typ, body)
	if err != nil {
		panic(err)
	}
	return out
}

func message(m packet.Message) []byte {
	out, err := packet.AppendData(nil, m, nil)
	if err != nil {
		panic(err)
	}
	return out
}

func ask(id uint64, route, body string) []byte {
	return message(packet.Message{Type: packet.Request, ID: id, Route: route, Body: []byte(body)})
}

// send writes; what the server has closed already shows in what is read.
func (r *raw) send(parts ...[]byte) {
	for _, p := range parts {
		_, _ = r.Write(p)
	}
}

// read gives the next package, or how the connection ended.
func (r *raw) read() (packet.Packet, error) {
	split := packet.Split(0)
	chunk := make([]byte, 4096)
	_ = r.SetReadDeadline(time.Now().Add(patience))
	for {
		advance, frame, err := split(r.buf)
		if err != nil {
			return packet.Packet{}, err
		}
		if frame != nil {
			r.buf = r.buf[advance:]
			return packet.Decode(frame)
		}
		n, err := r.Read(chunk)
		r.buf = append(r.buf, chunk[:n]...)
		if n == 0 && err != nil {
			return packet.Packet{}, err
		}
	}
}

func (r *raw) next() packet.Packet {
	r.t.Helper()
	p, err := r.read()
	must(r.t, err)
	return p
}

// answer gives the next message, heartbeats aside.
func (r *raw) answer() packet.Message {
	r.t.Helper()
	for {
		p := r.next()
		if p.Type == packet.Heartbeat {
			continue
		}
		if p.Type != packet.Data {
			r.t.Fatalf("got a %s %q, want data", p.Type, p.Body)
		}
		m, err := packet.DecodeMessage(p.Body, nil, 0)
		must(r.t, err)
		return m
	}
}

// kicked reads to the end, which must be a kick, and gives its code and message.
func (r *raw) kicked() packet.Reason {
	r.t.Helper()
	var last packet.Packet
	for {
		p, err := r.read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.t.Errorf("read: %v", err)
			}
			break
		}
		last = p
	}
	if last.Type != packet.Kick {
		r.t.Fatalf("the connection ended behind a %s %q, want a kick", last.Type, last.Body)
	}
	_ = r.Close()
	return packet.DecodeReason(last.Body)
}
