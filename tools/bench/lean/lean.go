// Package lean is a client of KCP for measurements: so little that ten thousand of them leave the machine to the server.
package lean

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"
)

// Conn is a session with net/kcp's listener (docs/kcp.md), or with a bare one: a socket, without a goroutine or a timer. One goroutine may use it. It acknowledges with what it
// writes next or before it waits, and sends again, and pings, while it waits in Read: a Conn that nobody reads is soon a lost one. It doesn't check who the
// server is, and leaves without a word.
type Conn struct {
	udp       *net.UDPConn
	conv      uint32
	handshake bool

	next  uint32   // number of the next segment that we send
	sent  [][]byte // segments that are not acknowledged, oldest first
	want  uint32   // number of the next segment of the server
	early map[uint32][]byte
	have  []byte // of the stream, not yet read
	out   []byte // what the next datagram begins with: acknowledgements

	begun    time.Time
	resend   time.Time // when the oldest is sent again
	heard    time.Time
	deadline time.Time // of Read
	armed    time.Time // the socket's deadline

	in [1500]byte
}

const (
	push, ack, probe, window = 81, 82, 83, 84

	hello, cookie, connect, accept, refuse = 0xc1, 0xc2, 0xc3, 0xc4, 0xc5
	ping, pong, challenge, end, reset      = 0xc6, 0xc7, 0xc8, 0xca, 0xcc

	tooMany = 3 // a reason of refuse

	head    = 24
	mtu     = 1200
	room    = 128 // the window that is told
	nonceAt = 8

	patience = 300 * time.Millisecond // until a segment is sent again; a measuring link loses nothing but what overflows
	quiet    = 12 * time.Second       // of the server, before it is pinged
	shaking  = 10 * time.Second
)

// Dial shakes hands with a listener of net/kcp.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	c, err := open(ctx, addr)
	if err != nil {
		return nil, err
	}
	if err := c.shake(); err != nil {
		return nil, errors.Join(fmt.Errorf("lean: shaking hands with %s: %w", addr, err), c.udp.Close())
	}
	c.handshake = true
	return c, nil
}

// DialBare begins a session with a listener that knows no handshake, which is there with the first Write.
func DialBare(ctx context.Context, addr string) (*Conn, error) {
	c, err := open(ctx, addr)
	if err == nil {
		c.conv = rand.Uint32()
	}
	return c, err
}

func open(ctx context.Context, addr string) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("lean: found a %T, expected a UDP socket", conn), conn.Close())
	}
	now := time.Now()
	return &Conn{udp: udp, begun: now, heard: now}, nil
}

// shake asks for a cookie, and with it for a conversation.
func (c *Conn) shake() error {
	var nonce [8]byte
	binary.LittleEndian.PutUint64(nonce[:], rand.Uint64())
	message := func(kind byte, size int) []byte {
		d := make([]byte, size)
		copy(d, "SKCP")
		d[4], d[5] = kind, 1
		copy(d[nonceAt:], nonce[:])
		return d
	}
	ask, buf := message(hello, 64), make([]byte, mtu)
	until := time.Now().Add(shaking)
	for wait := patience; time.Now().Before(until); wait *= 2 {
		if _, err := c.udp.Write(ask); err != nil {
			return err
		}
		if err := c.udp.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		for {
			n, err := c.udp.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			if n < 16 || !bytes.Equal(buf[nonceAt:16], nonce[:]) {
				continue
			}
			switch {
			case buf[4] == cookie && n == 36 && ask[4] == hello:
				ask = message(connect, 80)
				copy(ask[16:36], buf[16:36])
				ask[40] = 9 // a point on the curve: we sign nothing, so we need no key
				if _, err := c.udp.Write(ask); err != nil {
					return err
				}
			case buf[4] == accept && n == 72:
				c.conv = binary.LittleEndian.Uint32(buf[16:])
				return c.udp.SetReadDeadline(time.Time{})
			case buf[4] == refuse && buf[6] == tooMany: // at once: worth another try
			case buf[4] == refuse:
				return fmt.Errorf("refused, reason %d", buf[6])
			}
		}
	}
	return errors.New("no answer")
}

// Read reads from the stream.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.have) == 0 {
		if err := c.flush(); err != nil {
			return 0, err
		}
		if err := c.arm(); err != nil {
			return 0, err
		}
		n, err := c.udp.Read(c.in[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.armed = time.Time{}
			if err := c.due(time.Now()); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		c.heard = time.Now()
		if err := c.take(c.in[:n]); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.have)
	if c.have = c.have[n:]; len(c.have) == 0 {
		c.have = nil // an idle one holds nothing
	}
	return n, nil
}

// arm sets the socket's deadline if something is due before it.
func (c *Conn) arm() error {
	at := c.deadline
	if len(c.sent) > 0 && (at.IsZero() || c.resend.Before(at)) {
		at = c.resend
	}
	if c.handshake {
		if ping := c.heard.Add(quiet); at.IsZero() || ping.Before(at) {
			at = ping
		}
	}
	if at.IsZero() || !c.armed.IsZero() && !c.armed.After(at) {
		return nil
	}
	c.armed = at
	return c.udp.SetReadDeadline(at)
}

