// Package clients measures a node's way in: echo through the gate and a Lua agent a connection.
package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing/fstest"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/tcp"
	skuaws "github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"

	"github.com/skua-go/skua/tools/bench/measure"
)

// body is a request of 64 bytes.
var body = []byte(`{"text":"` + strings.Repeat("x", 53) + `"}`)

var files = fstest.MapFS{"agent.lua": {Data: []byte(`
local M = { client = {} }
function M.client.echo(self, request) return request end
return M`)}}

// Servers are a node's gate with a Lua agent a connection, over each transport.
func Servers() map[string]measure.Server {
	return map[string]measure.Server{
		"lua-tcp": func(ctx context.Context, ready func(string)) error {
			ln, err := tcp.Listen(ctx, "127.0.0.1:0")
			if err != nil {
				return err
			}
			return serve(ctx, ready, "tcp", ln, ln.Addr().String(), nil)
		},
		"lua-kcp": func(ctx context.Context, ready func(string)) error {
			ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
			if err != nil {
				return err
			}
			return serve(ctx, ready, "kcp", ln, ln.Addr().String(), nil)
		},
		"lua-ws": func(ctx context.Context, ready func(string)) error {
			ln, err := tcp.Listen(ctx, "127.0.0.1:0")
			if err != nil {
				return err
			}
			sockets := skuaws.NewListener(skuaws.Config{Addr: ln.Addr()})
			return serve(ctx, ready, "ws", sockets, ln.Addr().String(), func(ctx context.Context) error {
				server := &http.Server{Handler: sockets, ReadHeaderTimeout: 5 * time.Second}
				context.AfterFunc(ctx, func() { _ = server.Close() })
				if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			})
		},
	}
}

func serve(ctx context.Context, ready func(string), name string, ln net.Listener, addr string, beside func(context.Context) error) error {
	log := slog.New(slog.DiscardHandler)
	sys := actor.New(actor.Config{Log: log})
	var g *gate.Gate
	rt, err := lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Log: log, Modules: []lua.Module{
		{Name: "gate", Open: func(h *lua.Host, s vm.State) { g.Module().Open(h, s) }},
	}})
	if err != nil {
		return err
	}
	if g, err = gate.New(sys, gate.Config{Runtime: rt, Agent: "agent", Login: gate.LoginNone, Log: log}); err != nil {
		return err
	}
	if _, err := sys.Spawn(g.Spec()); err != nil {
		return err
	}
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return g.Serve(ctx, name, ln) })
	if beside != nil {
		doors.Go(func() error { return beside(ctx) })
	}
	ready(addr)
	err = doors.Wait()
	end, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(err, sys.Shutdown(end))
}

// LuaEcho is requests a second of a closed loop over clients connections, each with an agent in Lua, over "tcp", "kcp" or "ws".
func LuaEcho(transport string, clients int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		p, err := measure.StartServer(ctx, "lua-"+transport)
		if err != nil {
			return 0, err
		}
		perSecond, err := measure.Loop{Clients: clients}.Run(ctx, func(ctx context.Context) (measure.Client, error) { return dial(ctx, transport, p.Addr) })
		return perSecond, errors.Join(err, p.Stop())
	}
}

// client is one connection: it writes a request and reads until it has the answer. It is as lean as the bare echo's, so that the two differ by their servers.
type client struct {
	conn       net.Conn
	webSocket  bool
	id         uint64
	out        []byte
	mask       []byte
	in         []byte // of the stream of packages, in[start:end] are not yet used
	start, end int
	stream     io.Reader
}

func dial(ctx context.Context, transport, addr string) (measure.Client, error) {
	c := &client{in: make([]byte, 4096), webSocket: transport == "ws"}
	var err error
	switch transport {
	case "kcp":
		c.conn, err = kcp.Dial(ctx, addr, kcp.Config{})
	case "ws":
		var early *bufio.Reader
		if c.conn, early, _, err = ws.Dial(ctx, "ws://"+addr+"/ws"); err == nil && early != nil {
			err = errors.Join(errors.New("clients: the server spoke first"), c.conn.Close())
		}
	default:
		c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	c.stream = c.conn
	if c.webSocket {
		c.stream = &messages{r: bufio.NewReaderSize(c.conn, 512)}
	}
	if err := c.shake(); err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

func (c *client) shake() error {
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{})
	if err != nil {
		return err
	}
	if err := c.write(hello); err != nil {
		return err
	}
	if _, err := c.read(packet.Handshake); err != nil {
		return err
	}
	ack, err := packet.AppendPacket(nil, packet.HandshakeAck, nil)
	if err != nil {
		return err
	}
	if err := c.write(ack); err != nil {
		return err
	}
	return c.Exchange() // the agent is there once it has answered
}

// write writes a package, as one message over WebSocket.
func (c *client) write(p []byte) error {
	if c.webSocket {
		c.mask = appendMasked(c.mask[:0], p)
		p = c.mask
	}
	_, err := c.conn.Write(p)
	return err
}

// appendMasked appends a client's final binary frame (RFC 6455, 5.2), masked with zeros: masking is the server's cost here, which is the same for any key.
func appendMasked(dst, p []byte) []byte {
	if n := len(p); n < 126 {
		dst = append(dst, 0x82, 0x80|byte(n))
	} else {
		dst = append(dst, 0x82, 0x80|126, byte(n>>8), byte(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, p...)
}

// read returns the body of the next package, and skips heartbeats. It is valid until the next read.
func (c *client) read(want packet.Type) ([]byte, error) {
	for {
		if have := c.end - c.start; have >= packet.HeaderSize {
			head := c.in[c.start:c.end]
			n := packet.HeaderSize + int(head[1])<<16 + int(head[2])<<8 + int(head[3])
			if have >= n {
				c.start += n
				switch t := packet.Type(head[0]); t {
				case want:
					return head[packet.HeaderSize:n:n], nil
				case packet.Heartbeat:
					continue
				default:
					return nil, fmt.Errorf("a %v package came: %s", t, head[packet.HeaderSize:n])
				}
			}
		}
		copy(c.in, c.in[c.start:c.end])
		c.start, c.end = 0, c.end-c.start
		if c.end == len(c.in) {
			return nil, fmt.Errorf("a package is longer than %d bytes", len(c.in))
		}
		n, err := c.stream.Read(c.in[c.end:])
		if c.end += n; err != nil {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
	}
}

func (c *client) Exchange() (err error) {
	c.id++
	c.out, err = packet.AppendData(c.out[:0], packet.Message{Type: packet.Request, ID: c.id, Route: "echo", Body: body}, nil)
	if err != nil {
		return err
	}
	if err := c.write(c.out); err != nil {
		return err
	}
	answer, err := c.read(packet.Data)
	if err != nil {
		return err
	}
	m, err := packet.DecodeMessage(answer, nil, 1<<16)
	if err != nil {
		return err
	}
	if m.ID != c.id || m.Error || !bytes.Equal(m.Body, body) {
		return fmt.Errorf("answer %d to request %d: %s", m.ID, c.id, m.Body)
	}
	return nil
}

func (c *client) Close() error { return c.conn.Close() }

// messages reads the payloads of a server's WebSocket messages as a stream.
type messages struct {
	r    *bufio.Reader
	left int64
}

func (m *messages) Read(p []byte) (int, error) {
	for m.left == 0 {
		h, err := ws.ReadHeader(m.r)
		if err != nil {
			return 0, err
		}
		if h.OpCode != ws.OpBinary || h.Masked {
			return 0, fmt.Errorf("clients: a WebSocket frame came that is no message of a server: %+v", h)
		}
		m.left = h.Length
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	return n, err
}
