package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; it is long because the machine may be busy, and never waited out when all is well.
const patience = time.Minute

var errBadByte = errors.New("0xff is no length")

// split cuts frames of a 2-byte length, header included in the frame.
func split(data []byte) (int, []byte, error) {
	if len(data) > 0 && data[0] == 0xff {
		return 0, nil, errBadByte
	}
	if len(data) < 2 {
		return 0, nil, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(data))
	if len(data) < n {
		return 0, nil, nil
	}
	return n, data[:n], nil
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
}

// session is a Receiver made of functions.
type session struct {
	conn   *transport.Conn
	frame  func(s *session, body string) error
	closed chan error // gets the reason
}

func (s *session) Frame(f []byte) error { return s.frame(s, string(f[2:])) }

func (s *session) Closed(reason error) {
	s.closed <- reason
	close(s.closed) // a second call panics
}

// server is one under test.
type server struct {
	t        *testing.T
	addr     string
	stats    transport.Stats
	sessions chan *session
	stop     func() // ends Serve and waits for it
}

func echo(s *session, body string) error { return s.conn.Send(frame(body)) }

// serve starts a server whose connections are ready at once, unless onOpen is given.
func serve(t *testing.T, cfg transport.Config, onFrame func(*session, string) error, onOpen func(*session) error) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, cfg, onFrame, onOpen)
}

func serveOn(t *testing.T, ln net.Listener, cfg transport.Config, onFrame func(*session, string) error, onOpen func(*session) error) *server {
	t.Helper()
	s := &server{t: t, addr: ln.Addr().String(), sessions: make(chan *session, 20000)}
	if cfg.Split == nil {
		cfg.Split = split
	}
	cfg.Stats = &s.stats
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- transport.Serve(ctx, ln, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			ss := &session{conn: c, frame: onFrame, closed: make(chan error, 1)}
			if onOpen == nil {
				c.Ready()
			} else if err := onOpen(ss); err != nil {
				return nil, err
			}
			s.sessions <- ss
			return ss, nil
		}), cfg)
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
		if open := s.stats.Snapshot(); open.Open != 0 || open.Queued != 0 {
			t.Errorf("after Serve: %d connections and %d queued bytes are left", open.Open, open.Queued)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// next returns the session of the next connection.
func (s *server) next() *session {
	s.t.Helper()
	select {
	case ss := <-s.sessions:
		return ss
	case <-time.After(patience):
		s.t.Fatal("no connection arrives")
		return nil
	}
}

// reason waits for the end of a session.
func (s *session) reason(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.closed:
		return err
	case <-time.After(patience):
		t.Fatal("the connection is not closed")
		return nil
	}
}

func send(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// receive reads one frame.
func receive(c net.Conn) (string, error) {
	var head [2]byte
	if _, err := readFull(c, head[:]); err != nil {
		return "", err
	}
	body := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := readFull(c, body)
	return string(body), err
}

func readFull(c net.Conn, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.Read(p[n:])
		n += m
	}
	if n == len(p) {
		return n, nil
	}
	return n, err
}

func want(t *testing.T, c net.Conn, body string) {
	t.Helper()
	if got, err := receive(c); err != nil || got != body {
		t.Fatalf("received %.40q, %v, expected %.40q", got, err, body)
	}
}

// until waits for a condition on counters, which nothing signals.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(time.Millisecond); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}

// serveHandler starts a server with a handler of the test's own.
func serveHandler(t testing.TB, ln net.Listener, open func(*transport.Conn) (transport.Receiver, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- transport.Serve(ctx, ln, transport.HandlerFunc(open), transport.Config{Split: split}) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}
