package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// Errors of Read. They come wrapped, after the close frame that tells the client.
var (
	ErrProtocol = errors.New("ws: protocol error")                  // close code 1002
	ErrText     = errors.New("ws: text message")                    // close code 1003
	ErrTooLong  = errors.New("ws: message too long")                // close code 1009
	ErrFlood    = errors.New("ws: too many frames without content") // close code 1008
)

// controlTimeout is how long a client may take to accept a pong or a close.
const controlTimeout = 5 * time.Second

// conn is a WebSocket as a net.Conn. Reads, by one goroutine at a time, parse in the caller's buffer, so an idle connection holds none.
type conn struct {
	net.Conn
	l     *Listener
	early []byte // read before us
	in    parser
	err   error // what every further Read returns

	writing sync.Mutex // held while a frame is written

	mu      sync.Mutex // for what follows; never held during a write
	pong    []byte     // the payload of the ping to answer: only the newest counts (RFC 6455, 5.5.3)
	pinged  bool
	goodbye []byte // the payload of the close frame to send
	closing bool   // a close frame has been or is being sent: nothing may follow
	writeBy time.Time
}

// NetConn is the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// parser is where in the stream of frames the connection is.
type parser struct {
	head    [ws.MaxHeaderSize]byte
	headLen int
	frame   ws.Header
	left    int64 // of the frame's payload
	pos     int   // in the frame's payload, for the mask
	message int64 // bytes of the message so far
	partial bool  // between the fragments of a message
	control []byte
	idleBy  int64 // when as many frames without content may come at once again as ever, ns since 1970
}

// teller is a connection that tells when there is something to read, see package transport.
type teller interface {
	ReadNow(p []byte) (n int, err error)
	Notify(f func())
}

// tellingConn is a WebSocket over such a connection, which tells as well.
type tellingConn struct {
	*conn
	beneath teller
}

// newConn makes a WebSocket of a connection whose handshake is over. early is what has been read from it already.
func newConn(nc net.Conn, l *Listener, early []byte) net.Conn {
	c := &conn{Conn: nc, l: l, early: early}
	if t, ok := nc.(teller); ok {
		return &tellingConn{c, t}
	}
	return c
}

// ReadNow is Read that does not wait.
func (c *tellingConn) ReadNow(p []byte) (int, error) { return c.read(p, c.beneath.ReadNow) }

// Notify sets what is called when there is something to read.
func (c *tellingConn) Notify(f func()) {
	early := len(c.early) > 0 // whoever reads does so behind the first call
	c.beneath.Notify(f)
	if early && f != nil {
		f()
	}
}

// Read reads from the stream that the messages make.
func (c *conn) Read(p []byte) (int, error) { return c.read(p, c.Conn.Read) }

func (c *conn) read(p []byte, from func([]byte) (int, error)) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := c.receive(p, from)
		if n == 0 && err == nil {
			return 0, nil // nothing is there now
		}
		var out int
		if n > 0 {
			var failed error
			if out, failed = c.parse(p[:n]); failed != nil {
				c.err = failed
				err = failed
			}
		}
		if out > 0 {
			return out, nil // an error comes again with the next Read
		}
		if err != nil {
			return 0, err
		}
	}
}

func (c *conn) receive(p []byte, from func([]byte) (int, error)) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return from(p)
}

