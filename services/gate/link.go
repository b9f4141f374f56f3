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
	queued  atomic.Int32 // messages that the session has not handled yet
}

// inbound is a client's request or notify on its way to the session.
type inbound struct {
	typ   packet.MessageType
	id    uint64
	route string
	body  []byte
}

// gone tells the session that its connection has ended.
type gone struct{ reason error }

// errLimit is why the gate itself closes a connection.
type refusal struct{ packet.Reason }

func (r *refusal) Error() string { return "gate: " + r.Code + ": " + r.Msg }

// errLeft is a client that said goodbye.
var errLeft = errors.New("gate: the client has left")

// Serve lets the clients of one listener in until ctx ends, and returns when all its connections are gone.
func (g *Gate) Serve(ctx context.Context, name string, ln net.Listener) error {
	cfg := g.cfg.Transport
	cfg.Name = name
	cfg.Split = packet.Split(g.cfg.MaxPacket)
	cfg.MaxFrame = g.cfg.MaxPacket + packet.HeaderSize
	cfg.Idle = g.cfg.Heartbeat*2 + g.cfg.Heartbeat/2
	cfg.Farewell = farewell
	cfg.Classify = classify
	cfg.Log = g.cfg.Log.With("transport", name)
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
	if err != nil {
		return fmt.Errorf("gate: no session: %w", err)
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
	if n := l.queued.Add(1); int(n) > l.gate.cfg.MaxQueue {
		return &refusal{packet.Reason{Code: "too_many_requests", Msg: fmt.Sprintf("more than %d requests wait for an answer", l.gate.cfg.MaxQueue)}}
	}
	l.gate.sys.Send(l.session, inbound{m.Type, m.ID, m.Route, slices.Clone(m.Body)})
	return nil
}

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

// farewell is the kick that a client gets when its connection is closed for this reason.
func farewell(reason error) []byte {
	r := reasonOf(reason)
	if r.Code == "" {
		return nil
	}
	return packet.AppendKick(nil, r)
}

func reasonOf(reason error) packet.Reason {
	var own *refusal
	if errors.As(reason, &own) {
		return own.Reason
	}
	for _, e := range []struct {
		err  error
		code string
		msg  string
	}{
		{errLeft, "", ""},
		{transport.ErrPeerClosed, "", ""},
		{transport.ErrRead, "", ""},
		{transport.ErrWrite, "", ""},
		{transport.ErrShutdown, "shutdown", "the server is stopping"},
		{transport.ErrHandshakeTimeout, "handshake_timeout", "the handshake was not finished in time"},
		{transport.ErrFrameTimeout, "slow", "a package was not finished in time"},
		{transport.ErrIdle, "idle", "no heartbeat in time"},
		{transport.ErrBacklog, "backlog", "the client reads too slowly"},
		{transport.ErrTooManyConns, "full", "too many connections"},
		{transport.ErrTooManyFromAddr, "too_many_connections", "too many connections from this address"},
		{transport.ErrPanic, "internal", "internal error"},
	} {
		if errors.Is(reason, e.err) {
			return packet.Reason{Code: e.code, Msg: e.msg}
		}
	}
	if errors.Is(reason, transport.ErrFrame) || errors.Is(reason, transport.ErrFrameTooLong) || isPacketError(reason) {
		return packet.Reason{Code: "bad_packet", Msg: reason.Error()}
	}
	return packet.Reason{Code: "internal", Msg: "internal error"}
}

func isPacketError(err error) bool {
	return slices.ContainsFunc([]error{
		packet.ErrType, packet.ErrTooLong, packet.ErrTruncated, packet.ErrTrailing, packet.ErrEmpty, packet.ErrFlag, packet.ErrMessageType,
		packet.ErrVarint, packet.ErrRoute, packet.ErrRouteCode, packet.ErrInflate, packet.ErrInflated, packet.ErrDirection, packet.ErrHandshake,
	}, func(e error) bool { return errors.Is(err, e) })
}

// classify names the gate's own reasons for the counters.
func classify(reason error) string {
	var own *refusal
	switch {
	case errors.As(reason, &own):
		return own.Code
	case errors.Is(reason, errLeft):
		return "left"
	case isPacketError(reason):
		return "bad_packet"
	}
	return ""
}
