package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/net/ws"
)

// kcp-go has timer goroutines of its own that last as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

const patience = time.Minute

var transports = []string{"tcp", "kcp", "ws"}

// server is a small one of the real protocol on the real transports.
type server struct {
	t         *testing.T
	url       string
	stats     transport.Stats
	sessions  chan *session
	dict      map[string]uint16
	heartbeat float64
	media     *packet.MediaOffer
	code      int
	handle    func(s *session, m packet.Message) // nil: echo
	raw       func(s *session, p packet.Packet) error
	stop      func()
}

type session struct {
	srv    *server
	conn   *transport.Conn
	routes *packet.Routes
	hello  packet.HandshakeRequest
	closed chan error
}

func (s *session) Closed(reason error) { s.closed <- reason }

func (s *session) Frame(frame []byte) error {
	p, err := packet.Decode(frame)
	if err != nil {
		return err
	}
	if s.srv.raw != nil {
		return s.srv.raw(s, p)
	}
	return s.packet(p)
}

func (s *session) packet(p packet.Packet) error {
	switch p.Type {
	case packet.Handshake:
		var err error
		if s.hello, err = packet.DecodeHandshakeRequest(p.Body); err != nil {
			return err
		}
		out, err := packet.AppendHandshake(nil, packet.HandshakeResponse{
			Code: s.srv.code, Msg: "as you like",
			Sys: packet.ServerSys{Heartbeat: s.srv.heartbeat, Dict: s.srv.dict, Serializer: "json", Media: s.srv.media}, User: json.RawMessage(`{"motd":"hi"}`),
		})
		if err != nil {
			return err
		}
		return s.conn.Send(out)
	case packet.HandshakeAck:
		s.conn.Ready()
		s.srv.sessions <- s
		return s.conn.Send(packet.AppendHeartbeat(nil))
	case packet.Heartbeat:
		return s.conn.Send(packet.AppendHeartbeat(nil))
	case packet.Kick, packet.Ack:
		return fmt.Errorf("a %s package in a session without resume", p.Type)
	case packet.Data:
	}
	m, err := packet.DecodeMessage(p.Body, s.routes, 1<<16)
	if err != nil {
		return err
	}
	if err := m.Type.SentBy(packet.Client); err != nil {
		return err
	}
	if s.srv.handle != nil {
		s.srv.handle(s, m)
		return nil
	}
	if m.Type == packet.Notify {
		s.push(m.Route, m.Body)
		return nil
	}
	s.answer(m.ID, m.Body)
	return nil
}

func (s *session) message(m packet.Message) {
	out, err := packet.AppendData(nil, m, s.routes)
	if err != nil {
		s.srv.t.Error(err)
		return
	}
	_ = s.conn.Send(out) // a closed connection shows in the test's own way
}

func (s *session) answer(id uint64, body []byte) {
	s.message(packet.Message{Type: packet.Response, ID: id, Body: body})
}

func (s *session) push(route string, body []byte) {
	s.message(packet.Message{Type: packet.Push, Route: route, Body: body})
}

func (s *session) fail(id uint64, r packet.Reason) {
	out, err := packet.AppendError(nil, id, r)
	if err != nil {
		s.srv.t.Error(err)
	}
	_ = s.conn.Send(out)
}

// serve starts a server on a transport; change, if not nil, changes it before.
func serve(t *testing.T, kind string, change func(s *server, cfg *transport.Config)) *server {
	t.Helper()
	s := &server{t: t, sessions: make(chan *session, 1000), heartbeat: 30, code: packet.CodeOK}
	cfg := transport.Config{Name: kind, Split: packet.Split(1 << 16), MaxFrame: 1<<16 + 4, Stats: &s.stats}
	cfg.Farewell = func(reason error) []byte {
		return packet.AppendKick(nil, packet.Reason{Code: transport.Class(reason), Msg: reason.Error()})
	}
	if change != nil {
		change(s, &cfg)
	}
	routes, err := packet.NewRoutes(s.dict)
	if err != nil {
		t.Fatal(err)
	}
	ln, closeHTTP := s.listen(kind)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- transport.Serve(ctx, ln, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			return &session{srv: s, conn: c, routes: routes, closed: make(chan error, 1)}, nil
		}), cfg)
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		closeHTTP()
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) listen(kind string) (net.Listener, func()) {
	s.t.Helper()
	var ln net.Listener
	var err error
	switch kind {
	case "tcp":
		ln, err = tcp.Listen(context.Background(), "127.0.0.1:0")
	case "kcp":
		ln, err = kcp.Listen("127.0.0.1:0", kcp.Config{})
	case "ws":
		l := ws.NewListener(ws.Config{})
		mux := http.NewServeMux()
		mux.Handle("/ws", l)
		hs := httptest.NewServer(mux)
		s.url = "ws" + strings.TrimPrefix(hs.URL, "http") + "/ws"
		return l, func() { hs.Close(); http.DefaultClient.CloseIdleConnections() }
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.url = kind + "://" + ln.Addr().String()
	return ln, func() {}
}

func (s *server) dial(opts client.Options) *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), s.url, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *server) next() *session {
	s.t.Helper()
	return take(s.t, s.sessions, "no session")
}

// take receives what must come.
func take[T any](t *testing.T, from <-chan T, otherwise string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
	return v
}

// each runs a test on every transport.
func each(t *testing.T, f func(t *testing.T, kind string)) {
	for _, kind := range transports {
		t.Run(kind, func(t *testing.T) { f(t, kind) })
	}
}
