// Package secure stands between a listener and who serves its connections: it does what comes before the first byte of a client's own, so that what is accepted from it is known to be
// encrypted, and known by its real address.
//
// Two things, each if it is asked for, in this order: the header of the PROXY protocol, in which a balancer says whose connection it passes on (versions 1 and 2,
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt), and TLS 1.3 (RFC 8446) with certificates that are renewed under way. It wraps any net.Listener: TCP, KCP, and the one of
// an HTTP server.
package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Why a connection is not passed on. They come wrapped in the log; Reason names them for counters.
var (
	ErrUntrusted = errors.New("secure: not from a network that balancers are in")
	ErrHeader    = errors.New("secure: bad PROXY header")
	ErrTimeout   = errors.New("secure: not finished in time")
	ErrPlain     = errors.New("secure: the client speaks no TLS")
	ErrTLS       = errors.New("secure: TLS handshake failed")
	ErrCrowded   = errors.New("secure: too many connections are not finished, the oldest gave way")
	ErrAddress   = errors.New("secure: too many connections from this network are not finished")
	ErrGone      = errors.New("secure: the client has gone")
)

// Config says what a Listener does with its connections. Certificates or Proxies are needed.
type Config struct {
	// Name of the listener for logs: "tcp", "kcp", "http".
	Name string

	// Certificates turns TLS on. Nothing older than TLS 1.3 is spoken.
	Certificates *Certificates
	// AskClients asks clients for a certificate. One that is shown is that of a client which has its key; who has signed it, and whether it has expired, is for whoever serves the connection to check.
	AskClients bool
	// Protocols are what the server offers by ALPN (RFC 7301), best first. Empty: whatever a client asks for is ignored. A client that asks for none of these only is refused. HTTP
	// with WebSockets is "http/1.1": they can't be opened over HTTP/2 here.
	Protocols []string
	// Plain is what a client gets that speaks no TLS, before it is closed: it tells what is wrong in the protocol that the client probably speaks. nil: nothing.
	Plain []byte

	// Proxies are the networks that balancers are in. Connections from there must begin with a PROXY header, and have the addresses that it says. A header is never guessed at: one
	// from there without a header is refused, and bytes from elsewhere are never taken for one, so no client can give itself an address.
	Proxies []netip.Prefix
	// Direct lets connections in that come from elsewhere, under their own address; else they are refused. Without Proxies it means nothing.
	Direct bool

	// Timeout is how long all of it may take, from Accept. Default 5 s.
	Timeout time.Duration
	// MaxPending is how many connections may be under way. When there is one more, the oldest gives way, so that an attacker who lets many wait does not keep others out for the whole
	// Timeout. Default 1024. Each takes a goroutine and what a TLS handshake needs.
	MaxPending int
	// MaxPendingPerPrefix is how many of them may be of one IPv4 /24 or one IPv6 /48, by the real address once it is known; more are refused. Default 64.
	MaxPendingPerPrefix int

	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
	// Stats, when set, is where connections are counted. One Stats may serve several listeners.
	Stats *Stats
}

