package acceptance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/services/gate"
)

// Fuzz tests of whole connections: whatever a client sends, in whatever pieces, its connection ends with a reason, nothing panics, and somebody else plays on.

// fuzzPacket is the longest package that the gates here take.
const fuzzPacket = 1024

// hall is a transport in memory.
type hall struct {
	doors chan net.Conn
	shut  chan struct{}
	once  sync.Once
}

func (h *hall) Accept() (net.Conn, error) {
	select {
	case c := <-h.doors:
		return c, nil
	case <-h.shut:
		return nil, net.ErrClosed
	}
}

func (h *hall) Close() error {
	h.once.Do(func() { close(h.shut) })
	return nil
}

func (*hall) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// leaving is a server's connection that tells when it is closed.
type leaving struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (l *leaving) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Conn.Close()
}

// dial connects; gone is closed when the server has closed the connection.
func (h *hall) dial() (c net.Conn, gone <-chan struct{}) {
	mine, theirs := net.Pipe()
	l := &leaving{Conn: theirs, gone: make(chan struct{})}
	h.doors <- l
	return mine, l.gone
}

// complaints counts what is logged as an error: panics are, and nothing that a client does is.
type complaints struct {
	slog.Handler
	n    atomic.Int64
	last atomic.Pointer[string]
}

func (c *complaints) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	c.last.Store(&text)
	c.n.Add(1)
	return nil
}

func (c *complaints) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *complaints) WithGroup(string) slog.Handler      { return c }

// mirror answers with what it was sent, decoded and encoded again, and pushes it.
func mirror(_ *actor.Context, r *gate.Request) {
	v, err := r.Value()
	if err != nil {
		r.Fail("bad_request", err.Error())
		return
	}
	if r.Session.Push("news", r.Body, gate.Delivery{}) != nil {
		r.Fail("unsayable", "this codec can't carry it back") // a line that ends in two carriage returns
		return
	}
	r.Respond(v)
}

// fuzzGate plays each input against a gate of that codec. tail is what no such connection survives.
func fuzzGate(f *testing.F, codec string, tail []byte, heads ...[]byte) {
	f.Helper()
	log := &complaints{}
	sys := actor.New(actor.Config{Log: slog.New(log)})
	g, err := gate.New(sys, gate.Config{
		Handle: mirror, Login: gate.LoginNone, Codec: codec, MaxPacket: fuzzPacket, Log: slog.New(log), Routes: map[string]uint16{"echo": 7},
		ResumeWindow: time.Second, Transport: transport.Config{Linger: 10 * time.Millisecond, WriteTimeout: time.Second},
	})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := sys.Spawn(g.Spec()); err != nil {
		f.Fatal(err)
	}
	h := &hall{doors: make(chan net.Conn), shut: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, "memory", h) }()
	f.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			f.Error(err)
		}
		ending, done := context.WithTimeout(context.Background(), patience)
		defer done()
		if err := sys.Shutdown(ending); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, how byte, data []byte) {
		sent := bytes.Join([][]byte{heads[int(how)%len(heads)], data, tail}, nil)
		out := h.abuse(t, codec, sent, []int{1, 7, 64, 1 << 20}[how>>6])
		if codec == packet.CodecPomelo {
			checkEnd(t, out, sent)
		}
		if log.n.Load() > 0 {
			t.Fatal(*log.last.Load())
		}
		h.honest(t, codec)
	})
}

// abuse sends everything in pieces of that size and returns what came back until the end.
func (h *hall) abuse(t *testing.T, codec string, data []byte, piece int) []byte {
	t.Helper()
	c, gone := h.dial()
	_ = c.SetDeadline(time.Now().Add(patience))
	var out []byte
	var reading sync.WaitGroup
	reading.Go(func() { out, _ = io.ReadAll(c) })
	for len(data) > 0 {
		n, err := c.Write(data[:min(piece, len(data))])
		data = data[n:]
		if err != nil {
			break // the server has had enough
		}
	}
	if codec == packet.CodecRaw {
		_ = c.Close() // which takes everything
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the server has not closed the connection")
	}
	_ = c.Close()
	reading.Wait()
	return out
}

