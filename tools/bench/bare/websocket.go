package bare

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/gobwas/ws"
)

// echoWebSocket answers each frame with its unmasked payload, in one write.
func echoWebSocket(conn net.Conn) error {
	if _, err := ws.Upgrade(conn); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 512)
	var buf [Payload]byte
	var out bytes.Buffer
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return err
		}
		if h.Length != Payload {
			return fmt.Errorf("bare: a WebSocket frame of %d bytes", h.Length)
		}
		if _, err := io.ReadFull(r, buf[:]); err != nil {
			return err
		}
		ws.Cipher(buf[:], h.Mask, 0)
		out.Reset()
		if err := writeFrame(&out, ws.Header{Fin: true, OpCode: ws.OpBinary, Length: Payload}, buf[:]); err != nil {
			return err
		}
		if _, err := conn.Write(out.Bytes()); err != nil {
			return err
		}
	}
}

func writeFrame(w *bytes.Buffer, h ws.Header, payload []byte) error {
	if err := ws.WriteHeader(w, h); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// webSocket is the client of echoWebSocket.
type webSocket struct {
	conn net.Conn
	r    *bufio.Reader
	n    uint64
	out  bytes.Buffer
	got  [Payload]byte
}

func (c *webSocket) Exchange() error {
	c.n++
	var payload [Payload]byte
	binary.BigEndian.PutUint64(payload[:], c.n)
	mask := ws.NewMask()
	ws.Cipher(payload[:], mask, 0)
	c.out.Reset()
	if err := writeFrame(&c.out, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: mask, Length: Payload}, payload[:]); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		return err
	}
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		return err
	}
	if h.Length != Payload || h.Masked {
		return fmt.Errorf("bare: an answer of %d bytes", h.Length)
	}
	if _, err := io.ReadFull(c.r, c.got[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(c.got[:]) != c.n {
		return errors.New("bare: the answer is another request's")
	}
	return nil
}

func (c *webSocket) Close() error { return c.conn.Close() }
