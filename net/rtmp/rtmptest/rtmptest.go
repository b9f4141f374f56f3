// Package rtmptest is a client of RTMP that sends and gets messages as they are, for tests of servers that decide themselves what stands in them.
package rtmptest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/skua-go/skua/net/flv/amf"
)

// ErrRefused is what a server says no with.
var ErrRefused = errors.New("rtmptest: refused")

// Message is one that has come.
type Message struct {
	Kind  byte   // as in FLV's tags
	Stamp uint32 // ms
	Body  []byte
}

// Client is one connection. One goroutine reads, one writes.
type Client struct {
	net.Conn
	r    *bufio.Reader
	size int // of the server's chunks
}

// ours is the size of our chunks: most messages are one.
const ours = 1 << 20

// Dial connects, and says hello.
func Dial(ctx context.Context, addr string) (*Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: conn, r: bufio.NewReaderSize(conn, 4<<10), size: 128}
	if err := c.hello(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) hello() error {
	const packet = 1536
	shake := make([]byte, 1+2*packet)
	shake[0] = 3
	if _, err := c.Write(shake); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.r, shake); err != nil {
		return fmt.Errorf("rtmptest: handshake: %w", err)
	}
	const setChunkSize = 1
	if err := c.Send(setChunkSize, 0, binary.BigEndian.AppendUint32(nil, ours)); err != nil {
		return err
	}
	return c.command("connect", 1, amf.Object{{Key: "app", Value: "live"}})
}

const command = 20

func (c *Client) command(values ...any) error { return c.Send(command, 0, amf.Append(nil, values...)) }

// Publish asks to publish a stream, whose name may have a query, and waits for the answer.
func (c *Client) Publish(name string) error {
	if err := c.command("publish", 2, nil, name, "live"); err != nil {
		return err
	}
	return c.granted("NetStream.Publish.Start")
}

// Play asks to watch one.
func (c *Client) Play(name string) error {
	if err := c.command("play", 2, nil, name); err != nil {
		return err
	}
	return c.granted("NetStream.Play.Start")
}

func (c *Client) granted(code string) error {
	for {
		m, err := c.Next()
		if err != nil {
			return err
		}
		if m.Kind != command {
			continue
		}
		if got, why := Status(m.Body); got == code {
			return nil
		} else if why != "" && got != "NetStream.Play.Reset" {
			return fmt.Errorf("%w: %s: %s", ErrRefused, got, why)
		}
	}
}

// Status is the code and the description of an onStatus; empty if it is none.
func Status(body []byte) (code, description string) {
	values, err := amf.Decode(body)
	if err != nil || len(values) < 4 || values[0] != "onStatus" {
		return "", ""
	}
	about, _ := values[3].(amf.Object)
	code, _ = about.Get("code").(string)
	description, _ = about.Get("description").(string)
	return code, description
}

// Send writes a message: its kind, its time in ms, and what stands in it.
func (c *Client) Send(kind byte, stamp uint32, body []byte) error {
	if len(body) > ours {
		return fmt.Errorf("rtmptest: a message of %d bytes, expected %d at most", len(body), ours)
	}
	const extended = 0xffffff
	short := min(stamp, extended)
	b := make([]byte, 0, 16+len(body))
	b = append(b, 4, byte(short>>16), byte(short>>8), byte(short), byte(len(body)>>16), byte(len(body)>>8), byte(len(body)), kind, 1, 0, 0, 0)
	if short == extended {
		b = binary.BigEndian.AppendUint32(b, stamp)
	}
	_, err := c.Write(append(b, body...))
	return err
}

// Next waits for a message. The server is one that begins each with a whole header.
func (c *Client) Next() (Message, error) {
	var h [12]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return Message{}, err
	}
	m := Message{Kind: h[7], Stamp: uint32(h[1])<<16 | uint32(h[2])<<8 | uint32(h[3]), Body: make([]byte, int(h[4])<<16|int(h[5])<<8|int(h[6]))}
	again := 1 // bytes before each further chunk
	if m.Stamp == 0xffffff {
		var long [4]byte
		if _, err := io.ReadFull(c.r, long[:]); err != nil {
			return Message{}, err
		}
		m.Stamp = binary.BigEndian.Uint32(long[:])
		again += len(long)
	}
	for i := 0; i < len(m.Body); i += c.size {
		if i > 0 {
			if _, err := c.r.Discard(again); err != nil {
				return Message{}, err
			}
		}
		if _, err := io.ReadFull(c.r, m.Body[i:min(len(m.Body), i+c.size)]); err != nil {
			return Message{}, err
		}
	}
	const setChunkSize = 1
	if m.Kind == setChunkSize && len(m.Body) == 4 {
		c.size = int(binary.BigEndian.Uint32(m.Body))
	}
	return m, nil
}
