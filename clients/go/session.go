package client

import (
	"context"
	"encoding/json"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// session is the client's place at the server, which outlives connections if both ends agree on it; the Client's mutex guards it.
//
// The data packages of each direction are numbered 1, 2, 3, ... from the session's first handshake on, across all its connections.
type session struct {
	gen    uint64 // counts the client's sessions
	url    string // of its connection
	user   json.RawMessage
	routes *packet.Routes // of the session's first handshake: what is in the ring is encoded with it

	on       bool // both ends know resume
	token    string
	window   time.Duration // how long the server waits for us
	ring     ring          // what we have sent
	received uint64        // data packages, handed to whom they belong
	told     uint64        // of these, how many the server knows of
	untold   int           // bytes of those it does not know of
	every    int           // packages after which to tell
	each     int           // bytes after which to tell
}

// The bounds within which a receiver acknowledges. A server with a small ring is told sooner.
const (
	ackPackages = 32
	ackBytes    = 16 << 10
)

func (s *session) grant(r *packet.ResumeAnswer) {
	s.on, s.token, s.window = true, r.Token, time.Duration(r.Window)*time.Second
	s.every, s.each = ackPackages, ackBytes
	if n := r.Ring.Packages; n > 0 {
		s.every = max(1, min(s.every, n/4))
	}
	if n := r.Ring.Bytes; n > 0 {
		s.each = max(1, min(s.each, n/4))
	}
}

// receive counts a data package of n bytes and says whether the server has to be told now.
func (s *session) receive(n int) (tell bool) {
	if !s.on {
		return false
	}
	s.received++
	s.untold += n
	return s.received-s.told >= uint64(s.every) || s.untold >= s.each
}

// appendAck appends an acknowledgement, if there is something to acknowledge.
func (s *session) appendAck(dst []byte) []byte {
	if !s.on || s.told == s.received {
		return dst
	}
	s.told, s.untold = s.received, 0
	return packet.AppendAck(dst, s.received)
}

// Session is a new session that has not logged in: what goes through it goes at once, while everybody else waits. It is of no use after Options.Login
// has returned.
type Session struct {
	c   *Client
	gen uint64
}

// Request is Client.Request for the new session.
func (s *Session) Request(ctx context.Context, route string, in, out any) error {
	return s.c.request(ctx, s, route, in, out)
}

// Notify is Client.Notify for the new session.
func (s *Session) Notify(ctx context.Context, route string, in any) error {
	return s.c.notify(ctx, s, route, in)
}

// User is what the server's handshake said in its "user" field.
func (s *Session) User() json.RawMessage { return s.c.User() }
