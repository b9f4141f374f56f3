package rtmp_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
	"github.com/skua-go/skua/net/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what has to happen soon, on a busy machine with the race detector.
const patience = time.Minute

// hall is a server with one stream, to which everybody is let in but those who ask for "closed".
type hall struct {
	testing.TB
	addr   string
	stream *media.Stream
	server *rtmp.Server
	log    *logtest.Buffer

	mu    sync.Mutex
	asked []rtmp.Request
}

var errClosed = errors.New("this room is closed")

func (h *hall) note(r rtmp.Request) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, r)
	if r.Stream == "closed" {
		return errClosed
	}
	return nil
}

func (h *hall) Publish(_ context.Context, r rtmp.Request, ended func(error)) (*media.Publisher, error) {
	if err := h.note(r); err != nil {
		return nil, err
	}
	return h.stream.Publish(ended)
}

func (h *hall) Play(_ context.Context, r rtmp.Request) (*media.Viewer, error) {
	if err := h.note(r); err != nil {
		return nil, err
	}
	return h.stream.Join(media.ViewerConfig{Lag: time.Minute}) // nobody skips because the machine is busy
}

func open(tb testing.TB, cfg rtmp.Config) *hall {
	tb.Helper()
	h := &hall{TB: tb, stream: media.New(media.Config{})}
	cfg.Rooms = h
	cfg.Log, h.log = logtest.New(tb)
	var err error
	if h.server, err = rtmp.New(cfg); err != nil {
		tb.Fatal(err)
	}
	ln, err := tcp.Listen(tb.Context(), "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(ctx, ln) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return h
}

// until waits for a condition.
func (h *hall) until(what string, met func() bool) {
	h.Helper()
	for end := time.Now().Add(patience); !met(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("not in time: %s", what)
		}
	}
}

// peer is a client that says what a test wants.
type peer struct {
	*hall
	conn net.Conn
	r    *bufio.Reader
	size int // of the server's chunks
}

// dial connects and does its handshake.
func (h *hall) dial() *peer {
	h.Helper()
	p := h.connect()
	hello := make([]byte, 1+2*1536)
	hello[0] = 3
	p.say(hello)
	if _, err := io.ReadFull(p.r, hello); err != nil {
		h.Fatal(err)
	}
	return p
}

func (h *hall) connect() *peer {
	h.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.Context(), "tcp", h.addr)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		h.Fatal(err)
	}
	return &peer{hall: h, conn: conn, r: bufio.NewReader(conn), size: 128}
}

// say writes bytes; that the server does not take all of them is for the test to see.
func (p *peer) say(b []byte) { _, _ = p.conn.Write(b) }

// header is the whole first header of a message.
func header(id, kind byte, stream uint32, size int) []byte {
	b := []byte{id, 0, 0, 0, byte(size >> 16), byte(size >> 8), byte(size), kind}
	return binary.LittleEndian.AppendUint32(b, stream)
}

// message is one in chunks of 128 bytes.
func message(id, kind byte, stream uint32, body []byte) []byte {
	b := header(id, kind, stream, len(body))
	for i := 0; i < len(body); i += 128 {
		if i > 0 {
			b = append(b, 0xc0|id)
		}
		b = append(b, body[i:min(len(body), i+128)]...)
	}
	return b
}

func command(stream uint32, values ...any) []byte {
	return message(3, 20, stream, amf.Append(nil, values...))
}

// hello says connect.
func (p *peer) hello() { p.say(command(0, "connect", 1, amf.Object{{Key: "app", Value: "live"}})) }

// read gives the next message of the server, which sends each on one chunk stream at a time.
func (p *peer) read() (kind byte, body []byte, err error) {
	var h [12]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, int(h[4])<<16|int(h[5])<<8|int(h[6]))
	for i := 0; i < len(body); i += p.size {
		if i > 0 {
			if _, err := p.r.Discard(1); err != nil {
				return 0, nil, err
			}
		}
		if _, err := io.ReadFull(p.r, body[i:min(len(body), i+p.size)]); err != nil {
			return 0, nil, err
		}
	}
	if h[7] == 1 {
		p.size = int(binary.BigEndian.Uint32(body))
	}
	return h[7], body, nil
}

// status waits for an onStatus and gives its code and description.
func (p *peer) status() (code, description string) {
	p.Helper()
	for {
		kind, body, err := p.read()
		if err != nil {
			p.Fatalf("no status: %v", err)
		}
		values, _ := amf.Decode(body)
		if kind != 20 || values[0] != "onStatus" {
			continue
		}
		about := values[3].(amf.Object)
		return about.Get("code").(string), about.Get("description").(string)
	}
}

// ended waits until the server has closed the connection.
func (p *peer) ended() {
	p.Helper()
	for {
		if _, err := p.r.Discard(1); err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				p.Fatal("the server has not closed the connection")
			}
			return
		}
	}
}
