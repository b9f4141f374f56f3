package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// network is a transport in memory whose connections break where a test wants them to.
type network struct {
	accepts chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newNetwork() *network {
	return &network{accepts: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accepts:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *network) Addr() net.Addr { return memAddr{} }

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "memory" }

// never is a connection that does not break.
const never = 1 << 30

// dial connects: the connection breaks when the server has read up bytes, or the client down bytes.
func (n *network) dial(up, down int) (*end, error) {
	l := &wire{}
	l.up.init(l, up)
	l.down.init(l, down)
	client, server := &end{in: &l.down, out: &l.up}, &end{in: &l.up, out: &l.down}
	select {
	case n.accepts <- server:
		return client, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// wire is both directions of a connection.
type wire struct {
	mu       sync.Mutex
	broken   bool
	up, down pipe
}

type pipe struct {
	w      *wire
	cond   sync.Cond
	buf    []byte
	left   int  // until it breaks
	ended  bool // by its writer
	closed bool // by its reader
	due    time.Time
	alarm  *time.Timer
}

func (p *pipe) init(w *wire, left int) { p.w, p.left, p.cond.L = w, left, &w.mu }

// end is one end of a connection.
type end struct{ in, out *pipe }

func (e *end) Read(b []byte) (int, error) {
	p := e.in
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for {
		switch {
		case p.w.broken:
			return 0, syscall.ECONNRESET
		case p.closed:
			return 0, net.ErrClosed
		case !p.due.IsZero() && !time.Now().Before(p.due):
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf[:min(len(p.buf), p.left)])
			p.buf = p.buf[n:]
			if p.left -= n; p.left == 0 {
				p.w.breakLocked()
			}
			return n, nil
		case p.ended:
			return 0, io.EOF
		}
		p.cond.Wait()
	}
}

func (w *wire) breakLocked() {
	w.broken = true
	w.up.cond.Broadcast()
	w.down.cond.Broadcast()
}

func (e *end) Write(b []byte) (int, error) {
	p := e.out
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.w.broken || p.closed {
		return 0, syscall.EPIPE
	}
	if p.ended {
		return 0, net.ErrClosed
	}
	p.buf = append(p.buf, b...)
	p.cond.Broadcast()
	return len(b), nil
}

// cut breaks the connection for both.
func (e *end) cut() {
	e.in.w.mu.Lock()
	defer e.in.w.mu.Unlock()
	e.in.w.breakLocked()
}

func (e *end) CloseWrite() error {
	e.out.w.mu.Lock()
	defer e.out.w.mu.Unlock()
	e.out.ended = true
	e.out.cond.Broadcast()
	return nil
}

func (e *end) Close() error {
	_ = e.CloseWrite()
	e.in.w.mu.Lock()
	defer e.in.w.mu.Unlock()
	e.in.closed = true
	e.in.cond.Broadcast()
	if e.in.alarm != nil {
		e.in.alarm.Stop()
	}
	return nil
}

func (e *end) LocalAddr() net.Addr  { return memAddr{} }
func (e *end) RemoteAddr() net.Addr { return memAddr{} }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *end) SetReadDeadline(t time.Time) error {
	p := e.in
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.due = t
	if p.alarm != nil {
		p.alarm.Stop()
		p.alarm = nil
	}
	if !t.IsZero() && !p.closed {
		p.alarm = time.AfterFunc(time.Until(t), func() {
			p.w.mu.Lock()
			defer p.w.mu.Unlock()
			p.cond.Broadcast()
		})
	}
	p.cond.Broadcast()
	return nil
}

func (e *end) SetWriteDeadline(time.Time) error { return nil } // writes do not wait

// small is a gate alone, over a network in memory.
type small struct {
	t       *testing.T
	sys     *actor.System
	gate    *gate.Gate
	net     *network
	metrics *gate.Metrics
	log     *logtest.Buffer
	stop    func() // the door
}

func startSmall(t *testing.T, cfg gate.Config) *small {
	t.Helper()
	n := &small{t: t, net: newNetwork(), metrics: gate.NewMetrics(), log: &logtest.Buffer{}}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n.sys = actor.New(actor.Config{Log: logger})
	cfg.Log, cfg.Metrics = logger, n.metrics
	if cfg.Transport.Linger == 0 {
		cfg.Transport.Linger = 50 * time.Millisecond // for peers that never close
	}
	if cfg.Login == "" {
		cfg.Login = gate.LoginNone
	}
	g, err := gate.New(n.sys, cfg)
	must(t, err)
	n.gate = g
	_, err = n.sys.Spawn(g.Spec())
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, "mem", n.net) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		n.stop()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, n.sys.Shutdown(ctx))
		if got := g.Sessions().Count(); got != 0 {
			t.Errorf("%d sessions are left", got)
		}
		if t.Failed() {
			t.Log(tail(n.log.String()))
		}
	})
	return n
}

