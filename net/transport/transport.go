// Package transport serves connections: framing, bounded send queues, deadlines, limits and counters, written once for all transports.
//
// It knows a net.Listener, its net.Conns and frames of bytes; what the bytes mean is the Handler's business. A connection costs one goroutine
// that reads, or none while nothing comes if its net.Conn can tell when something does. What is sent while a frame is handled is written by the goroutine that
// handled it, with one write for all frames of one read; what is sent at other times is written by a few goroutines that all connections share.
//
// # Connections that can do more
//
// Beside net.Conn a connection may have these methods; they are found by their shape.
//
//	// ReadNow is Read that never waits: n == 0 and err == nil mean that there is nothing now. io.EOF, deadlines and other errors are as with Read.
//	ReadNow(p []byte) (n int, err error)
//	// Notify sets what is called when ReadNow may have something to say: bytes, the end, an error, or a read deadline that has passed. It is called at
//	// least once after each such change that follows a ReadNow which said "nothing", and once at once if there is something already; from any goroutine,
//	// possibly twice at a time. It must not block. nil takes it away.
//	Notify(f func())
//
// One that has both costs no goroutine while it is idle. Its read deadline may be late by some 100 ms.
//
//	// Room is how many bytes Write takes now without waiting; only Writes make it less.
//	Room() int
//
// It is for connections of a listener that has a goroutine to lend:
//
//	// Lend sets what is called, by one goroutine of the listener's at a time, when several connections may have something to say: with a function that calls what they
//	// have set by Notify. What is brief of what they ask for has been done when f returns, on that goroutine, without waiting; f tells whether workers do the rest.
//	Lend(f func(tell func()) (left bool))
//
// Brief is what a Receiver says is brief, by a method Brief(frame []byte) bool: Frame would return at once, and neither it nor Drained would wait for anything.
//
//	// WriteLate is Write, but what it has written may leave only with the listener's next SendLate, which follows soon. If it has to wait, it calls that before.
//	WriteLate(p []byte) (n int, err error)
//	// SendLate, of the listener, has everything leave that its connections have written by WriteLate. Any goroutine may call it.
//	SendLate()
//
// With both, the answers that a worker writes one after the other leave together.
//
//	// WriteFrames writes whole frames, for a connection that must know where they end, such as a WebSocket. The bytes are valid until it returns.
//	WriteFrames(frames [][]byte) error
//	// CloseWrite ends the own half, so that the last frame arrives before the end.
//	CloseWrite() error
//	// AwaitRoom waits until half of what Write takes without waiting is free, or until Write would fail.
//	AwaitRoom()
//	// SetUnsent bounds what Write takes that was not sent yet.
//	SetUnsent(bytes int) error
package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Handler is what a server does with its connections.
type Handler interface {
	// Open is called once for each connection, on the goroutine that reads from it, before the first byte is read. An error refuses the connection;
	// Closed is then not called.
	Open(c *Conn) (Receiver, error)
}

// HandlerFunc is a Handler that is a function.
type HandlerFunc func(c *Conn) (Receiver, error)

// Open calls f.
func (f HandlerFunc) Open(c *Conn) (Receiver, error) { return f(c) }

// Receiver gets the frames of one connection.
type Receiver interface {
	// Frame is called with one frame at a time, in the order received. The frame's bytes are valid until it returns. While it runs nothing is read, so one
	// that blocks holds its client back, and nobody else. What it sends to its own connection is kept back until all frames of one read have been handled,
	// some milliseconds at most. An error closes the connection with that error as the reason. A panic closes the connection too, and is logged with its
	// stack.
	Frame(frame []byte) error
	// Closed is called once, last, never while Frame runs, with why the connection ended. It is never nil.
	Closed(reason error)
}

// drainedReceiver is a Receiver that wants to know when the client has caught up.
type drainedReceiver interface {
	// Drained is called once for each call of Conn.NotifyDrained, when nothing waits to be written any more, on any goroutine and one at a time. It must not
	// block. Once the connection is closing it is not called any more.
	Drained()
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
	ErrHalfOpen         = errors.New("transport: too many connections that have not shaken hands")
	ErrHalfOpenPrefix   = errors.New("transport: too many connections from this network that have not shaken hands")
	ErrRate             = errors.New("transport: too much in too short a time")
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

	// WriteTimeout is how long a client may take to accept 32 KiB; it may get half as long again, so that the deadline need not be set anew for each write.
	// Default 10 s.
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

	// MaxHalfOpen is how many connections may be open at once for which Ready has not been called. More are refused with ErrHalfOpen. 0: no limit. It bounds
	// what strangers can hold; HandshakeTimeout bounds how long.
	MaxHalfOpen int

	// MaxHalfOpenPerPrefix is how many of them may come from one IPv4 /24 or one IPv6 /48, so that one network can't take all. More are refused with
	// ErrHalfOpenPrefix. 0: no limit.
	MaxHalfOpenPerPrefix int

	// PacketRate is how many frames a second a connection may send on average, and PacketBurst how many at once after a quiet time. One that sends more is
	// closed with ErrRate. Rate 0: no limit. Burst 0: what the rate allows in 2 s.
	PacketRate  float64
	PacketBurst int

	// ByteRate and ByteBurst are the same for the bytes that a connection sends, headers included. ByteBurst 0: what the rate allows in 2 s, and at least
	// MaxFrame.
	ByteRate  float64
	ByteBurst int

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
		{"MaxHalfOpen", int64(c.MaxHalfOpen)},
		{"MaxHalfOpenPerPrefix", int64(c.MaxHalfOpenPerPrefix)},
		{"PacketBurst", int64(c.PacketBurst)},
		{"ByteBurst", int64(c.ByteBurst)},
	} {
		if f.value < 0 {
			return c, fmt.Errorf("transport: Config.%s is %d, expected 0 (the default) or more", f.name, f.value)
		}
	}
	if err := c.checkRates(); err != nil {
		return c, err
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
