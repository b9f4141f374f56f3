package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/gobwas/ws"

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"

	"github.com/skua-go/skua/tools/bench/lean"
)

// client is one connection: it writes a request and reads until it has the answer. It is as lean as the bare echo's, so that the two differ by their servers.
type client struct {
	conn       net.Conn
	webSocket  bool
	id         uint64    // of the last request
	echo       *prepared // what Exchange sends, but over WebSocket
	out        []byte
	mask       []byte
	in         []byte // of the stream of packages, in[start:end] are not yet used
	start, end int
	stream     io.Reader
}

// bufferSize is what the longest package of a server needs here.
const bufferSize = 2048

// How clients connect, besides "tcp", "ws" and "kcp".
const leanKCP = "lean-kcp" // as kcp, without kcp-go

func dial(ctx context.Context, transport, addr string) (*client, error) {
	c := &client{in: make([]byte, bufferSize), webSocket: transport == "ws"}
	var err error
	switch transport {
	case "kcp":
		c.conn, err = kcp.Dial(ctx, addr, kcp.Config{})
	case leanKCP:
		c.conn, err = lean.Dial(ctx, addr)
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
	return nil
}

// ask sends a request and returns the body of its answer, valid until the next read. Pushes are passed over.
func (c *client) ask(route string, body []byte) (_ []byte, err error) {
	c.id++
	c.out, err = packet.AppendData(c.out[:0], packet.Message{Type: packet.Request, ID: c.id, Route: route, Body: body}, nil)
	if err != nil {
		return nil, err
	}
	if err := c.write(c.out); err != nil {
		return nil, err
	}
	return c.await()
}

// await returns the body of the answer to the last request, valid until the next read.
func (c *client) await() ([]byte, error) {
	for {
		answer, err := c.read(packet.Data)
		if err != nil {
			return nil, err
		}
		m, err := packet.DecodeMessage(answer, nil, 1<<16)
		if err != nil {
			return nil, err
		}
		if m.Type == packet.Push {
			continue
		}
		if m.ID != c.id || m.Error {
			return nil, fmt.Errorf("answer %d to request %d: %s", m.ID, c.id, m.Body)
		}
		return m.Body, nil
	}
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

// Exchange is one echo.
func (c *client) Exchange() error {
	if c.echo == nil && !c.webSocket {
		if err := c.prepare(); err != nil {
			return err
		}
	}
	if c.echo != nil && c.start == c.end {
		return c.echo.exchange(c)
	}
	got, err := c.ask("echo", body)
	if err == nil && !bytes.Equal(got, body) {
		err = fmt.Errorf("answer to request %d: %s", c.id, got)
	}
	return err
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
