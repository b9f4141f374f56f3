package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// webSocket reads the messages as pieces of one stream, in the caller's buffer: an idle connection holds none (RFC 6455, 5).
type webSocket struct {
	conn  net.Conn
	below net.Conn // without TLS
	early []byte   // read by the handshake

	head    [ws.MaxHeaderSize]byte // of the frame to come, as far as it is there
	headLen int
	frame   ws.Header
	left    int64 // of the frame's payload
	partial bool  // between the fragments of a message
	control []byte
	end     error // what every further Read returns

	writing sync.Mutex // held while a frame is written
	closed  bool       // by a close frame of ours
}

func dialWS(ctx context.Context, u *url.URL, opts Options) (wire, error) {
	w := &webSocket{}
	d := ws.Dialer{
		ReadBufferSize: smallInput, WriteBufferSize: smallInput,
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := opts.NetDial(ctx, network, addr)
			w.below = nc
			return nc, err
		},
		TLSClient: func(nc net.Conn, _ string) net.Conn { return tls.Client(nc, tlsConfig(opts.TLS, u.Hostname())) },
	}
	conn, br, _, err := d.Dial(ctx, u.String())
	if err != nil {
		if w.below != nil {
			_ = w.below.Close()
		}
		return nil, err
	}
	w.conn = conn
	if br != nil {
		w.takeEarly(br)
	}
	return w, nil
}

// takeEarly keeps what the handshake has read of the first frames.
func (w *webSocket) takeEarly(br *bufio.Reader) {
	have, _ := br.Peek(br.Buffered()) // what is buffered is there
	w.early = append([]byte(nil), have...)
	ws.PutReader(br)
}

// Read reads from the stream that the messages make.
func (w *webSocket) Read(p []byte) (int, error) {
	for w.end == nil {
		n, err := w.receive(p)
		var out int
		if n > 0 {
			out, w.end = w.parse(p[:n])
		}
		if w.end == nil {
			w.end = err
		}
		if out > 0 {
			return out, nil // an error comes again with the next Read
		}
	}
	return 0, w.end
}

func (w *webSocket) receive(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		w.early = w.early[n:]
		return n, nil
	}
	return w.conn.Read(p)
}

// parse turns raw bytes into payload bytes, in place, and returns how many there are; those before an error are good.
func (w *webSocket) parse(raw []byte) (out int, err error) {
	for in := raw; len(in) > 0; {
		if w.left == 0 {
			n, whole := w.header(in)
			in = in[n:]
			if !whole {
				break
			}
			if err := w.begin(); err != nil {
				return out, err
			}
		}
		piece := in[:min(int64(len(in)), w.left)]
		in = in[len(piece):]
		w.left -= int64(len(piece))
		if w.frame.OpCode.IsControl() {
			w.control = append(w.control, piece...) // at most 125 bytes
		} else {
			out += copy(raw[out:], piece) // payload is never ahead of what was read
		}
		if w.left == 0 {
			if err := w.finish(); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// header takes a frame's header (RFC 6455, 5.2) from in, which may hold only a part of it.
func (w *webSocket) header(in []byte) (n int, whole bool) {
	for w.headLen < 2 || w.headLen < headerSize(w.head[1]) {
		if n == len(in) {
			return n, false
		}
		w.head[w.headLen] = in[n]
		w.headLen++
		n++
	}
	h := w.head[:w.headLen]
	w.headLen = 0
	w.frame = ws.Header{Fin: h[0]&0x80 != 0, Rsv: h[0] >> 4 & 7, OpCode: ws.OpCode(h[0] & 0x0f), Masked: h[1]&0x80 != 0, Length: int64(h[1] & 0x7f)}
	switch w.frame.Length {
	case 126:
		w.frame.Length = int64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		w.frame.Length = int64(binary.BigEndian.Uint64(h[2:]))
	}
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
func (w *webSocket) begin() error {
	h, state := w.frame, ws.StateClientSide
	if w.partial {
		state = state.Set(ws.StateFragmented)
	}
	switch err := ws.CheckHeader(h, state); {
	case err != nil:
		return w.refuse(ws.StatusProtocolError, err)
	case h.Length < 0:
		return w.refuse(ws.StatusProtocolError, errors.New("a frame longer than 63 bits can say"))
	case h.OpCode == ws.OpText:
		return w.refuse(ws.StatusUnsupportedData, errors.New("text message, expected binary ones"))
	case h.OpCode.IsControl():
		w.control = w.control[:0]
	default:
		w.partial = !h.Fin
	}
	w.left = h.Length
	return nil
}

// finish handles a frame that is whole.
func (w *webSocket) finish() error {
	switch w.frame.OpCode {
	case ws.OpPing:
		return w.send(ws.OpPong, w.control, controlTimeout)
	case ws.OpClose:
		code, why := ws.ParseCloseFrameData(w.control)
		_ = w.bye(ws.StatusNormalClosure) // its answer; the connection ends in any case
		if code == ws.StatusNormalClosure || code == ws.StatusGoingAway || code.Empty() {
			return io.EOF
		}
		return fmt.Errorf("closed with code %d %s", code, why)
	}
	return nil
}

func (w *webSocket) refuse(code ws.StatusCode, why error) error {
	_ = w.bye(code)
	return fmt.Errorf("%w: websocket: %w", ErrProtocol, why)
}

// controlTimeout is how long the server may take to accept a pong or a close.
const controlTimeout = 200 * time.Millisecond

func (w *webSocket) bye(code ws.StatusCode) error {
	return w.send(ws.OpClose, ws.NewCloseFrameBody(code, ""), controlTimeout)
}

// frames are buffers for frames on their way out.
//
//nolint:gochecknoglobals // a cache, which no caller can tell from none
var frames = sync.Pool{New: func() any { return new([]byte) }}

// keptFrame is the largest buffer that is kept.
const keptFrame = 64 << 10

// send writes one frame; nothing follows a close frame.
func (w *webSocket) send(op ws.OpCode, payload []byte, timeout time.Duration) error {
	buf := frames.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	out := appendFrame((*buf)[:0], op, payload)
	defer func() {
		if cap(out) <= keptFrame {
			*buf = out
			frames.Put(buf)
		}
	}()
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	w.closed = op == ws.OpClose
	if err := w.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := w.conn.Write(out)
	return err
}

// appendFrame appends a masked final frame (RFC 6455, 5.2 and 5.3).
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	const masked = 0x80
	first := 0x80 | byte(op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, masked|byte(n))
	case n < 1<<16:
		dst = append(dst, first, masked|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, first, masked|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	mask := ws.NewMask()
	dst = append(dst, mask[:]...)
	at := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[at:], mask, 0)
	return dst
}

func (w *webSocket) WriteAll(p []byte, timeout time.Duration) error {
	return w.send(ws.OpBinary, p, timeout)
}

func (w *webSocket) HasEnd() bool { return true }

// Goodbye sends a close frame: 1000, which ends the session.
func (w *webSocket) Goodbye() { _ = w.bye(ws.StatusNormalClosure) }

func (w *webSocket) Close() error { return w.below.Close() }
