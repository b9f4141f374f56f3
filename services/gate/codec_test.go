package gate_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// strings is an agent of clients whose bodies are strings.
const texts = `
local gate = require "gate"
local M = { client = {} }
local session
function M.connect(self, s) session = s gate.push(s, "any", "welcome") end
function M.client.data(self, text)
  if text == "nothing" then return end
  if text == "table" then return {} end
  if text == "fail" then error("fail") end
  if text == "bye" then gate.kick(session, "bye") return end
  gate.push(session, "any", "push " .. text)
  return "echo " .. text
end
return M`

// texter is a client of a bare codec.
type texter struct {
	net.Conn
	in    *bufio.Reader
	write func(text string)
	read  func() (string, error)
}

func (n *node) texter(t *testing.T, codec string) *texter {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.urls["tcp"], "tcp://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	c := &texter{Conn: conn, in: bufio.NewReader(conn)}
	switch codec {
	case packet.CodecSkynet:
		c.write = func(text string) {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...))
		}
		c.read = func() (string, error) {
			var head [2]byte
			if _, err := io.ReadFull(c.in, head[:]); err != nil {
				return "", err
			}
			body := make([]byte, binary.BigEndian.Uint16(head[:]))
			_, err := io.ReadFull(c.in, body)
			return string(body), err
		}
	case packet.CodecLine:
		c.write = func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
		c.read = func() (string, error) {
			line, err := c.in.ReadString('\n')
			return strings.TrimSuffix(line, "\n"), err
		}
	case packet.CodecRaw:
		c.write = func(text string) { _, _ = io.WriteString(conn, text) }
		c.read = func() (string, error) { // what the test expects is known to be whole after a stop of its own
			var got []byte
			for !strings.HasSuffix(string(got), "welcome") && !strings.Contains(string(got), "echo") {
				b := make([]byte, 100)
				m, err := c.in.Read(b)
				if got = append(got, b[:m]...); err != nil {
					return string(got), err
				}
			}
			return string(got), nil
		}
	}
	return c
}

func (c *texter) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got, err := c.read(); err != nil || got != w {
			t.Fatalf("read %q, %v, want %q", got, err, w)
		}
	}
}

func TestBareCodecsCarryStringsBothWays(t *testing.T) {
	for _, codec := range []string{packet.CodecSkynet, packet.CodecLine, packet.CodecRaw} {
		t.Run(codec, func(t *testing.T) {
			n := start(t, world{scripts: map[string]string{"agent.lua": texts}, gate: gate.Config{Codec: codec, Login: gate.LoginNone}})
			before := n.actors()
			c := n.texter(t, codec)
			c.expect(t, "welcome")
			for i := range 20 {
				text := fmt.Sprint("text ", i)
				c.write(text)
				if codec == packet.CodecRaw {
					c.expect(t, "push "+text+"echo "+text)
					continue
				}
				c.expect(t, "push "+text, "echo "+text)
			}
			if codec != packet.CodecRaw {
				for _, silent := range []string{"nothing", "table", "fail"} { // which have no answer in any of these codecs
					c.write(silent)
				}
			}
			c.write("on")
			if codec == packet.CodecRaw {
				c.expect(t, "push onecho on")
			} else {
				c.expect(t, "push on", "echo on")
			}
			c.write("bye")
			if got, err := c.read(); err == nil {
				t.Errorf("behind a kick: %q", got)
			}
			n.quiet(before)
		})
	}
}

func TestBareClientsThatAreTooLongOrTooManyAreClosedWithoutAWord(t *testing.T) {
	for _, codec := range []string{packet.CodecSkynet, packet.CodecLine} {
		n := start(t, world{scripts: map[string]string{"agent.lua": texts}, gate: gate.Config{Codec: codec, Login: gate.LoginNone, MaxPacket: 1024, Transport: limits}})
		before := n.actors()
		c := n.texter(t, codec)
		c.expect(t, "welcome")
		c.write(strings.Repeat("x", 2000))
		if got, err := c.read(); err == nil {
			t.Errorf("%s: read %q", codec, got)
		}
		n.quiet(before)
	}
}

func TestABareGateNeedsNoLogin(t *testing.T) {
	_, err := gate.New(nil, gate.Config{Codec: packet.CodecLine, Handle: counter})
	if err == nil || !strings.Contains(err.Error(), `codec "line" has no requests to log in with`) {
		t.Error(err)
	}
	_, err = gate.New(nil, gate.Config{Codec: "telnet", Login: gate.LoginNone, Handle: counter})
	if err == nil || !strings.Contains(err.Error(), `telnet`) {
		t.Error(err)
	}
}

func TestTwoGatesOfANodeShareScriptsAndKeepTheirPlayersApart(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: counter})
	other, err := gate.New(n.sys, gate.Config{Name: "gate.ops", Sessions: n.gate.Sessions(), Login: gate.LoginNone, Handle: counter, Log: n.sys.Log(), Codec: packet.CodecLine})
	must(t, err)
	_, err = n.sys.Spawn(other.Spec())
	must(t, err)
	door := newNetwork()
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() {
		if err := other.Serve(ctx, "ops", door); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	defer served.Wait()
	defer cancel()
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("count", "1")
	must(t, p.hear(3))
	conn, err := door.dial(never, never)
	must(t, err)
	defer conn.Close()
	_, _ = conn.Write([]byte("7\n"))
	in := bufio.NewReader(conn)
	for _, want := range []string{"7\n", "7\n", "7\n"} {
		if got, err := in.ReadString('\n'); err != nil || got != want {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	if n.gate.Name() == other.Name() || n.gate.Sessions().Count() != 2 {
		t.Errorf("%s and %s have %d sessions", n.gate.Name(), other.Name(), n.gate.Sessions().Count())
	}
}
