package client_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// bare connects without a handshake.
func (s *server) bare() io.ReadWriter {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	kind, addr, _ := strings.Cut(s.url, "://")
	var c net.Conn
	var err error
	switch kind {
	case "tcp":
		c, err = net.Dial("tcp", addr)
	case "kcp":
		c, err = kcp.Dial(ctx, addr, kcp.Config{})
	case "ws":
		var w *websocket.Conn
		if w, _, err = websocket.Dial(ctx, s.url, nil); err == nil {
			s.t.Cleanup(func() { _ = w.CloseNow() })
			c = websocket.NetConn(ctx, w, websocket.MessageBinary)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// readType reads until a package of that type.
func readType(t *testing.T, r io.Reader, typ packet.Type) packet.Packet {
	t.Helper()
	split := packet.Split(0)
	var buf []byte
	chunk := make([]byte, 1000)
	for {
		n, frame, err := split(buf)
		if err != nil {
			t.Fatal(err)
		}
		if frame != nil {
			p, err := packet.Decode(frame)
			if err != nil {
				t.Fatal(err)
			}
			if p.Type == typ {
				return p
			}
			buf = buf[n:]
			continue
		}
		n, err = r.Read(chunk)
		if err != nil {
			t.Fatalf("expected a %s package: %v", typ, err)
		}
		buf = append(buf, chunk[:n]...)
	}
}

func TestHostileBytesGetAKickOnEveryTransportAndOthersPlayOn(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, func(_ *server, cfg *transport.Config) { cfg.HandshakeTimeout = 4 * time.Second })
		good := s.dial(client.Options{})
		cases := map[string]struct {
			bytes string
			code  string
		}{
			"garbage":      {"GET / HTTP/1.1\r\n\r\n", "frame"},
			"oversize":     {"\x04\xff\xff\xff", "frame"},
			"half packet":  {"\x01\x00\x00\x40{", "handshake"},
			"nothing more": {"\x03\x00\x00\x00", "handshake"},
		}
		bad := map[string]io.ReadWriter{}
		for name, c := range cases {
			bad[name] = s.bare()
			if _, err := bad[name].Write([]byte(c.bytes)); err != nil {
				t.Fatal(err)
			}
		}
		for name, c := range cases {
			if r := packet.DecodeReason(readType(t, bad[name], packet.Kick).Body); r.Code != c.code {
				t.Errorf("%s: kicked with %+v, expected %s", name, r, c.code)
			}
			if err := good.Request(t.Context(), "x", nil, nil); err != nil {
				t.Errorf("%s: the other client: %v", name, err)
			}
		}
	})
}

func TestHalfPacketsByteByByteAreAHandshakeAndARequest(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s := serve(t, kind, nil)
		c := s.bare()
		drip := func(p []byte) {
			for i := range p {
				if _, err := c.Write(p[i : i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{Sys: packet.ClientSys{Type: "drip"}})
		if err != nil {
			t.Fatal(err)
		}
		drip(hello)
		readType(t, c, packet.Handshake)
		ack, err := packet.AppendPacket(nil, packet.HandshakeAck, nil)
		if err != nil {
			t.Fatal(err)
		}
		request, err := packet.AppendData(ack, packet.Message{Type: packet.Request, ID: 7, Route: "x", Body: []byte("drop by drop")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		drip(request)
		m, err := packet.DecodeMessage(readType(t, c, packet.Data).Body, nil, 0)
		if err != nil || m.ID != 7 || string(m.Body) != "drop by drop" {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

func TestAClientThatNeverReadsHoldsOnlyItsBacklog(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		const backlog = 128 << 10
		s := serve(t, kind, func(_ *server, cfg *transport.Config) { cfg.Backlog = backlog })
		good := s.dial(client.Options{})
		_ = s.next()
		c := s.bare()
		hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if hello, err = packet.AppendPacket(hello, packet.HandshakeAck, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		ss := s.next()
		body, most := make([]byte, 4000), 0
		for n := 0; ss.conn.Counters().Queued > 0 || n < 1<<16; n++ {
			ss.push("flood", body)
			queued := ss.conn.Counters().Queued
			most = max(most, queued)
			select {
			case reason := <-ss.closed:
				if transport.Class(reason) != "backlog" {
					t.Errorf("closed with %v", reason)
				}
				if most > backlog {
					t.Errorf("%d bytes waited, the bound is %d", most, backlog)
				}
				if err := good.Request(t.Context(), "x", nil, nil); err != nil {
					t.Errorf("the other client: %v", err)
				}
				t.Logf("closed after %d pushes of 4000 bytes, at most %d bytes waited", n, most)
				return
			default:
			}
		}
		t.Error("the client that never reads is still served")
	})
}
