package acceptance_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/skua-go/skua/net/kcp"
)

// The transports of this package's nodes.
const (
	overTCP    = "tcp"
	overTLS    = "tls"
	overKCP    = "kcp"
	overKCPRaw = "kcp-raw" // plain kcp-go, without a handshake of ours
	overKCPTLS = "kcp-tls"
	overWS     = "ws"
)

// dialer reaches a node's doors.
type dialer struct {
	addrs map[string]string // by transport; those of kcp-raw and kcp are the same
	// around wraps what is below WebSocket's and TLS's own framing: a connection of TCP or KCP.
	around func(net.Conn) net.Conn
}

// dial connects. What it returns reads and writes the byte stream above the transport.
func (d dialer) dial(ctx context.Context, transport string) (net.Conn, error) {
	around := d.around
	if around == nil {
		around = func(c net.Conn) net.Conn { return c }
	}
	addr := d.addrs[transport]
	switch transport {
	case overKCP, overKCPRaw, overKCPTLS:
		nc, err := kcp.Dial(ctx, addr, kcp.Config{Raw: transport == overKCPRaw})
		if err != nil {
			return nil, err
		}
		if transport == overKCPTLS {
			return tls.Client(around(nc), &tls.Config{InsecureSkipVerify: true}), nil
		}
		return around(nc), nil
	}
	var plain net.Dialer
	nc, err := plain.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	nc = around(nc)
	switch transport {
	case overTCP:
		return nc, nil
	case overTLS:
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), nil
	case overWS:
		return upgrade(ctx, nc, addr)
	}
	_ = nc.Close()
	return nil, fmt.Errorf("no transport %q", transport)
}

// upgrade opens a WebSocket on a connection.
func upgrade(ctx context.Context, nc net.Conn, host string) (net.Conn, error) {
	d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return nc, nil }}
	_, early, _, err := d.Dial(ctx, "ws://"+host+"/ws")
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	if early == nil {
		early = bufio.NewReader(nc)
	}
	return &socket{Conn: nc, in: early}, nil
}

// socket is a WebSocket as a stream.
type socket struct {
	net.Conn
	in   *bufio.Reader
	left int64
}

func (s *socket) Read(p []byte) (int, error) {
	for s.left == 0 {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return 0, err
		}
		if h.OpCode.IsData() {
			s.left = h.Length
			continue
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(s.in, body); err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpClose {
			return 0, io.EOF
		}
	}
	n, err := s.in.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	frame := ws.MaskFrame(ws.NewBinaryFrame(append([]byte(nil), p...)))
	b, err := ws.CompileFrame(frame)
	if err != nil {
		return 0, err
	}
	if _, err := s.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// certificate is one for whoever does not look.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
