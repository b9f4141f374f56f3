package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// prepare does what comes before a client's own bytes, on a goroutine of its own.
func (l *Listener) prepare(p *pending, proxied bool) {
	until := time.Now().Add(l.cfg.Timeout)
	_ = p.conn.SetDeadline(until) // fails on a closed connection only, which shows at once
	nc, err := p.conn, error(nil)
	if proxied {
		nc, err = l.unwrap(p)
	}
	if err == nil && l.tls != nil {
		nc, err = l.encrypt(nc, until)
	}
	if err == nil {
		err = l.waiting.finish(p)
	}
	if err != nil {
		l.refuse(p.conn, nc.RemoteAddr(), l.waiting.why(p, err))
		return
	}
	_ = nc.SetDeadline(time.Time{})
	l.cfg.Stats.passed.Add(1)
	l.pass(nc, nil)
}

// unwrap reads the header of a balancer. It returns the connection as it was when there is an error.
func (l *Listener) unwrap(p *pending) (net.Conn, error) {
	nc, err := readHeader(p.conn)
	if err != nil {
		return p.conn, err
	}
	l.cfg.Stats.headers.Add(1)
	return nc, l.waiting.attribute(p, prefixOf(addrOf(nc.RemoteAddr())))
}

// encrypt shakes hands. It returns nc itself when there is an error.
func (l *Listener) encrypt(nc net.Conn, until time.Time) (net.Conn, error) {
	tc := tls.Server(nc, l.tls)
	err := tc.HandshakeContext(context.Background()) // the deadline of the connection bounds it, and Close ends it
	if err == nil {
		l.cfg.Stats.handshakes.Add(1)
		return &encrypted{Conn: tc, below: nc}, nil
	}
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &header) && header.Conn != nil:
		l.explain(nc, until)
		return nc, fmt.Errorf("%w: %w", ErrPlain, err)
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err), isGone(err):
		return nc, err
	default:
		return nc, fmt.Errorf("%w: %w", ErrTLS, err)
	}
}

// explain tells a client that speaks no TLS what is wrong. Closing a socket with unread bytes in it sends a reset, which would overtake that.
func (l *Listener) explain(nc net.Conn, until time.Time) {
	const patience = time.Second
	if len(l.cfg.Plain) == 0 {
		return
	}
	if soon := time.Now().Add(patience); soon.Before(until) {
		_ = nc.SetDeadline(soon)
	}
	if _, err := nc.Write(l.cfg.Plain); err != nil {
		return
	}
	if closeWrite(nc) == nil {
		_, _ = io.CopyN(io.Discard, nc, 64<<10)
	}
}

// encrypted is a TLS connection that can end its half as the one below it does.
type encrypted struct {
	*tls.Conn
	below net.Conn
}

// CloseWrite says that nothing more will be written, in TLS and below it.
func (e *encrypted) CloseWrite() error {
	if err := e.Conn.CloseWrite(); err != nil {
		return err
	}
	if _, can := e.below.(halfCloser); !can {
		return nil // the peer has been told already
	}
	return closeWrite(e.below)
}

// halfCloser is a connection whose halves end one by one.
type halfCloser interface{ CloseWrite() error }

func closeWrite(nc net.Conn) error {
	half, can := nc.(halfCloser)
	if !can {
		return fmt.Errorf("secure: %T can't end its half alone: %w", nc, errors.ErrUnsupported)
	}
	return half.CloseWrite()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
