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
	"github.com/gobwas/ws/wsutil"
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

// client is one connection: it writes a request and reads until it has the answer.
type client struct {
	conn  net.Conn
	split *bufio.Scanner
	write func(frame []byte) error
	id    uint64
	buf   []byte
}

func dial(ctx context.Context, transport, addr string) (measure.Client, error) {
	c := &client{}
	var err error
	var r io.Reader
	switch transport {
	case "kcp":
		c.conn, err = kcp.Dial(ctx, addr, kcp.Config{})
		r = c.conn
	case "ws":
		c.conn, _, _, err = ws.Dial(ctx, "ws://"+addr+"/ws")
		r = &messages{conn: c.conn}
	default:
		c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		r = c.conn
	}
	if err != nil {
		return nil, err
	}
	c.write = func(frame []byte) error { _, err := c.conn.Write(frame); return err }
	if transport == "ws" {
		c.write = func(frame []byte) error { return wsutil.WriteClientBinary(c.conn, frame) }
	}
	cut := packet.Split(1 << 16)
	c.split = bufio.NewScanner(r)
	c.split.Buffer(make([]byte, 0, 4096), 1<<17)
	c.split.Split(func(data []byte, _ bool) (int, []byte, error) { return cut(data) })
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

// read skips heartbeats.
func (c *client) read(want packet.Type) ([]byte, error) {
	for c.split.Scan() {
		p, err := packet.Decode(c.split.Bytes())
		if err != nil {
			return nil, err
		}
		switch p.Type {
		case want:
			return p.Body, nil
		case packet.Heartbeat:
		default:
			return nil, fmt.Errorf("a %v package came: %s", p.Type, p.Body)
		}
	}
	return nil, errors.Join(io.ErrUnexpectedEOF, c.split.Err())
}

func (c *client) Exchange() (err error) {
	c.id++
	c.buf, err = packet.AppendData(c.buf[:0], packet.Message{Type: packet.Request, ID: c.id, Route: "echo", Body: body}, nil)
	if err != nil {
		return err
	}
	if err := c.write(c.buf); err != nil {
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

// messages reads the payloads of WebSocket messages as a stream.
type messages struct {
	conn net.Conn
	rest []byte
}

func (m *messages) Read(p []byte) (int, error) {
	for len(m.rest) == 0 {
		data, err := wsutil.ReadServerBinary(m.conn)
		if err != nil {
			return 0, err
		}
		m.rest = data
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}
