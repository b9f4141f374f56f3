package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/packet"
)

func TestGzipFromIsPerGate(t *testing.T) {
	d := openDoors(t, t.TempDir(), `
[gate]
agent = "echo"
gzip_from = 100
[login]
methods = ["none"]
[gates.plain]
tcp = "127.0.0.1:0"
gzip_from = 0
`)
	for listener, compressed := range map[string]bool{"tcp": true, "plain.tcp": false} {
		c, err := net.Dial("tcp", d.addr[listener])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		body := `{"text":"` + strings.Repeat("long ", 100) + `"}`
		say, err := packet.AppendPacket(nil, packet.Handshake, []byte(`{"sys":{"gzip":true}}`))
		if err != nil {
			t.Fatal(err)
		}
		say = append(say, byte(packet.HandshakeAck), 0, 0, 0)
		say, err = packet.AppendData(say, packet.Message{Type: packet.Request, ID: 1, Route: "echo", Body: []byte(body)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(say); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		p := readPackage(t, r)
		for p.Type != packet.Data {
			p = readPackage(t, r)
		}
		m, err := packet.DecodeMessage(p.Body, nil, 0)
		if err != nil || string(m.Body) != body || m.Gzip != compressed {
			t.Errorf("%s: an answer of %d bytes, compressed: %t, %v", listener, len(m.Body), m.Gzip, err)
		}
	}
}
