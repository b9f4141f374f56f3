// Package transport serves connections: framing, bounded send queues, deadlines, limits and counters, written once for all transports.
//
// It knows a net.Listener, its net.Conns and frames of bytes; what the bytes mean is the Handler's business. A connection costs one goroutine
// that reads and, only while there is something to write, one that writes.
package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Handler is what a server does with its connections.
type Handler interface {
	// Open is called once for each connection, on its reading goroutine, before the first byte is read. An error refuses the connection;
	// Closed is then not called.
	Open(c *Conn) (Receiver, error)
}

// HandlerFunc is a Handler that is a function.
type HandlerFunc func(c *Conn) (Receiver, error)

// Open calls f.
func (f HandlerFunc) Open(c *Conn) (Receiver, error) { return f(c) }

// Receiver gets the frames of one connection.
type Receiver interface {
	// Frame is called on the connection's reading goroutine, one frame at a time, in the order received. The frame's bytes are valid until it
	// returns. While it runs nothing is read, so one that blocks holds its client back, and nobody else. An error closes the connection with that
	// error as the reason. A panic closes the connection too, and is logged with its stack.
	Frame(frame []byte) error
	// Closed is called once, last, on the same goroutine, with why the connection ended. It is never nil.
	Closed(reason error)
}

// Why connections end. Reasons come wrapped; test with errors.Is. The reasons of a Handler (what Frame returned, what CloseWith got) are passed on
// as they are.
var (
	ErrClosed           = errors.New("transport: closed")
	ErrPeerClosed       = errors.New("transport: closed by the peer")
	ErrRead             = errors.New("transport: read failed")
	ErrWrite            = errors.New("transport: write failed")
	ErrBacklog          = errors.New("transport: send backlog full")
	ErrFrame            = errors.New("transport: bad frame")
	ErrFrameTooLong     = errors.New("transport: frame too long")
	ErrHandshakeTimeout = errors.New("transport: handshake not finished in time")
	ErrFrameTimeout     = errors.New("transport: frame not finished in time")
	ErrIdle             = errors.New("transport: idle for too long")
	ErrPanic            = errors.New("transport: handler panicked")
	ErrShutdown         = errors.New("transport: server is stopping")
	ErrTooManyConns     = errors.New("transport: too many connections")
	ErrTooManyFromAddr  = errors.New("transport: too many connections from this address")
)

// Config says how a server treats its connections. Only Split is required.
type Config struct {
	// Name of the transport, for logs and for Conn.Transport: "tcp", "kcp", "ws".
	Name string

	// Split cuts the byte stream: it gets the unread bytes and returns how many it consumed and a frame, which may alias them; 0, nil, nil asks
	// for more. An error closes the connection with ErrFrame. It is called by many goroutines at once.
	Split func(data []byte) (advance int, frame []byte, err error)

	// MaxFrame is the longest frame in bytes, header included, that is buffered. Default 64 KiB. Buffers grow with the bytes that arrive, not with what
	// a header announces.
	MaxFrame int

	// HandshakeTimeout is how long a connection may take until Ready is called, from when it was accepted, whatever it sends meanwhile.
	// Default 10 s. Short cuts off slow networks, long lets a slow loris hold more connections.
	HandshakeTimeout time.Duration

	// FrameTimeout is how long a frame may take from its first byte to its last, after the handshake. Default 10 s.
	FrameTimeout time.Duration

	// Idle is how long a connection may go without a whole frame after the handshake. Default 60 s, negative: for ever. Conn.SetIdle
	// overrides it for one connection.
	Idle time.Duration

	// WriteTimeout is how long a client may take to accept 32 KiB. Default 10 s.
	WriteTimeout time.Duration

	// Linger is how long Conn.CloseWith, and the end of Serve, wait for the queue and the last frame to be delivered. Default 1 s.
	Linger time.Duration

	// Backlog is how many bytes may wait to be written to one connection. Beyond it the connection is closed with ErrBacklog: a client that does not
	// read must not hold the server's memory. Default 256 KiB. It must hold the largest burst that is sent, since a burst is queued faster than any client
	// reads it.
	Backlog int

	// MaxConns is how many connections may be open at once. 0: no limit.
	MaxConns int

	// MaxConnsPerAddr is how many of them may come from one IPv4 address or one IPv6 /64. 0: no limit.
	MaxConnsPerAddr int

	// Farewell, when set, returns the last frame for a client that is closed for a reason which this package found (a bad frame, a deadline,
	// a limit, the end of Serve), or nil for none. It is called by many goroutines at once.
	Farewell func(reason error) []byte

	// Classify, when set, names reasons that are the Handler's own for the counters, from a small fixed set; "" leaves it to this package.
	Classify func(reason error) string

	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger

	// Stats, when set, is where the connections are counted, so that its owner can read them while Serve runs. One Stats may serve several
	// servers.
	Stats *Stats
}

func (c Config) withDefaults() (Config, error) {
	if c.Split == nil {
		return c, errors.New("transport: Config.Split is nil, expected a function that cuts the stream into frames")
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxFrame", int64(c.MaxFrame)},
		{"HandshakeTimeout", int64(c.HandshakeTimeout)},
		{"FrameTimeout", int64(c.FrameTimeout)},
		{"WriteTimeout", int64(c.WriteTimeout)},
		{"Linger", int64(c.Linger)},
		{"Backlog", int64(c.Backlog)},
		{"MaxConns", int64(c.MaxConns)},
		{"MaxConnsPerAddr", int64(c.MaxConnsPerAddr)},
	} {
		if f.value < 0 {
			return c, fmt.Errorf("transport: Config.%s is %d, expected 0 (the default) or more", f.name, f.value)
		}
	}
	c.MaxFrame = orInt(c.MaxFrame, 64<<10)
	c.Backlog = orInt(c.Backlog, 256<<10)
	c.HandshakeTimeout = orDuration(c.HandshakeTimeout, 10*time.Second)
	c.FrameTimeout = orDuration(c.FrameTimeout, 10*time.Second)
	c.Idle = orDuration(c.Idle, 60*time.Second)
	c.WriteTimeout = orDuration(c.WriteTimeout, 10*time.Second)
	c.Linger = orDuration(c.Linger, time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Stats == nil {
		c.Stats = new(Stats)
	}
	if c.Name == "" {
		c.Name = "conn"
	}
	return c, nil
}

func orInt(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

func orDuration(v, def time.Duration) time.Duration {
	if v == 0 {
		return def
	}
	return v
}