// due does what the clock asks for.
func (c *Conn) due(now time.Time) error {
	if !c.deadline.IsZero() && !now.Before(c.deadline) {
		return os.ErrDeadlineExceeded
	}
	if len(c.sent) > 0 && !now.Before(c.resend) {
		c.resend = now.Add(patience)
		for _, s := range c.sent {
			if _, err := c.udp.Write(s); err != nil {
				return err
			}
		}
	}
	if c.handshake && !now.Before(c.heard.Add(quiet)) {
		c.heard = now // once a quiet time, not each second: the server is on this machine
		d := make([]byte, 24)
		binary.LittleEndian.PutUint32(d, c.conv)
		d[4], d[5] = ping, 1
		binary.LittleEndian.PutUint64(d[nonceAt:], rand.Uint64())
		_, err := c.udp.Write(d)
		return err
	}
	return nil
}

// take reads a datagram.
func (c *Conn) take(d []byte) error {
	if len(d) < 16 {
		return nil
	}
	switch d[4] {
	case pong, cookie, accept, challenge:
		return nil
	case end:
		return io.EOF
	case reset:
		return syscall.ECONNRESET
	}
	for len(d) >= head {
		size := binary.LittleEndian.Uint32(d[20:])
		if binary.LittleEndian.Uint32(d) != c.conv || uint64(size) > uint64(len(d)-head) {
			return nil
		}
		c.acknowledged(binary.LittleEndian.Uint32(d[16:])) // all before una
		sn := binary.LittleEndian.Uint32(d[12:])
		switch d[4] {
		case ack:
			c.forget(sn)
		case push:
			c.out = c.segment(c.out, ack, binary.LittleEndian.Uint32(d[8:]), sn, nil)
			c.pushed(sn, d[head:head+size])
		case probe:
			c.out = c.segment(c.out, window, 0, 0, nil)
		}
		d = d[head+size:]
	}
	return nil
}

// pushed takes data of the server, in order.
func (c *Conn) pushed(sn uint32, data []byte) {
	switch ahead := sn - c.want; {
	case ahead == 0:
		c.have = append(c.have, data...)
		c.want++
		for {
			data, ok := c.early[c.want]
			if !ok {
				return
			}
			delete(c.early, c.want)
			c.have = append(c.have, data...)
			c.want++
		}
	case ahead < room:
		if c.early == nil {
			c.early = map[uint32][]byte{}
		}
		c.early[sn] = append([]byte(nil), data...)
	}
}

func (c *Conn) acknowledged(una uint32) {
	for len(c.sent) > 0 && int32(number(c.sent[0])-una) < 0 {
		c.sent = c.sent[1:]
	}
}

func (c *Conn) forget(sn uint32) {
	for i, s := range c.sent {
		if number(s) == sn {
			c.sent = append(c.sent[:i:i], c.sent[i+1:]...)
			return
		}
	}
}

func number(segment []byte) uint32 { return binary.LittleEndian.Uint32(segment[12:]) }

func (c *Conn) segment(d []byte, cmd byte, ts, sn uint32, data []byte) []byte {
	d = binary.LittleEndian.AppendUint32(d, c.conv)
	d = append(d, cmd, 0)
	d = binary.LittleEndian.AppendUint16(d, room)
	d = binary.LittleEndian.AppendUint32(d, ts)
	d = binary.LittleEndian.AppendUint32(d, sn)
	d = binary.LittleEndian.AppendUint32(d, c.want)
	d = binary.LittleEndian.AppendUint32(d, uint32(len(data)))
	return append(d, data...)
}

// Write sends p at once.
func (c *Conn) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		data := p[:min(len(p), mtu-head)]
		p = p[len(data):]
		if len(c.out)+head+len(data) > mtu {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
		now := time.Now()
		from := len(c.out)
		c.out = c.segment(c.out, push, uint32(now.Sub(c.begun).Milliseconds()), c.next, data)
		c.next++
		if len(c.sent) == 0 {
			c.resend = now.Add(patience)
		}
		c.sent = append(c.sent, append([]byte(nil), c.out[from:]...))
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// flush sends what waits for the next datagram.
func (c *Conn) flush() error {
	for d := c.out; len(d) > 0; {
		n := len(d)
		if n > mtu {
			n = mtu / head * head // acknowledgements only
		}
		if _, err := c.udp.Write(d[:n]); err != nil {
			return err
		}
		d = d[n:]
	}
	c.out = c.out[:0]
	return nil
}

// Close leaves.
func (c *Conn) Close() error { return c.udp.Close() }

// LocalAddr is ours.
func (c *Conn) LocalAddr() net.Addr { return c.udp.LocalAddr() }

// RemoteAddr is the server's.
func (c *Conn) RemoteAddr() net.Addr { return c.udp.RemoteAddr() }

// SetDeadline is SetReadDeadline: Write waits for nothing.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline is for the next Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

// SetWriteDeadline does nothing: Write waits for nothing.
func (*Conn) SetWriteDeadline(time.Time) error { return nil }
