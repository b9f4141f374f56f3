package gate

import (
	"errors"
	"slices"

	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// Codes of errors that requests are answered with, beside login.Code and what scripts answer. docs/protocol.md explains them.
const (
	answerBadRequest  = "bad_request"
	answerNotLoggedIn = "not_logged_in"
	answerLoggedIn    = "logged_in"
	answerNotFound    = "not_found"
	answerRefused     = "refused"
	answerTimeout     = "timeout"
	answerUnavailable = "unavailable"
	answerShutdown    = "shutdown"
	answerInternal    = "internal"
)

// Codes of kicks, beside what scripts kick with. docs/protocol.md explains them.
const (
	kickReplaced         = "replaced"
	kickBadPacket        = "bad_packet"
	kickHandshakeTimeout = "handshake_timeout"
	kickSlow             = "slow"
	kickIdle             = "idle"
	kickTooManyRequests  = "too_many_requests"
	kickDenied           = "denied"
	kickFull             = "full"
	kickTooManyConns     = "too_many_connections"
	kickShutdown         = "shutdown"
	kickAgentEnded       = "agent_ended"
	kickBanned           = "banned"
	kickMaintenance      = "maintenance"
	kickUnavailable      = "unavailable"
	kickInternal         = "internal"
)

// refusal is a reason of the gate's own for an error or a kick: all of it is for the client.
type refusal struct{ packet.Reason }

func (r *refusal) Error() string { return "gate: " + r.Code + ": " + r.Msg }

// errLeft is a client that said goodbye.
var errLeft = errors.New("gate: the client has left")

// ends are the transport's reasons for the end of a connection, as the client is told. Those without a code have nobody left to tell.
var ends = []struct { //nolint:gochecknoglobals // a constant
	err  error
	kick packet.Reason
}{
	{errLeft, packet.Reason{}},
	{transport.ErrPeerClosed, packet.Reason{}},
	{transport.ErrRead, packet.Reason{}},
	{transport.ErrWrite, packet.Reason{}},
	{transport.ErrBacklog, packet.Reason{}}, // who does not read would not read the kick either
	{transport.ErrShutdown, packet.Reason{Code: kickShutdown, Msg: "the server is stopping"}},
	{transport.ErrHandshakeTimeout, packet.Reason{Code: kickHandshakeTimeout, Msg: "the handshake was not finished in time"}},
	{transport.ErrFrameTimeout, packet.Reason{Code: kickSlow, Msg: "a package was not finished in time"}},
	{transport.ErrIdle, packet.Reason{Code: kickIdle, Msg: "no heartbeat in time"}},
	{transport.ErrTooManyConns, packet.Reason{Code: kickFull, Msg: "too many connections"}},
	{transport.ErrTooManyFromAddr, packet.Reason{Code: kickTooManyConns, Msg: "too many connections from this address"}},
}

// farewell is the kick that a client gets when its connection is closed for this reason; nil for none.
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
	for _, e := range ends {
		if errors.Is(reason, e.err) {
			return e.kick
		}
	}
	if errors.Is(reason, transport.ErrFrame) || errors.Is(reason, transport.ErrFrameTooLong) || isPacketError(reason) {
		return packet.Reason{Code: kickBadPacket, Msg: reason.Error()} // it names only what the client has sent
	}
	return packet.Reason{Code: kickInternal, Msg: "internal error"}
}

func isPacketError(err error) bool {
	return slices.ContainsFunc([]error{
		packet.ErrType, packet.ErrTooLong, packet.ErrTruncated, packet.ErrTrailing, packet.ErrEmpty, packet.ErrFlag, packet.ErrMessageType,
		packet.ErrVarint, packet.ErrRoute, packet.ErrRouteCode, packet.ErrInflate, packet.ErrInflated, packet.ErrDirection, packet.ErrHandshake,
	}, func(e error) bool { return errors.Is(err, e) })
}

// gateCodes bounds what scripts can make labels of.
var gateCodes = []string{ //nolint:gochecknoglobals // a constant
	kickReplaced, kickTooManyRequests, kickDenied, kickShutdown, kickAgentEnded, kickUnavailable, kickInternal, kickBanned, kickMaintenance,
}

// classify names the gate's own reasons for the counters, from a small set: the codes of scripts' kicks are all "kicked".
func classify(reason error) string {
	var own *refusal
	switch {
	case errors.As(reason, &own):
		if slices.Contains(gateCodes, own.Code) {
			return own.Code
		}
		return "kicked"
	case errors.Is(reason, errLeft):
		return "left"
	case isPacketError(reason):
		return kickBadPacket
	}
	return ""
}

// nameOf is why a client is gone, as its agent is told: the code that the client got, or what there is to say of one that got none.
func nameOf(reason error) string {
	switch code := reasonOf(reason).Code; {
	case code != "":
		return code
	case errors.Is(reason, errLeft), errors.Is(reason, transport.ErrPeerClosed):
		return "left"
	case errors.Is(reason, transport.ErrBacklog):
		return "backlog"
	}
	return "lost"
}
