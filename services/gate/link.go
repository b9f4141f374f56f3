package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/prefetch"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// link is a connection as its reading goroutine sees it: the handshake, heartbeats, and then messages for the session. A connection that has not shaken
// hands has no actor, so half-open ones cost little.
type link struct {
	gate     *Gate
	conn     *transport.Conn
	stage    handshake
	resumes  bool                    // the client knows resume, and gets acks
	inflates bool                    // the client takes compressed bodies
	token    token                   // that it was given
	claimed  uint64                  // data packages that a client has received whose session goes on
	place    atomic.Pointer[Session] // nil before there is one

	media           MediaClient // nil while it has none
	packages, bytes int         // what has been received since the last ack
	ahead           int         // bytes of data that may wait to be written; the session's lock guards it
}

// handshake is how far a connection is.
type handshake uint8

const (
	silent handshake = iota
	greeted
	shaken
)

// An end acknowledges data packages at the latest when it has received so many, or so many bytes of them.
const (
	ackPackages = 32
	ackBytes    = 16 << 10
)

// Serve lets the clients of one listener in until ctx ends, and returns when all its connections are gone.
func (g *Gate) Serve(ctx context.Context, name string, ln net.Listener) error {
	cfg := g.cfg.Transport
	cfg.Name = name
	cfg.Split = g.codec.Split()
	cfg.MaxFrame = g.codec.MaxFrame()
	if !g.codec.Bare() {
		cfg.Idle = g.cfg.Heartbeat*2 + g.cfg.Heartbeat/2
	}
	cfg.Backlog = g.backlog(true) + handshakeBytes // before that the session finds out, and says so
	cfg.Farewell = g.farewell
	cfg.Classify = classify
	cfg.Log = g.cfg.Log
	cfg.Stats = g.cfg.Metrics.transport(name)
	return transport.Serve(ctx, ln, transport.HandlerFunc(g.open), cfg)
}

// handshakeBytes is more than what goes beside the data of a session: handshakes, heartbeats, acks.
const handshakeBytes = 64 << 10

// backlog is how many bytes may wait for a client. One that knows resume may be sent a whole ring at once when it comes back.
func (g *Gate) backlog(resumes bool) int {
	if resumes && g.resumes() {
		return max(g.cfg.Transport.Backlog, g.cfg.RingBytes)
	}
	return g.cfg.Transport.Backlog
}