// checkEnd wants packages and nothing else, the last of them a kick with a code, unless the client has said goodbye.
func checkEnd(t *testing.T, out, sent []byte) {
	t.Helper()
	typ, body := lastPackage(t, out)
	if typ == typeKick {
		var why reason
		if err := json.Unmarshal(body, &why); err != nil || why.Code == "" || why.Code == "internal" {
			t.Fatalf("kicked with %q", body)
		}
		return
	}
	for r := bufio.NewReader(bytes.NewReader(sent)); ; {
		typ, _, err := unpack(r)
		if err != nil {
			t.Fatalf("% x was answered by % x: no kick, and no goodbye was said", sent, out)
		}
		if typ == typeKick {
			return
		}
	}
}

func lastPackage(t *testing.T, out []byte) (typ byte, body []byte) {
	t.Helper()
	for r := bufio.NewReader(bytes.NewReader(out)); ; {
		next, b, err := unpack(r)
		if errors.Is(err, io.EOF) {
			return typ, body
		}
		if err != nil {
			t.Fatalf("half a package: % x", out)
		}
		typ, body = next, b
	}
}

// honest plays a short game on another connection.
func (h *hall) honest(t *testing.T, codec string) {
	t.Helper()
	c, gone := h.dial()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	hello := []byte("hello")
	var err error
	switch codec {
	case packet.CodecPomelo:
		if _, err = greet(c, in, nil); err == nil {
			go func() { _, _ = c.Write(append(pack(typeHandshakeAck, nil), ask(1, "echo", []byte(`"hello"`))...)) }()
			var m message
			for m, err = hear(in); err == nil && m.kind == messagePush; {
				m, err = hear(in)
			}
			if err == nil && (m.id != 1 || string(m.body) != `"hello"`) {
				err = fmt.Errorf("answered %+v", m)
			}
		}
	default:
		sent := map[string][]byte{packet.CodecSkynet: append([]byte{0, 5}, hello...), packet.CodecLine: append(hello, '\n'), packet.CodecRaw: hello}[codec]
		go func() { _, _ = c.Write(sent) }()
		got := make([]byte, 2*len(sent)) // the push and the answer
		if _, err = io.ReadFull(in, got); err == nil && !bytes.Equal(got, append(bytes.Clone(sent), sent...)) {
			err = fmt.Errorf("answered %q", got)
		}
	}
	_ = c.Close()
	if err != nil {
		t.Fatalf("somebody else: %v", err)
	}
	<-gone
}

func FuzzPomeloGate(f *testing.F) {
	shaken := append(pack(typeHandshake, []byte(`{"sys":{"type":"fuzz"}}`)), pack(typeHandshakeAck, nil)...)
	resuming := append(pack(typeHandshake, []byte(`{"sys":{"resume":{}}}`)), pack(typeHandshakeAck, nil)...)
	f.Add(byte(0), []byte{})
	f.Add(byte(1), ask(1, "echo", []byte(`{"a":[1,2.5,"x",null]}`)))
	f.Add(byte(0xc1), askCoded(300, 7, []byte(`"x"`)))
	f.Add(byte(0x42), append(ask(0, "note", []byte(`1`)), pack(typeAck, []byte{1})...))
	f.Add(byte(0x82), pack(typeKick, nil))
	f.Add(byte(0xc0), pack(typeHandshake, []byte(`{"sys":{"resume":{"token":"x","received":7}}}`)))
	f.Add(byte(0xc1), bomb(1 << 20)[:600])
	f.Add(byte(0xc1), append([]byte{}, pack(typeHeartbeat, nil)...))
	// What is unfinished is finished by this, and what follows is no package.
	fuzzGate(f, packet.CodecPomelo, bytes.Repeat([]byte{0xff}, 2*fuzzPacket), nil, shaken, resuming)
}

func FuzzSkynetGate(f *testing.F) {
	f.Add(byte(0xc0), []byte("\x00\x05hello\x00\x00"))
	fuzzGate(f, packet.CodecSkynet, bytes.Repeat([]byte{0xff}, 2*fuzzPacket), nil)
}

func FuzzLineGate(f *testing.F) {
	f.Add(byte(0xc0), []byte("hello\r\n\n\rx\n"))
	fuzzGate(f, packet.CodecLine, bytes.Repeat([]byte("x"), 2*fuzzPacket), nil)
}

func FuzzRawGate(f *testing.F) {
	f.Add(byte(0xc0), []byte("hello"))
	fuzzGate(f, packet.CodecRaw, nil, nil)
}
