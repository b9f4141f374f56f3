package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
)

// origin is a server of one player with resume, over connections in memory that break where a test wants it. It is written from docs/protocol.md, apart
// from the gate, and keeps what it was told, so that it can say afterwards what was handled and how often.
type origin struct {
	t       *testing.T
	plan    func(connection int) cuts // of the client's connections, from 0 on
	ackEach int                       // acknowledges so many data packages; 0: never
	ring    packet.Ring
	window  int
	beat    float64
	refuse  func(connection int) *packet.Reason // a resume; nil: none
	handle  func(s *seat, m packet.Message)     // nil: echo requests, and push 2 numbers for each message

	others []string // the addresses of other servers, as the handshake tells

	mu     sync.Mutex
	dialed []string // the addresses at which the client has tried
	seats  []*seat
	conns  int
	all    sync.WaitGroup
	live   []net.Conn
	used   []*cutConn
}

// cuts is after how many bytes in each direction a connection breaks; negative: never.
type cuts struct {
	up, down int
	deaf     bool // the server does not hear of the end
	refused  bool // nobody answers at the address
}

func whole() cuts { return cuts{up: -1, down: -1} }

// seat is a session.
type seat struct {
	o           *origin
	name        string // which the client is told as its user
	token, last string
	conn        *wireEnd
	open        bool // data may be sent
	received    uint64
	told        uint64
	ring        [][]byte // not acknowledged
	acked       uint64
	handled     []string // "route body", as they came
	pushed      int
	over        string // why it has ended
}

// wireEnd is the server's end of a connection, with a writer of its own: the pipe has no buffer.
type wireEnd struct {
	net.Conn
	mu    sync.Mutex
	out   []byte
	mute  bool // nothing comes out any more
	more  chan struct{}
	close sync.Once
}

func (w *wireEnd) send(p []byte) {
	w.mu.Lock()
	if !w.mute {
		w.out = append(w.out, p...)
	}
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

func (w *wireEnd) write() {
	for range w.more {
		for {
			w.mu.Lock()
			p := w.out
			w.out = nil
			w.mu.Unlock()
			if len(p) == 0 {
				break
			}
			if _, err := w.Write(p); err != nil {
				return
			}
		}
	}
}

// cutConn is the client's end.
type cutConn struct {
	net.Conn
	cuts     cuts
	up, down atomic.Int64 // bytes so far
	dead     chan struct{}
	die      sync.Once
}

var errCut = errors.New("test: the connection is cut")

// Close ends the connection, for the server only if it is to hear of it.
func (c *cutConn) Close() error {
	c.die.Do(func() {
		close(c.dead)
		if !c.cuts.deaf {
			_ = c.Conn.Close()
		}
	})
	return nil
}

// allow says how many of n bytes may pass.
func allow(limit int, so *atomic.Int64, n int) int {
	if limit < 0 {
		return n
	}
	return min(n, limit-int(so.Load()))
}

func (c *cutConn) Write(p []byte) (int, error) {
	n := allow(c.cuts.up, &c.up, len(p))
	select {
	case <-c.dead:
		return 0, errCut
	default:
	}
	wrote, err := c.Conn.Write(p[:n])
	c.up.Add(int64(wrote))
	if n < len(p) && err == nil {
		_ = c.Close()
		return wrote, errCut
	}
	return wrote, err
}

// Read ends when the connection does, also where the server has not heard of it.
func (c *cutConn) Read(p []byte) (int, error) {
	buf := make([]byte, allow(c.cuts.down, &c.down, len(p)))
	if len(buf) == 0 {
		_ = c.Close()
		return 0, errCut
	}
	type result struct {
		n   int
		err error
	}
	read := make(chan result, 1)
	go func() {
		n, err := c.Conn.Read(buf)
		read <- result{n, err}
	}()
	select {
	case r := <-read:
		c.down.Add(int64(r.n))
		return copy(p, buf[:r.n]), r.err
	case <-c.dead:
		return 0, errCut
	}
}

// dial is Options.NetDial.
func (o *origin) dial(_ context.Context, _, addr string) (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dialed = append(o.dialed, addr)
	c := whole()
	if o.plan != nil {
		c = o.plan(o.conns)
	}
	o.conns++
	if c.refused {
		return nil, errCut
	}
	ours, theirs := net.Pipe()
	end := &wireEnd{Conn: ours, more: make(chan struct{}, 1)}
	number := o.conns - 1
	near := &cutConn{Conn: theirs, cuts: c, dead: make(chan struct{})}
	o.live, o.used = append(o.live, ours, theirs), append(o.used, near)
	o.all.Go(end.write)
	o.all.Go(func() { o.serve(end, number) })
	return near, nil
}

// stop ends all connections and waits until their goroutines are gone.
func (o *origin) stop() {
	o.mu.Lock()
	for _, c := range o.live {
		_ = c.Close()
	}
	o.mu.Unlock()
	o.all.Wait()
}

// end is called once a connection.
func (w *wireEnd) end() {
	w.close.Do(func() {
		_ = w.Close()
		close(w.more)
	})
}

func (o *origin) serve(end *wireEnd, number int) {
	var s *seat
	defer func() {
		o.mu.Lock()
		if s != nil && s.conn == end {
			s.conn, s.open = nil, false
		}
		end.end()
		o.mu.Unlock()
	}()
	split := packet.Split(0)
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := end.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for {
			used, frame, bad := split(buf)
			if bad != nil {
				o.t.Errorf("the client broke the protocol: %v", bad)
				return
			}
			if frame == nil {
				break
			}
			p, _ := packet.Decode(frame)
			o.mu.Lock()
			if s != nil && s.conn != end { // taken over by a newer connection: nothing of this one counts any more
				o.mu.Unlock()
				return
			}
			switch {
			case p.Type == packet.Handshake && s == nil:
				s = o.welcome(p.Body, end, number)
			case p.Type == packet.HandshakeAck && s != nil && !s.open:
				s.open = true
				s.last = ""
				s.flow(end)
			case s == nil || !s.open:
				o.t.Errorf("a %s package before the handshake's ack", p.Type)
			default:
				s.packet(p)
			}
			gone := s == nil || s.over != ""
			o.mu.Unlock()
			if gone {
				return
			}
			buf = buf[used:]
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				o.t.Errorf("%v", err)
			}
			return
		}
	}
}