func (g *Gate) open(conn *transport.Conn) (transport.Receiver, error) {
	l := &link{gate: g, conn: conn}
	if !g.codec.Bare() {
		return l, nil
	}
	if g.draining.Load() {
		return nil, errMoved
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// Frame handles one package. A session that ends with an error does so before the client can hear of it, and come back. That the connection is closing already is
// no such error: why it does, Closed tells.
func (l *link) Frame(frame []byte) error {
	err := l.frame(frame)
	if err != nil && !outlived(err) && !errors.Is(err, transport.ErrClosed) {
		l.Closed(err)
	}
	return err
}

func (l *link) frame(frame []byte) error {
	p, err := l.gate.codec.Decode(frame)
	if err != nil {
		return err
	}
	if p.Type == packet.Data {
		return l.message(p.Body, len(frame))
	}
	if err := p.Type.SentBy(packet.Client); err != nil {
		return err
	}
	switch p.Type {
	case packet.Handshake:
		return l.shake(p.Body)
	case packet.HandshakeAck:
		return l.acknowledged()
	case packet.Heartbeat:
		return l.heartbeat()
	case packet.Ack:
		return l.ack(p.Body)
	case packet.Media:
		return l.mediaPackage(p.Body)
	default: // a kick
		return errLeft
	}
}

// Brief tells whether a package is a heartbeat or an ack. Everything else may run what players' agents do.
func (l *link) Brief(frame []byte) bool {
	if l.stage != shaken {
		return false
	}
	p, err := l.gate.codec.Decode(frame)
	return err == nil && (p.Type == packet.Heartbeat || p.Type == packet.Ack)
}

var heartbeat = packet.AppendHeartbeat(nil) //nolint:gochecknoglobals // a constant

// heartbeat answers one, behind an ack if there is something to acknowledge.
func (l *link) heartbeat() error {
	if l.stage != shaken {
		return fmt.Errorf("%w: a heartbeat before the handshake", packet.ErrHandshake)
	}
	if err := l.sendAck(); err != nil {
		return err
	}
	return l.conn.Send(heartbeat)
}

func (l *link) shake(body []byte) error {
	if l.stage != silent {
		return fmt.Errorf("%w: a second one on the same connection", packet.ErrHandshake)
	}
	r, err := packet.DecodeHandshakeRequest(body)
	if err != nil {
		return err
	}
	if l.gate.draining.Load() {
		return errMoved
	}
	l.stage, l.inflates = greeted, r.Sys.Inflates()
	if r.Sys.Resume != nil && l.gate.resumes() {
		return l.greet(r.Sys.Resume)
	}
	return l.conn.Send(l.gate.hello)
}

func (l *link) acknowledged() error {
	if l.stage != greeted {
		return fmt.Errorf("%w: an acknowledgement that is not due", packet.ErrHandshake)
	}
	if s := l.place.Load(); s != nil {
		if err := s.resumed(l); err != nil {
			return err
		}
		l.stage = shaken
	} else if err := l.begin(); err != nil {
		return err
	}
	// Pomelo's JavaScript client sends its own heartbeats only as answers, so the first has to come from here.
	return l.conn.Send(heartbeat)
}

// begin gives the connection a new session.
func (l *link) begin() error {
	g := l.gate
	players, ok := g.sys.Lookup(g.cfg.Name)
	if !ok {
		return transport.ErrShutdown
	}
	_, err := g.sys.Ask(context.Background(), players, open{l})
	switch {
	case errors.Is(err, actor.ErrStopped), errors.Is(err, actor.ErrNoActor):
		return transport.ErrShutdown
	case err != nil:
		g.cfg.Log.Error("no session for a client", "transport", l.conn.Transport(), "remote", l.conn.RemoteAddr(), "error", err)
		return &refusal{packet.Reason{Code: kickUnavailable, Msg: "the server is too busy; try again"}}
	}
	l.stage = shaken
	l.conn.Ready()
	return nil
}

// Prefetch has the processor load the session, its actor, and the actor that handles its requests.
func (l *link) Prefetch(depth int) (more bool) {
	if l.stage != shaken {
		return false
	}
	s := l.place.Load()
	if s == nil {
		return false
	}
	const ofSession, ofAgent = 1, 3 // depths of their actors, two each
	switch {
	case depth == 0:
		prefetch.One(s)
	case depth < ofAgent:
		l.gate.sys.Prefetch(s.ref.ID(), depth-ofSession)
	default:
		agent := s.agent.Load()
		if agent == 0 {
			return false
		}
		l.gate.sys.Prefetch(agent, depth-ofAgent)
	}
	return depth <= ofAgent
}

func (l *link) message(body []byte, size int) error {
	if l.stage != shaken {
		return fmt.Errorf("%w: data before the handshake is over", packet.ErrHandshake)
	}
	m, err := l.gate.codec.Message(body)
	if err != nil {
		return err
	}
	if err := m.Type.SentBy(packet.Client); err != nil {
		return err
	}
	s, in := l.place.Load(), newInbound(&m)
	if err := s.receive(l, in); err != nil {
		return err
	}
	l.gate.sys.SendNow(s.ref, in)
	if !l.resumes {
		return nil
	}
	l.packages++
	if l.bytes += size; l.packages < ackPackages && l.bytes < ackBytes {
		return nil
	}
	return l.sendAck()
}

// sendAck acknowledges what has been received since the last time.
func (l *link) sendAck() error {
	if l.packages == 0 {
		return nil
	}
	l.packages, l.bytes = 0, 0
	var buf [packet.HeaderSize + 8]byte
	return l.conn.Send(packet.AppendAck(buf[:0], l.place.Load().count()))
}

func (l *link) ack(body []byte) error {
	if !l.resumes || l.stage != shaken {
		return fmt.Errorf("%w: on a connection without resume, or before the handshake is over", packet.ErrAck)
	}
	number, err := packet.DecodeAck(body)
	if err != nil {
		return err
	}
	return l.place.Load().ack(l, number)
}

// Drained goes on with pushes that have waited until the connection has written what was queued.
func (l *link) Drained() {
	if s := l.place.Load(); s != nil {
		s.drained(l)
	}
}

// Closed tells the session.
func (l *link) Closed(reason error) {
	if l.media != nil {
		l.media.Close()
	}
	if s := l.place.Load(); s != nil {
		s.lost(l, reason)
	}
}

// addr is the client's address without the port.
func (l *link) addr() netip.Addr {
	ap, err := netip.ParseAddrPort(l.conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
