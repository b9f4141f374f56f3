package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

// wire is a byte stream to the server. One goroutine reads, one at a time writes, any may close.
type wire interface {
	io.Reader
	WriteAll(p []byte, timeout time.Duration) error
	// Goodbye tells the server that we leave, as far as the transport has words for it. It is the last write.
	Goodbye()
	// HasEnd says whether the server learns from the transport that a connection has ended.
	HasEnd() bool
	// Close ends the connection at once, without a word and without waiting.
	Close() error
}

func dial(ctx context.Context, address string, opts Options) (wire, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "tcp":
		nc, err := opts.NetDial(ctx, "tcp", u.Host)
		if err != nil {
			return nil, err
		}
		return stream{nc, nc, true}, nil
	case "tls":
		nc, err := opts.NetDial(ctx, "tcp", u.Host)
		return secure(ctx, nc, err, u, opts, true)
	case "kcp":
		nc, err := kcp.Dial(ctx, u.Host, opts.KCP)
		if err != nil {
			return nil, err
		}
		return stream{nc, nc, !opts.KCP.Raw}, nil
	case "kcps":
		nc, err := kcp.Dial(ctx, u.Host, opts.KCP)
		return secure(ctx, nc, err, u, opts, !opts.KCP.Raw)
	case "ws", "wss":
		return dialWS(ctx, u, opts)
	}
	return nil, fmt.Errorf("scheme %q, expected tcp, tls, kcp, kcps, ws or wss", u.Scheme)
}

// secure puts TLS over a connection.
func secure(ctx context.Context, nc net.Conn, err error, u *url.URL, opts Options, hasEnd bool) (wire, error) {
	if err != nil {
		return nil, err
	}
	s := tls.Client(nc, tlsConfig(opts.TLS, u.Hostname()))
	if err := s.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return stream{s, nc, hasEnd}, nil
}

// tlsConfig is what the options say, or the defaults, for a server of that name.
func tlsConfig(cfg *tls.Config, name string) *tls.Config {
	if cfg == nil {
		return &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = name
	}
	return cfg
}

// stream is a wire that is a net.Conn. below is the connection without TLS.
type stream struct {
	net.Conn
	below  net.Conn
	hasEnd bool
}

func (s stream) WriteAll(p []byte, timeout time.Duration) error {
	if err := s.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := s.Write(p)
	return err
}

func (s stream) HasEnd() bool { return s.hasEnd }

// Goodbye ends our half, where a transport has halves: what was written goes out before it.
func (s stream) Goodbye() {
	const patience = 200 * time.Millisecond
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = s.SetWriteDeadline(time.Now().Add(patience))
		_ = c.CloseWrite()
	}
}

func (s stream) Close() error { return s.below.Close() }
