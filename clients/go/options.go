package client

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

// Resume says whether a session outlives its connections.
type Resume int

const (
	// ResumeAuto asks the server for a session that survives lost connections. A server that knows no such thing gives a plain one.
	ResumeAuto Resume = iota
	// ResumeOff does not ask: the end of the connection is the end of the client, or of its session when Options.Login is set.
	ResumeOff
)

// Options of a Client. The zero value works.
type Options struct {
	// Also are further addresses of the server, over other transports for example. Each is tried once in this order when Dial's own does not answer; later on
	// the one that worked last comes first. Servers that are several tell of each other's addresses, which are tried behind these.
	Also []string

	// On has handlers of pushes by route, OnAny one of all pushes, called after the route's own. Set here they miss none. Handlers run one at a time in the
	// order of arrival, apart from the reading, so they may call Request. The body is theirs.
	On    map[string]func(body []byte)
	OnAny func(route string, body []byte)
	// OnEvent is told of the session's fate, in order with the pushes and like them on the handlers' goroutine. It may call the Client.
	OnEvent func(Event)
	// Inline runs the handlers of pushes and OnEvent on the reading goroutine, which saves a goroutine and a copy a push: they must not wait for anything, not
	// for Request either (RequestFunc is fine), and a body is valid until they return.
	Inline bool
	// OnAnswer, when set, is told the id of each answer in the order of arrival, before the request returns. It runs on the reading goroutine and
	// must not call the Client.
	OnAnswer func(id uint64)

	// Login logs in, see Session.Login, and does what the game wants first. It is called for each new session: by Dial, which fails with its error, and again when
	// a session was lost. Everybody else's requests wait until it has returned. With Login set the client goes on after a lost session and after a server that stops,
	// for as long as GiveUp; an answer of the server that refuses the login ends it, save for the codes busy, unavailable, timeout and shutdown.
	// It has HandshakeTimeout to do it; ctx ends with that, and with the connection.
	//
	// Nil: the program logs in by a request like any other. After a lost session the client logs the same player in again by itself, with the token that the login was
	// answered by, and Event says so; where servers give no tokens a session that is lost ends the client.
	Login func(ctx context.Context, s *Session) error
	// NoRelogin has a lost session end the client unless Login is set, also where servers give tokens.
	NoRelogin bool
	// Resume is whether to ask for sessions that outlive connections. Default: yes.
	Resume Resume
	// GiveUp is how long the client tries to get a connection back. Default: as long as the server keeps the session, a minute if it keeps none; with Login for ever.
	GiveUp time.Duration
	// RingPackages and RingBytes bound what was sent and not acknowledged by the server, kept to be sent again. Beyond, requests fail with ErrRing.
	// Default 1024 and 256 KiB.
	RingPackages, RingBytes int

	// Name and Version are what the handshake tells of the program. Default "skua-go" and "1".
	Name, Version string
	// User is sent in the handshake as JSON, if not nil.
	User any
	// HandshakeTimeout bounds Dial, besides its context, and each later attempt to connect. With several addresses each gets its share of it. Default 10 s.
	HandshakeTimeout time.Duration
	// WriteTimeout is how long the server may take to accept what is sent. Default 10 s.
	WriteTimeout time.Duration
	// RequestTimeout is the deadline of requests whose context has none. Default 10 s; negative: none.
	RequestTimeout time.Duration
	// MaxFrame is the longest package and the longest inflated body in bytes that is accepted. Default 1 MiB.
	MaxFrame int
	// MaxPending is how many requests may wait for their answers. Default 1024.
	MaxPending int
	// MaxBacklog is how many bytes that wait to be sent are enough: no message is taken behind them. The last one that was may exceed it. Default 1 MiB.
	MaxBacklog int
	// MaxPushes is how many bytes of pushes may wait for their handlers; beyond, the client closes itself with ErrSlowHandlers rather than lose one. Default 4 MiB.
	MaxPushes int
	// TLS configures tls://, wss:// and kcps://. Default: the system's roots.
	TLS *tls.Config
	// KCP configures kcp:// and kcps://. The zero value is the profile "fast".
	KCP kcp.Config
	// NetDial makes the connections of all transports but KCP, for proxies or a source address of one's own. Default: a net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "skua-go"
	}
	if o.Version == "" {
		o.Version = "1"
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.HandshakeTimeout, 10 * time.Second}, {&o.WriteTimeout, 10 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 10 * time.Second
	}
	for _, n := range []struct {
		v   *int
		def int
	}{{&o.MaxFrame, 1 << 20}, {&o.MaxPending, 1024}, {&o.MaxBacklog, 1 << 20}, {&o.MaxPushes, 4 << 20}, {&o.RingPackages, 1024}, {&o.RingBytes, 256 << 10}} {
		if *n.v <= 0 {
			*n.v = n.def
		}
	}
	if o.NetDial == nil {
		var d net.Dialer
		o.NetDial = d.DialContext
	}
	return o
}