// parse turns raw bytes into payload bytes, in place, and returns how many there are; those before an error are good.
func (c *conn) parse(raw []byte) (out int, err error) {
	in := raw
	for len(in) > 0 {
		if c.in.left == 0 {
			n, whole := c.in.header(in)
			in = in[n:]
			if !whole {
				break
			}
			if err := c.begin(); err != nil {
				return out, err
			}
			if c.in.left > 0 {
				continue
			}
		} else {
			piece := in[:min(int64(len(in)), c.in.left)]
			in = in[len(piece):]
			if c.in.frame.OpCode.IsControl() {
				c.in.control = append(c.in.control, piece...)
			} else {
				copy(raw[out:], piece) // payload is never ahead of what was read
				ws.Cipher(raw[out:out+len(piece)], c.in.frame.Mask, c.in.pos)
				out += len(piece)
			}
			c.in.pos = (c.in.pos + len(piece)) & 3
			c.in.left -= int64(len(piece))
		}
		if c.in.left == 0 {
			if err := c.finish(); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// header takes a frame's header (RFC 6455, 5.2) from in, which may hold only a part of it.
func (p *parser) header(in []byte) (n int, whole bool) {
	need := 2
	if p.headLen >= need {
		need = headerSize(p.head[1])
	}
	for {
		take := min(need-p.headLen, len(in)-n)
		copy(p.head[p.headLen:], in[n:n+take])
		p.headLen += take
		n += take
		if p.headLen < need {
			return n, false
		}
		if full := headerSize(p.head[1]); full > need {
			need = full
			continue
		}
		break
	}
	h := p.head[:need]
	p.headLen = 0
	p.frame = ws.Header{Fin: h[0]&0x80 != 0, Rsv: h[0] >> 4 & 7, OpCode: ws.OpCode(h[0] & 0x0f), Masked: h[1]&0x80 != 0, Length: int64(h[1] & 0x7f)}
	rest := h[2:]
	switch p.frame.Length {
	case 126:
		p.frame.Length = int64(binary.BigEndian.Uint16(rest))
		rest = rest[2:]
	case 127:
		p.frame.Length = int64(binary.BigEndian.Uint64(rest))
		rest = rest[8:]
	}
	copy(p.frame.Mask[:], rest)
	return n, true
}

func headerSize(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

// begin checks a frame whose header is there.
func (c *conn) begin() error {
	h, state := c.in.frame, ws.StateServerSide
	if c.in.partial {
		state = state.Set(ws.StateFragmented)
	}
	switch err := ws.CheckHeader(h, state); {
	case err != nil:
		return c.fail(ws.StatusProtocolError, fmt.Errorf("%w: %w", ErrProtocol, err))
	case h.Length < 0:
		return c.fail(ws.StatusProtocolError, fmt.Errorf("%w: a length beyond 63 bits", ErrProtocol))
	case h.OpCode == ws.OpText:
		return c.fail(ws.StatusUnsupportedData, fmt.Errorf("%w: expected binary ones", ErrText))
	case h.OpCode.IsControl():
		c.in.control = c.in.control[:0]
	default:
		if limit := c.l.cfg.MaxMessage; h.Length > limit-c.in.message {
			return c.fail(ws.StatusMessageTooBig, fmt.Errorf("%w: %d bytes and more, at most %d are accepted", ErrTooLong, c.in.message+h.Length, limit))
		}
		c.in.message += h.Length
		c.in.partial = !h.Fin
	}
	c.in.left, c.in.pos = h.Length, 0
	return nil
}

// afford counts a frame that has nothing for who reads against Config.ControlRate (the generic cell rate algorithm, ITU-T I.371).
func (c *conn) afford() error {
	const burst = 10 * time.Second
	now := time.Now().UnixNano()
	by := max(c.in.idleBy, now) + int64(time.Second)/int64(c.l.cfg.ControlRate)
	if by-now > int64(burst) {
		return c.fail(ws.StatusPolicyViolation, fmt.Errorf("%w: more than %d a second", ErrFlood, c.l.cfg.ControlRate))
	}
	c.in.idleBy = by
	return nil
}

// finish acts on a frame that is there as a whole.
func (c *conn) finish() error {
	h := c.in.frame
	if h.OpCode.IsControl() || h.Length == 0 {
		if err := c.afford(); err != nil {
			return err
		}
	}
	if !h.OpCode.IsControl() {
		if h.Fin {
			c.in.message = 0
		}
		return nil
	}
	ws.Cipher(c.in.control, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		c.mu.Lock()
		c.pong, c.pinged = append(c.pong[:0], c.in.control...), true
		c.mu.Unlock()
		c.sendControl()
	case ws.OpClose:
		return c.peerCloses(c.in.control)
	}
	return nil
}

// peerCloses answers a close with the same code, once, and ends the stream.
func (c *conn) peerCloses(payload []byte) error {
	code := ws.StatusNormalClosure
	if len(payload) >= 2 {
		code = ws.StatusCode(binary.BigEndian.Uint16(payload))
		if err := ws.CheckCloseFrameData(code, string(payload[2:])); err != nil {
			return c.fail(ws.StatusProtocolError, fmt.Errorf("%w: close frame: %w", ErrProtocol, err))
		}
	} else if len(payload) == 1 {
		return c.fail(ws.StatusProtocolError, fmt.Errorf("%w: close frame with half a code", ErrProtocol))
	}
	c.sayGoodbye(code, "")
	if code == ws.StatusNormalClosure {
		return errGoodbye
	}
	return io.EOF
}

// goodbye is the end of a stream whose client has said that it is done, with code 1000: an io.EOF that can be told from that of a connection which just ended.
type goodbye struct{}

var errGoodbye error = goodbye{}

// Error says so.
func (goodbye) Error() string { return "ws: closed by the client with code 1000" }

// Unwrap makes it an io.EOF for errors.Is.
func (goodbye) Unwrap() error { return io.EOF }

// Clean tells whoever looks for it that the client has left on purpose.
func (goodbye) Clean() bool { return true }

// fail tells the client why its connection ends, and returns err.
func (c *conn) fail(code ws.StatusCode, err error) error {
	c.sayGoodbye(code, err.Error())
	return err
}
