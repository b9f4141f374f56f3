package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// link is a connection as its reading goroutine sees it: the handshake, heartbeats, and then messages for the session. A connection that has not shaken
// hands has no actor, so half-open ones cost little.
type link struct {
	gate    *Gate
	conn    *transport.Conn
	shaken  bool
	session actor.Ref
	queued  atomic.Int64 // messages that are not answered yet,
	bytes   atomic.Int64 // and what they take
}

// maxQueued is how many bytes of unanswered requests a session may have, if only a package of the longest kind fits in.
const maxQueued = 1 << 20

// inbound is a client's request or notify on its way to the session.
type inbound struct {
	typ   packet.MessageType
	id    uint64
	route string
	body  []byte
}

// maxName bounds the part of a message's type that a client has chosen.
const maxName = 64

// MessageType is what logs and traces call it.
func (m inbound) MessageType() string {
	return m.typ.String() + " " + m.route[:min(len(m.route), maxName)]
}

// Awaited tells whether the client waits for an answer.
func (m inbound) Awaited() bool { return m.typ == packet.Request }

// size is what the message takes, roughly.
func (m *inbound) size() int64 { return int64(len(m.route) + len(m.body) + 64) }

// gone tells the session that its connection has ended.
type gone struct{ reason error }

// Serve lets the clients of one listener in until ctx ends, and returns when all its connections are gone.
func (g *Gate) Serve(ctx context.Context, name string, ln net.Listener) error {
	cfg := g.cfg.Transport
	cfg.Name = name
	cfg.Split = packet.Split(g.cfg.MaxPacket)
	cfg.MaxFrame = g.cfg.MaxPacket + packet.HeaderSize
	cfg.Idle = g.cfg.Heartbeat*2 + g.cfg.Heartbeat/2
	cfg.Farewell = farewell
	cfg.Classify = classify
	cfg.Log = g.cfg.Log
	cfg.Stats = g.cfg.Metrics.transport(name)
	return transport.Serve(ctx, ln, transport.HandlerFunc(g.open), cfg)
}

func (g *Gate) open(conn *transport.Conn) (transport.Receiver, error) {
	return &link{gate: g, conn: conn}, nil
}

// Frame handles one package.
func (l *link) Frame(frame []byte) error {
	p, err := packet.Decode(frame)
	if err != nil {
		return err
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
		if l.session.IsZero() {
			return fmt.Errorf("%w: a heartbeat before the handshake", packet.ErrHandshake)
		}
		return l.conn.Send(heartbeat)
	case packet.Kick:
		return errLeft
	default:
		return l.message(p.Body)
	}
}

var heartbeat = packet.AppendHeartbeat(nil) //nolint:gochecknoglobals // a constant

func (l *link) shake(body []byte) error {
	if l.shaken {
		return fmt.Errorf("%w: a second one on the same connection", packet.ErrHandshake)
	}
	if _, err := packet.DecodeHandshakeRequest(body); err != nil {
		return err
	}
	l.shaken = true
	return l.conn.Send(l.gate.handshake)
}

func (l *link) acknowledged() error {
	if !l.shaken || !l.session.IsZero() {
		return fmt.Errorf("%w: an acknowledgement that is not due", packet.ErrHandshake)
	}
	players, ok := l.gate.sys.Lookup(ServiceName)
	if !ok {
		return transport.ErrShutdown
	}
	v, err := l.gate.sys.Ask(context.Background(), players, open{l})
	switch {
	case errors.Is(err, actor.ErrStopped), errors.Is(err, actor.ErrNoActor):
		return transport.ErrShutdown
	case err != nil:
		l.gate.cfg.Log.Error("no session for a client", "transport", l.conn.Transport(), "remote", l.conn.RemoteAddr(), "error", err)
		return &refusal{packet.Reason{Code: kickUnavailable, Msg: "the server is too busy; try again"}}
	}
	l.session = v.(actor.Ref) //nolint:forcetypeassert // the answer to open
	l.conn.Ready()
	// Pomelo's JavaScript client sends its own heartbeats only as answers, so the first has to come from here.
	return l.conn.Send(heartbeat)
}

func (l *link) message(body []byte) error {
	if l.session.IsZero() {
		return fmt.Errorf("%w: data before the handshake is over", packet.ErrHandshake)
	}
	m, err := packet.DecodeMessage(body, l.gate.routes, l.gate.cfg.MaxPacket)
	if err != nil {
		return err
	}
	if err := m.Type.SentBy(packet.Client); err != nil {
		return err
	}
	in := inbound{m.Type, m.ID, m.Route, slices.Clone(m.Body)}
	if limit := int64(l.gate.cfg.MaxQueue); l.queued.Add(1) > limit {
		return &refusal{packet.Reason{Code: kickTooManyRequests, Msg: fmt.Sprintf("more than %d requests wait for an answer", limit)}}
	}
	if limit := int64(max(maxQueued, 2*l.gate.cfg.MaxPacket)); l.bytes.Add(in.size()) > limit {
		return &refusal{packet.Reason{Code: kickTooManyRequests, Msg: fmt.Sprintf("more than %d bytes of requests wait for an answer", limit)}}
	}
	l.gate.sys.SendNow(l.session, in)
	return nil
}

// answered makes room for the next message.
func (l *link) answered(m *inbound) {
	l.queued.Add(-1)
	l.bytes.Add(-m.size())
}

// kick closes the connection and tells the client why. Once it is closing this does nothing.
func (l *link) kick(r packet.Reason) { l.conn.CloseWith(&refusal{r}, packet.AppendKick(nil, r)) }

// Closed tells the session.
func (l *link) Closed(reason error) {
	if !l.session.IsZero() {
		l.gate.sys.Send(l.session, gone{reason})
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
