package ws

import (
	"errors"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// keptBuffer is the largest buffer for outgoing messages that is kept for re-use.
const keptBuffer = 64 << 10

// Write sends p as one message.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.WriteFrames([][]byte{p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteFrames sends each frame as one message, all of them with one system call. The bytes are valid until it returns.
func (c *conn) WriteFrames(frames [][]byte) error {
	buf := c.l.buffers.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	out := (*buf)[:0]
	for _, f := range frames {
		out = appendFrame(out, ws.OpBinary, f)
	}
	c.writing.Lock()
	err := net.ErrClosed
	if !c.isClosing() {
		_, err = c.Conn.Write(out)
	}
	c.writing.Unlock()
	if cap(out) <= keptBuffer {
		*buf = out
		c.l.buffers.Put(buf)
	}
	c.sendControl() // what came up meanwhile
	return err
}

// appendFrame appends an unmasked final frame (RFC 6455, 5.2).
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	first := 0x80 | byte(op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, byte(n))
	case n < 1<<16:
		dst = append(dst, first, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, first, 127, byte(uint64(n)>>56), byte(uint64(n)>>48), byte(uint64(n)>>40), byte(uint64(n)>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, payload...)
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// sayGoodbye sends a close frame, unless one was sent.
func (c *conn) sayGoodbye(code ws.StatusCode, why string) {
	const longest = ws.MaxControlFramePayloadSize - 2
	c.mu.Lock()
	if c.goodbye == nil {
		c.goodbye = ws.NewCloseFrameBody(code, why[:min(len(why), longest)])
	}
	c.mu.Unlock()
	c.sendControl()
}

// sendControl sends the pong and the close frame that are due. It waits for nobody: when a message is being written, its writer calls this again
// afterwards.
func (c *conn) sendControl() {
	for c.controlDue() && c.writing.TryLock() {
		out := c.takeControl()
		if len(out) > 0 {
			_ = c.Conn.SetWriteDeadline(time.Now().Add(controlTimeout)) // the one set for the last message may be over
			_, _ = c.Conn.Write(out)                                    // a failure shows in the next Read or Write
			c.mu.Lock()
			_ = c.Conn.SetWriteDeadline(c.writeBy) // whoever set it may rely on it
			c.mu.Unlock()
		}
		c.writing.Unlock()
	}
}

func (c *conn) controlDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closing && (c.pinged || c.goodbye != nil)
}

func (c *conn) takeControl() (out []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	if c.pinged {
		out = appendFrame(out, ws.OpPong, c.pong)
		c.pinged = false
	}
	if c.goodbye != nil {
		out = appendFrame(out, ws.OpClose, c.goodbye)
		c.closing = true
	}
	return out
}

// SetWriteDeadline is for messages; control frames have a time of their own.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite says goodbye (1000) and leaves the connection open for the client's answer.
func (c *conn) CloseWrite() error {
	c.sayGoodbye(ws.StatusNormalClosure, "")
	return nil
}

// Close says goodbye (1001) if nobody has, when that is possible at once, and closes the connection.
func (c *conn) Close() error {
	c.sayGoodbye(ws.StatusGoingAway, "")
	return c.Conn.Close()
}
