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

// telling is a connection in memory that tells when there is something to read.
type telling struct {
	net.Conn // never used
	in       []byte
	end      error
	out      []byte
	notify   func()
	writeBy  time.Time
	wroteBy  []time.Time // the deadline of each write
}

func (c *telling) ReadNow(p []byte) (int, error) {
	n := copy(p, c.in)
	if c.in = c.in[n:]; n == 0 {
		return 0, c.end
	}
	return n, nil
}

func (c *telling) Notify(f func()) { c.notify = f }

func (c *telling) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	c.wroteBy = append(c.wroteBy, c.writeBy)
	return len(p), nil
}

func (c *telling) SetWriteDeadline(t time.Time) error { c.writeBy = t; return nil }

type teller interface {
	net.Conn
	ReadNow(p []byte) (int, error)
	Notify(f func())
}

func TestAWebSocketTellsWhenTheConnectionBeneathDoes(t *testing.T) {
	if _, ok := ws.NewConn(struct{ net.Conn }{}, ws.Config{}).(teller); ok {
		t.Error("a WebSocket tells over a connection that does not")
	}
	beneath := &telling{}
	c := ws.NewConn(beneath, ws.Config{}).(teller)
	told := 0
	c.Notify(func() { told++ })
	if beneath.notify == nil || told != 0 {
		t.Fatalf("told %d times", told)
	}
	buf := make([]byte, 100)
	for i := range 3 {
		for _, b := range masked(gobwas.NewBinaryFrame([]byte("message"))) { // byte by byte
			if n, err := c.ReadNow(buf); n != 0 || err != nil {
				t.Fatalf("read %q, %v of nothing", buf[:n], err)
			}
			beneath.in = []byte{b}
			if n, err := c.ReadNow(buf[i:]); err != nil {
				t.Fatal(err)
			} else if n > 0 {
				i += n
			}
		}
	}
	if got := string(buf[2:9]); got != "message" {
		t.Errorf("read %q", got)
	}
	beneath.end = io.ErrUnexpectedEOF
	if _, err := c.ReadNow(buf); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %v", err)
	}
}

func TestWhatCameWithTheHandshakeIsTold(t *testing.T) {
	beneath := &telling{}
	c := ws.NewConnBehind(beneath, masked(gobwas.NewBinaryFrame([]byte("early")))).(teller)
	told := 0
	c.Notify(func() { told++ })
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	buf := make([]byte, 100)
	if n, err := c.ReadNow(buf); string(buf[:n]) != "early" || err != nil {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}

func TestAControlFrameLeavesTheWriteDeadlineAsItWas(t *testing.T) {
	beneath := &telling{}
	c := ws.NewConn(beneath, ws.Config{}).(teller)
	by := time.Now().Add(time.Hour)
	if err := c.SetWriteDeadline(by); err != nil {
		t.Fatal(err)
	}
	beneath.in = masked(gobwas.NewPingFrame([]byte("ping")))
	if _, err := c.ReadNow(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if len(beneath.wroteBy) != 1 || !beneath.wroteBy[0].Before(by) {
		t.Errorf("the pong was written with deadlines %v", beneath.wroteBy)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := beneath.wroteBy[1]; !got.Equal(by) {
		t.Errorf("the message was written with deadline %v, expected %v", got, by)
	}
}

func TestAFloodOfFramesWithoutContentIsCutOff(t *testing.T) {
	empty := gobwas.NewBinaryFrame(nil)
	for name, f := range map[string]gobwas.Frame{"ping": gobwas.NewPingFrame(nil), "pong": gobwas.NewPongFrame(nil), "empty message": empty} {
		beneath := &telling{}
		c := ws.NewConn(beneath, ws.Config{ControlRate: 1}).(teller)
		var err error
		frames := 0
		for buf := make([]byte, 100); err == nil && frames < 1000; frames++ {
			beneath.in = masked(f)
			_, err = c.ReadNow(buf)
		}
		if !errors.Is(err, ws.ErrFlood) || frames < 10 {
			t.Errorf("%s: %v after %d", name, err, frames)
		}
		if want := gobwas.NewCloseFrameBody(gobwas.StatusPolicyViolation, err.Error()); !bytes.Contains(beneath.out, want) {
			t.Errorf("%s: the client is told %q", name, beneath.out)
		}
	}
}
