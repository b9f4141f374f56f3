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
	answerTooFast     = "too_fast"
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
	kickResumed          = "resumed"
	kickExpired          = "expired"
	kickTooSlow          = "too_slow"
	kickTLSRequired      = "tls_required"
	kickTooFast          = "too_fast"
	kickLoginTimeout     = "login_timeout"
	kickMoved            = "moved"
)

// Why sessions are gone for which no kick says it, as agents are told.
const (
	goneLeft   = "left"
	goneLost   = "lost"
	goneFailed = "failed"
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
	{transport.ErrBacklog, packet.Reason{Code: kickTooSlow, Msg: "too much waited to be read"}},
	{transport.ErrShutdown, packet.Reason{Code: kickShutdown, Msg: "the server is stopping"}},
	{transport.ErrHandshakeTimeout, packet.Reason{Code: kickHandshakeTimeout, Msg: "the handshake was not finished in time"}},
	{transport.ErrFrameTimeout, packet.Reason{Code: kickSlow, Msg: "a package was not finished in time"}},
	{transport.ErrIdle, packet.Reason{Code: kickIdle, Msg: "no heartbeat in time"}},
	{transport.ErrRate, packet.Reason{Code: kickTooFast, Msg: "too much in too short a time"}},
	{transport.ErrHalfOpen, packet.Reason{Code: kickFull, Msg: "too many connections that have not shaken hands"}},
	{transport.ErrHalfOpenPrefix, packet.Reason{Code: kickTooManyConns, Msg: "too many connections from this network that have not shaken hands"}},
	{transport.ErrTooManyConns, packet.Reason{Code: kickFull, Msg: "too many connections"}},
	{transport.ErrTooManyFromAddr, packet.Reason{Code: kickTooManyConns, Msg: "too many connections from this address"}},
}

// farewell is the kick that a client gets when its connection is closed for this reason; nil for none.
func (g *Gate) farewell(reason error) []byte {
	r := reasonOf(reason)
	if r.Code == "" {
		return nil
	}
	if errors.Is(reason, errMoved) && !g.codec.Bare() {
		return packet.AppendMoved(nil, r, g.others.addressesFor())
	}
	return g.codec.AppendKick(nil, r)
}

// PlainKick is what a client gets that speaks a gate's codec to an address where TLS is spoken; nil where nothing tells an error from data.
func PlainKick(codec string) []byte {
	if codec != packet.CodecPomelo {
		return nil
	}
	return packet.AppendKick(nil, packet.Reason{Code: kickTLSRequired, Msg: "this address speaks TLS"})
}

// outlived tells whether a session outlives a connection that has ended for this reason: the network has failed the client, or it has not been heard.
// What the client has done or said, what the server or the game has said, and a client that does not read end the session.
func outlived(reason error) bool {
	if clean, ok := errors.AsType[interface {
		error
		Clean() bool
	}](reason); ok && clean.Clean() {
		return false
	}
	return slices.ContainsFunc([]error{
		transport.ErrPeerClosed, transport.ErrRead, transport.ErrWrite, transport.ErrIdle, transport.ErrFrameTimeout, transport.ErrHandshakeTimeout,
		errTaken, errMoved,
	}, func(e error) bool { return errors.Is(reason, e) })
}

// refusedFor is what a client reads that comes back to a session which has ended for this reason.
func refusedFor(reason error) string {
	if far, ok := errors.AsType[*remotely](reason); ok {
		return far.refused
	}
	own, ok := errors.AsType[*refusal](reason)
	switch {
	case errors.Is(reason, transport.ErrBacklog):
		return packet.ResumeOverflow
	case !ok:
		return packet.ResumeUnknown
	}
	switch own.Code {
	case kickReplaced:
		return packet.ResumeReplaced
	case kickTooSlow:
		return packet.ResumeOverflow
	case kickExpired:
		return packet.ResumeUnknown
	case goneLost:
		return packet.ResumeLost
	}
	return packet.ResumeEnded
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
		packet.ErrVarint, packet.ErrRoute, packet.ErrRouteCode, packet.ErrInflate, packet.ErrInflated, packet.ErrDirection, packet.ErrHandshake, packet.ErrAck, packet.ErrMedia,
	}, func(e error) bool { return errors.Is(err, e) })
}

// gateCodes bounds what scripts can make labels of.
var gateCodes = []string{ //nolint:gochecknoglobals // a constant
	kickReplaced, kickTooManyRequests, kickDenied, kickShutdown, kickAgentEnded, kickUnavailable, kickInternal, kickResumed, kickExpired,
	kickBanned, kickMaintenance, kickLoginTimeout, kickMoved,
}

// classify names the gate's own reasons for the counters, from a small set: the codes of scripts' kicks are all "kicked".
func classify(reason error) string {
	var own *refusal
	switch {
	case errors.As(reason, &own):
		if slices.Contains(gateCodes, own.Code) {
			return own.Code
		}
		if own.Code == kickTooSlow {
			return transport.Class(transport.ErrBacklog)
		}
		return "kicked"
	case errors.Is(reason, errLeft):
		return goneLeft
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
		return goneLeft
	}
	return goneLost
}

// lossOf is why a client is away: who leaves says so, and the end of a connection is no goodbye.
func lossOf(reason error) string {
	if name := nameOf(reason); name != goneLeft {
		return name
	}
	return goneLost
}