func (c Config) withDefaults() (Config, error) {
	if c.Certificates == nil && len(c.Proxies) == 0 {
		return c, errors.New("secure: Config has neither Certificates nor Proxies, expected at least one")
	}
	for _, f := range []struct {
		name  string
		value int64
	}{{"Timeout", int64(c.Timeout)}, {"MaxPending", int64(c.MaxPending)}, {"MaxPendingPerPrefix", int64(c.MaxPendingPerPrefix)}} {
		if f.value < 0 {
			return c, fmt.Errorf("secure: Config.%s is %d, expected 0 (the default) or more", f.name, f.value)
		}
	}
	c.Proxies = slices.Clone(c.Proxies)
	for i, p := range c.Proxies {
		if !p.IsValid() {
			return c, errors.New("secure: Config.Proxies has an invalid network")
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		c.Proxies[i] = p.Masked()
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxPending == 0 {
		c.MaxPending = 1024
	}
	if c.MaxPendingPerPrefix == 0 {
		c.MaxPendingPerPrefix = 64
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Stats == nil {
		c.Stats = new(Stats)
	}
	return c, nil
}

// Listener is a net.Listener whose connections have their header and their handshake behind them. They have CloseWrite, when those of the listener below have it, and TLS ones always.
type Listener struct {
	cfg   Config
	inner net.Listener
	tls   *tls.Config

	accepted chan accepted
	done     chan struct{}
	wg       sync.WaitGroup // the pump and all handshakes
	once     sync.Once
	waiting  waiting
	warned   *warner
}

type accepted struct {
	conn net.Conn
	err  error
}

// Wrap makes a Listener over inner, which is its own from here on, also when it fails. Its goroutines end with Close.
func Wrap(inner net.Listener, cfg Config) (*Listener, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		_ = inner.Close()
		return nil, err
	}
	l := &Listener{cfg: cfg, inner: inner, accepted: make(chan accepted), done: make(chan struct{}), warned: &warner{log: cfg.Log}}
	l.waiting = waiting{most: cfg.MaxPending, mostOf: cfg.MaxPendingPerPrefix, of: map[netip.Prefix]int{}, stats: cfg.Stats}
	if cfg.Certificates != nil {
		l.tls = &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: cfg.Certificates.Get, NextProtos: cfg.Protocols}
		if cfg.AskClients {
			l.tls.ClientAuth = tls.RequestClientCert
		}
	}
	l.wg.Go(l.pump)
	return l, nil
}

// Accept returns the next connection that has come through, the errors of the listener below, and net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // first, so that a closed listener accepts nothing more
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr is where the listener below listens.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close closes the listener below and all connections that were not accepted, and returns when the Listener's goroutines are gone. Accepted ones live on. A second call returns net.ErrClosed.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.done)
		err = l.inner.Close()
		l.waiting.close()
		l.wg.Wait()
	})
	return err
}

// pump accepts from below.
func (l *Listener) pump() {
	for {
		nc, err := l.inner.Accept()
		if err == nil {
			l.admit(nc)
		} else if !l.pass(nil, err) { // who serves knows which errors are worth another try, and when
			return
		}
		select {
		case <-l.done:
			return
		default:
		}
	}
}

// pass hands on what Accept returns, and tells whether somebody took it before Close.
func (l *Listener) pass(nc net.Conn, err error) bool {
	select {
	case l.accepted <- accepted{nc, err}:
		return true
	case <-l.done:
		if nc != nil {
			_ = nc.Close()
		}
		return false
	}
}

// admit lets a connection begin.
func (l *Listener) admit(nc net.Conn) {
	from := addrOf(nc.RemoteAddr())
	proxied := l.isProxy(from)
	switch {
	case !proxied && len(l.cfg.Proxies) > 0 && !l.cfg.Direct:
		l.refuse(nc, nc.RemoteAddr(), ErrUntrusted)
		return
	case !proxied && l.tls == nil:
		l.cfg.Stats.passed.Add(1)
		l.pass(nc, nil) // nothing is to be done; who accepts holds up this one only as they would hold up the listener below
		return
	}
	entry := &pending{conn: nc}
	if !proxied { // whose a balancer's connection is, is not known yet
		entry.prefix = prefixOf(from)
	}
	if err := l.waiting.enter(entry); err != nil {
		l.refuse(nc, nc.RemoteAddr(), err)
		return
	}
	l.wg.Go(func() {
		defer l.waiting.leave(entry)
		l.prepare(entry, proxied)
	})
}

// refuse closes a connection for a reason.
func (l *Listener) refuse(nc net.Conn, remote net.Addr, reason error) {
	_ = nc.Close()
	class := Reason(reason)
	defer l.cfg.Stats.refuse(class)
	l.cfg.Log.Debug("connection refused", "listener", l.cfg.Name, "remote", remote, "reason", reason)
	switch {
	case errors.Is(reason, ErrUntrusted):
		l.warned.warn(class, "connections are refused that come past the balancer", "listener", l.cfg.Name, "remote", remote, "expected_from", l.cfg.Proxies)
	case errors.Is(reason, ErrHeader):
		l.warned.warn(class, "a balancer's connections are refused: is the PROXY protocol on there?", "listener", l.cfg.Name, "remote", remote, "err", reason)
	}
}

func (l *Listener) isProxy(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(l.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
