package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// input cuts what arrives into packages.
type input struct {
	split      func([]byte) (int, []byte, error)
	buf        []byte
	start, end int
}

const (
	smallInput = 2 << 10
	largeInput = 64 << 10
)

func newInput(maxFrame int) *input {
	return &input{split: packet.Split(maxFrame), buf: make([]byte, smallInput)}
}

// next returns the next package; its bytes are valid until the next call. heard is told how many bytes arrive.
func (in *input) next(r io.Reader, heard func(n int)) (packet.Packet, error) {
	for {
		advance, frame, err := in.split(in.buf[in.start:in.end])
		if err != nil {
			return packet.Packet{}, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if frame != nil {
			in.start += advance
			return packet.Decode(frame)
		}
		in.room()
		n, err := r.Read(in.buf[in.end:])
		in.end += n
		if n > 0 {
			heard(n)
			continue
		}
		if err != nil {
			return packet.Packet{}, fmt.Errorf("%w: %w", ErrServerClosed, err)
		}
	}
}

// room makes place for more bytes: Split bounds how many an unfinished package can need.
func (in *input) room() {
	have := in.end - in.start
	switch {
	case have == 0 && len(in.buf) > largeInput:
		in.buf = make([]byte, smallInput)
	case have == 0 || in.end < len(in.buf):
	case in.start > 0:
		copy(in.buf, in.buf[in.start:in.end])
	default:
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
		return
	}
	if have == 0 {
		in.start, in.end = 0, 0
	} else if in.end == len(in.buf) {
		in.start, in.end = 0, have
	}
}

// handshake says hello, reads the answer and acknowledges it.
func (c *Client) handshake(in *input) error {
	hello := packet.HandshakeRequest{Sys: packet.ClientSys{Type: c.opts.Name, Version: c.opts.Version}}
	if c.opts.User != nil {
		user, err := json.Marshal(c.opts.User)
		if err != nil {
			return fmt.Errorf("encode Options.User: %w", err)
		}
		hello.User = user
	}
	out, err := packet.AppendHandshake(nil, hello)
	if err != nil {
		return err
	}
	if err := c.write(out); err != nil {
		return err
	}
	p, err := in.next(c.wire, c.hear)
	switch {
	case err != nil:
		return err
	case p.Type == packet.Kick:
		return kicked(p.Body)
	case p.Type != packet.Handshake:
		return fmt.Errorf("%w: a %s package came first, expected the handshake", ErrProtocol, p.Type)
	}
	welcome, err := packet.DecodeHandshakeResponse(p.Body, c.opts.MaxFrame)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if welcome.Code != packet.CodeOK {
		return fmt.Errorf("%w: code %d %s", ErrRefused, welcome.Code, welcome.Msg)
	}
	if c.routes, err = packet.NewRoutes(welcome.Sys.Dict); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	c.interval, c.user = welcome.Sys.Interval(), welcome.User
	ack, err := packet.AppendPacket(nil, packet.HandshakeAck, nil)
	if err != nil {
		return err
	}
	return c.write(ack)
}

func (c *Client) write(p []byte) error {
	if err := c.wire.WriteAll(p, c.opts.WriteTimeout); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	c.stats.bytesOut.Add(uint64(len(p)))
	return nil
}

func (c *Client) hear(n int) {
	c.stats.bytesIn.Add(uint64(n))
	c.heard.Store(time.Now().UnixNano())
}

func (c *Client) start(in *input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interval > 0 {
		c.beat = time.AfterFunc(c.interval, c.heartbeat)
	}
	c.running.Go(func() { c.fail(c.read(in)) })
}

func (c *Client) read(in *input) error {
	for {
		p, err := in.next(c.wire, c.hear)
		if err != nil {
			return err
		}
		switch p.Type {
		case packet.Data:
			if err := c.message(p.Body); err != nil {
				return err
			}
		case packet.Heartbeat:
			c.heartbeatAnswered()
		case packet.Kick:
			return kicked(p.Body)
		case packet.Handshake, packet.HandshakeAck:
			return fmt.Errorf("%w: a %s package after the handshake", ErrProtocol, p.Type)
		}
	}
}

func (c *Client) message(body []byte) error {
	m, err := packet.DecodeMessage(body, c.routes, c.opts.MaxFrame)
	if err == nil {
		err = m.Type.SentBy(packet.Server)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if m.Type == packet.Response {
		c.answer(m)
		return nil
	}
	return c.push(m)
}

func kicked(body []byte) error {
	r := packet.DecodeReason(body)
	return &KickError{Code: r.Code, Msg: r.Msg}
}

// heartbeat tells the server that we are here, and notices when it is not.
func (c *Client) heartbeat() {
	silent := time.Since(time.Unix(0, c.heard.Load()))
	if silent >= 2*c.interval {
		c.fail(fmt.Errorf("%w for %s, heartbeats come every %s", ErrServerSilent, silent.Round(time.Millisecond), c.interval))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if c.beaten.IsZero() {
		c.beaten = time.Now()
	}
	c.queue(packet.AppendHeartbeat(c.out))
	c.beat.Reset(min(c.interval, 2*c.interval-silent))
}

func (c *Client) heartbeatAnswered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.beaten.IsZero() {
		c.stats.rtt.Store(int64(time.Since(c.beaten)))
		c.beaten = time.Time{}
	}
}

// queue sets what waits to be sent and starts the writing goroutine if there is none; c.mu is held.
func (c *Client) queue(out []byte) {
	c.out = out
	if !c.writing {
		c.writing = true
		c.running.Go(c.flush)
	}
}

// flush is the writing goroutine, which lives while there is something to write: what comes up during a write goes out together with the next.
func (c *Client) flush() {
	const kept = 16 << 10
	var buf []byte
	for {
		c.mu.Lock()
		if len(c.out) == 0 || c.err != nil {
			if cap(buf) <= kept && c.out == nil {
				c.out = buf[:0]
			}
			c.writing = false
			if c.flushed != nil {
				close(c.flushed)
				c.flushed = nil
			}
			c.mu.Unlock()
			return
		}
		buf, c.out = c.out, nil
		c.mu.Unlock()
		if err := c.write(buf); err != nil {
			c.fail(err)
		}
	}
}

// fail ends the connection; the first reason counts. It does not wait for goroutines.
func (c *Client) fail(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = reason
	if c.beat != nil {
		c.beat.Stop()
	}
	c.mu.Unlock()
	if errors.Is(reason, ErrClosed) { // else the pushes that did arrive are still handled
		c.pushes.stop()
		c.wire.Goodbye()
	}
	_ = c.wire.Close()
	close(c.done)
}
