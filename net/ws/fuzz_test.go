package ws_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/skua-go/skua/net/ws"
)

// canned is a connection that reads from memory, so many bytes at a time, and remembers what is written.
type canned struct {
	net.Conn
	in   []byte
	step int
	out  bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.step)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }
func (c *canned) Close() error                     { return nil }

// FuzzRead: whatever the bytes, they mean the same however they are cut, payloads are never longer than what carried them, and what is answered
// are whole frames of a server.
func FuzzRead(f *testing.F) {
	f.Add(masked(gobwas.NewBinaryFrame([]byte("hello"))), byte(1), byte(3))
	f.Add(masked(gobwas.NewBinaryFrame(make([]byte, 70000))), byte(200), byte(0))
	f.Add(append(masked(gobwas.NewPingFrame([]byte("p"))), masked(gobwas.NewFrame(gobwas.OpBinary, false, []byte("ab")))...), byte(2), byte(1))
	f.Add(masked(gobwas.NewCloseFrame(gobwas.NewCloseFrameBody(1000, "bye"))), byte(5), byte(9))
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, byte(1), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, step, size byte) {
		read := func(step, size int) ([]byte, *canned, error) {
			c := &canned{in: bytes.Clone(data), step: step}
			conn := ws.NewConn(c, ws.Config{MaxMessage: 1 << 12})
			var got []byte
			buf := make([]byte, size)
			for {
				n, err := conn.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					return got, c, err
				}
			}
		}
		whole, c, err := read(len(data)+1, len(data)+1)
		cut, cutC, cutErr := read(int(step)+1, int(size)+1)
		if !bytes.Equal(whole, cut) || err.Error() != cutErr.Error() {
			t.Fatalf("%d bytes, %v as a whole; %d bytes, %v in pieces", len(whole), err, len(cut), cutErr)
		}
		if len(whole) > len(data) {
			t.Fatalf("%d bytes out of %d", len(whole), len(data))
		}
		for _, c := range []*canned{c, cutC} {
			for c.out.Len() > 0 {
				h, err := gobwas.ReadHeader(&c.out)
				if err == nil {
					err = gobwas.CheckHeader(h, gobwas.StateClientSide)
				}
				if err == nil && int64(c.out.Len()) < h.Length {
					err = errors.New("payload cut off")
				}
				if err != nil {
					t.Fatalf("answer: %+v, %v", h, err)
				}
				c.out.Next(int(h.Length))
			}
		}
	})
}