// welcome answers a handshake: with the session that the client asks for, or a new one.
func (o *origin) welcome(body []byte, end *wireEnd, number int) *seat {
	hello, err := packet.DecodeHandshakeRequest(body)
	if err != nil || hello.Sys.Resume == nil {
		o.t.Errorf("handshake %q: %v", body, err)
		return nil
	}
	ask := hello.Sys.Resume
	answer := packet.ResumeAnswer{Window: o.window, Ring: o.ring, Addresses: o.others}
	var s *seat
	if ask.Token != "" {
		for _, was := range o.seats {
			if was.over == "" && (was.token == ask.Token || was.last == ask.Token) {
				s = was
			}
		}
		switch {
		case s == nil:
			answer.Refused = &packet.Reason{Code: packet.ResumeUnknown, Msg: "who?"}
		case o.refuse != nil && o.refuse(number) != nil:
			answer.Refused = o.refuse(number)
			s.over, s = "refused", nil
		}
	}
	if s != nil {
		if s.conn != nil {
			s.conn.end()
		}
		if !s.acknowledged(ask.Received) {
			return nil
		}
		answer.Resumed = true
	} else {
		s = &seat{o: o, name: fmt.Sprintf(`"seat %d"`, len(o.seats))}
		o.seats = append(o.seats, s)
	}
	s.open = false
	s.last = ask.Token // good until the ack: the client may never read the new one
	s.token = fmt.Sprintf("token-%d", number)
	s.told = s.received
	answer.Token, answer.Received = s.token, s.received
	out, err := packet.AppendHandshake(nil, packet.HandshakeResponse{
		Code: packet.CodeOK, Sys: packet.ServerSys{Heartbeat: o.beat, Dict: map[string]uint16{"n": 1, "echo": 2}, Resume: &answer},
		User: json.RawMessage(s.name),
	})
	if err != nil {
		o.t.Error(err)
	}
	s.conn = end
	end.send(out)
	return s
}

// flow sends again what the client has not received; from then on data may be sent.
func (s *seat) flow(end *wireEnd) {
	for _, frame := range s.ring {
		end.send(frame)
	}
}

func (s *seat) acknowledged(n uint64) bool {
	if n > s.acked+uint64(len(s.ring)) {
		s.o.t.Errorf("the client acknowledges %d, %d were sent", n, s.acked+uint64(len(s.ring)))
		return false
	}
	for ; s.acked < n; s.acked++ {
		s.ring = s.ring[1:]
	}
	return true
}

func (s *seat) packet(p packet.Packet) {
	switch p.Type {
	case packet.Heartbeat:
		if s.told < s.received {
			s.ack()
		}
		s.raw(packet.AppendHeartbeat(nil))
		return
	case packet.Ack:
		n, err := packet.DecodeAck(p.Body)
		if err != nil {
			s.o.t.Error(err)
		}
		s.acknowledged(n)
		return
	case packet.Kick:
		s.over = "goodbye"
		return
	case packet.Data:
	default:
		s.o.t.Errorf("a %s package", p.Type)
		return
	}
	routes, _ := packet.NewRoutes(map[string]uint16{"n": 1, "echo": 2})
	m, err := packet.DecodeMessage(p.Body, routes, 0)
	if err != nil {
		s.o.t.Error(err)
		return
	}
	s.received++
	s.handled = append(s.handled, m.Route+" "+string(m.Body))
	if s.o.handle != nil {
		s.o.handle(s, m)
	} else {
		s.push()
		if m.Type == packet.Request {
			s.data(packet.Message{Type: packet.Response, ID: m.ID, Body: m.Body})
		}
		s.push()
	}
	if e := s.o.ackEach; e > 0 && s.received-s.told >= uint64(e) {
		s.ack()
	}
}

func (s *seat) ack() {
	s.told = s.received
	s.raw(packet.AppendAck(nil, s.received))
}

func (s *seat) push() {
	s.pushed++
	s.data(packet.Message{Type: packet.Push, Route: "n", Body: fmt.Append(nil, s.pushed)})
}

func (s *seat) data(m packet.Message) {
	routes, _ := packet.NewRoutes(map[string]uint16{"n": 1, "echo": 2})
	frame, err := packet.AppendData(nil, m, routes)
	if err != nil {
		s.o.t.Error(err)
	}
	s.ring = append(s.ring, frame)
	if s.open {
		s.raw(frame)
	}
}

func (s *seat) raw(p []byte) {
	if s.conn != nil {
		s.conn.send(p)
	}
}

// seat is the session of a client. There may be others, of connections that broke before the client knew of them.
func (o *origin) seat(c *client.Client) *seat {
	for _, s := range o.seats {
		if s.name == string(c.User()) {
			return s
		}
	}
	o.t.Fatalf("no session %s", c.User())
	return nil
}

// now runs f while nothing else touches the sessions.
func (o *origin) now(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}