// peer is a client that knows resume, as docs/protocol.md has it, and remembers everything.
type peer struct {
	net      *network
	metrics  *gate.Metrics
	token    string
	received uint64   // data packages of the server
	heard    []string // and what was in them
	sent     [][]byte // data packages that are not acknowledged
	base     uint64   // the number of the last one that is
	id       uint64
	ackEvery uint64
	stubborn bool // asks a new session what the old one was asked

	conn  *end
	open  bool // the handshake is acknowledged
	split func([]byte) (int, []byte, error)
	buf   []byte
	hello packet.HandshakeResponse
	kick  string // the code of the last kick
}

func (n *small) peer() *peer {
	return &peer{net: n.net, metrics: n.metrics, ackEvery: 3, split: packet.Split(0)}
}

// peer is a client of a whole node.
func (n *node) peer() *peer {
	return &peer{net: n.net, metrics: n.metrics, ackEvery: 3, split: packet.Split(0)}
}

// ask makes a request, which goes out with the next connection or at once.
func (p *peer) ask(route, body string) {
	p.id++
	p.keep(ask(p.id, route, body))
}

func (p *peer) notify(route, body string) {
	p.keep(message(packet.Message{Type: packet.Notify, Route: route, Body: []byte(body)}))
}

func (p *peer) keep(frame []byte) {
	p.sent = append(p.sent, frame)
	if p.open {
		_, _ = p.conn.Write(frame)
	}
}

// connect connects and shakes hands; the session goes on if there is one. An error is a connection that has broken before it was through.
func (p *peer) connect(up, down int) error {
	if err := p.greet(up, down); err != nil {
		return err
	}
	return p.acknowledge()
}

// greet is the handshake up to the server's answer.
func (p *peer) greet(up, down int) error {
	conn, err := p.net.dial(up, down)
	if err != nil {
		return err
	}
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.conn, p.buf, p.open = conn, nil, false
	resume := packet.ResumeRequest{Token: p.token, Received: p.received}
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{Sys: packet.ClientSys{Type: "test", Resume: &resume}})
	if err != nil {
		return err
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	answer, err := p.read()
	if err != nil {
		return err
	}
	if answer.Type != packet.Handshake {
		return fmt.Errorf("a %s came in place of a handshake", answer.Type)
	}
	if p.hello, err = packet.DecodeHandshakeResponse(answer.Body, 0); err != nil {
		return err
	}
	r := p.hello.Sys.Resume
	if r == nil {
		return fmt.Errorf("no resume in %s", answer.Body)
	}
	p.token = r.Token
	if r.Resumed {
		if r.Received < p.base || r.Received > p.base+uint64(len(p.sent)) {
			return fmt.Errorf("the server has received %d, %d to %d were sent", r.Received, p.base, p.base+uint64(len(p.sent)))
		}
		p.acknowledged(r.Received)
		return nil
	}
	p.received, p.base = 0, 0 // a new session
	if r.Refused != nil && !p.stubborn {
		p.sent = nil
	}
	return nil
}

func (p *peer) acknowledged(number uint64) {
	if number > p.base {
		p.sent = p.sent[number-p.base:]
		p.base = number
	}
}

// acknowledge ends the handshake and sends again what the server lacks.
func (p *peer) acknowledge() error {
	out := pack(packet.HandshakeAck, nil)
	for _, frame := range p.sent {
		out = append(out, frame...)
	}
	_, err := p.conn.Write(out)
	p.open = true
	return err
}

// read gives the next package. Kicks are an error.
func (p *peer) read() (packet.Packet, error) {
	chunk := make([]byte, 4096)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		advance, frame, err := p.split(p.buf)
		if err != nil {
			return packet.Packet{}, err
		}
		if frame != nil {
			p.buf = p.buf[advance:]
			got, err := packet.Decode(frame)
			if got.Type == packet.Kick {
				p.kick = packet.DecodeReason(got.Body).Code
				return got, fmt.Errorf("kicked: %s", p.kick)
			}
			return got, err
		}
		n, err := p.conn.Read(chunk)
		p.buf = append(p.buf, chunk[:n]...)
		if n == 0 && err != nil {
			return packet.Packet{}, err
		}
	}
}

// hear reads until so many data packages have come in all, or the connection breaks.
func (p *peer) hear(count int) error {
	for len(p.heard) < count {
		got, err := p.read()
		if err != nil {
			return err
		}
		switch got.Type {
		case packet.Ack:
			number, err := packet.DecodeAck(got.Body)
			if err != nil {
				return err
			}
			if number > p.base+uint64(len(p.sent)) {
				return fmt.Errorf("%d are acknowledged, %d were sent", number, p.base+uint64(len(p.sent)))
			}
			p.acknowledged(number)
		case packet.Data:
			m, err := packet.DecodeMessage(got.Body, nil, 0)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("%s %s %s", m.Type, m.Route, m.Body)
			if m.Type == packet.Response {
				what = fmt.Sprintf("%s %d %s", m.Type, m.ID, m.Body)
			}
			p.heard = append(p.heard, what)
			if p.received++; p.received%p.ackEvery == 0 {
				_, _ = p.conn.Write(packet.AppendAck(nil, p.received))
			}
		case packet.Heartbeat:
		default:
			return fmt.Errorf("a %s came", got.Type)
		}
	}
	return nil
}

// asText is a body of JSON.
func asText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
