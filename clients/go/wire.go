package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"github.com/xtaci/kcp-go/v5"

	"github.com/skua-go/skua/net/packet"
)

// wire is a byte stream to the server. One goroutine reads, one at a time writes, any may close.
type wire interface {
	io.Reader
	WriteAll(p []byte, timeout time.Duration) error
	// Goodbye tells the server that we leave, where closing does not. It is the last write.
	Goodbye()
	Close() error
}

func dial(ctx context.Context, address string, opts Options) (wire, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "tcp":
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", u.Host)
		return stream{nc}, err
	case "tls":
		d := tls.Dialer{Config: opts.TLS}
		nc, err := d.DialContext(ctx, "tcp", u.Host)
		return stream{nc}, err
	case "kcp":
		return dialKCP(ctx, u.Host, opts.KCP)
	case "ws", "wss":
		return dialWS(ctx, address, opts)
	}
	return nil, fmt.Errorf("scheme %q, expected tcp, tls, kcp, ws or wss", u.Scheme)
}

// stream is a wire that is a net.Conn.
type stream struct{ net.Conn }

func (s stream) WriteAll(p []byte, timeout time.Duration) error {
	if err := s.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := s.Write(p)
	return err
}

func (stream) Goodbye() {} // closing says it

// KCP has the protocol's knobs under their usual names. The zero value is the fast profile (1, 10, 2, 1), windows of 128 packets, an MTU of 1200.
type KCP struct {
	NoDelay, Interval, Resend, NC int // Interval 0: the fast profile's four
	SndWnd, RcvWnd                int // packets
	MTU                           int // bytes
	AckNoDelay                    bool
}

type kcpWire struct {
	stream
	socket *datagrams
}

func dialKCP(ctx context.Context, host string, k KCP) (wire, error) {
	var r net.Resolver
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	ips, err := r.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	number, err := r.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	remote := &net.UDPAddr{IP: ips[0].Unmap().AsSlice(), Port: number, Zone: ips[0].Zone()}
	network := "udp4"
	if !ips[0].Unmap().Is4() {
		network = "udp6"
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, ":0")
	if err != nil {
		return nil, err
	}
	socket := &datagrams{PacketConn: pc, sent: make(chan struct{}, 1)}
	s, err := kcp.NewConn4(rand.Uint32(), remote, nil, 0, 0, true, socket)
	if err != nil {
		_ = pc.Close()
		return nil, err
	}
	if k.Interval == 0 {
		k.NoDelay, k.Interval, k.Resend, k.NC = 1, 10, 2, 1
	}
	s.SetNoDelay(k.NoDelay, k.Interval, k.Resend, k.NC)
	s.SetWindowSize(or(k.SndWnd, 128), or(k.RcvWnd, 128))
	if mtu := or(k.MTU, 1200); !s.SetMtu(mtu) {
		_ = s.Close()
		return nil, fmt.Errorf("kcp: MTU %d does not work, expected 50 to 1500", mtu)
	}
	s.SetACKNoDelay(k.AckNoDelay)
	s.SetWriteDelay(false)
	return &kcpWire{stream{s}, socket}, nil
}

func or(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

// Goodbye sends a kick package: KCP has no end of stream, and the server would take us for alive until our heartbeats are missed.
func (w *kcpWire) Goodbye() {
	const patience = 50 * time.Millisecond
	select {
	case <-w.socket.sent:
	default:
	}
	if w.WriteAll(packet.AppendKick(nil, packet.Reason{Code: "bye"}), patience) != nil {
		return
	}
	timer := time.NewTimer(patience) // kcp-go sends on a goroutine of its own, which Close would overtake
	defer timer.Stop()
	select {
	case <-w.socket.sent:
	case <-timer.C:
	}
}

// datagrams hides the socket's type from kcp-go, which would reserve 384 KB a connection to read 256 datagrams at once, and tells when one
// was sent.
type datagrams struct {
	net.PacketConn
	sent chan struct{}
}

func (d *datagrams) WriteTo(p []byte, to net.Addr) (int, error) {
	n, err := d.PacketConn.WriteTo(p, to)
	select {
	case d.sent <- struct{}{}:
	default:
	}
	return n, err
}

// webSocket reads the messages as pieces of one stream.
type webSocket struct {
	conn    *websocket.Conn
	message io.Reader // the one that is being read
}

func dialWS(ctx context.Context, address string, opts Options) (wire, error) {
	do := &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled}
	if opts.TLS != nil {
		do.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: opts.TLS, DisableKeepAlives: true}}
	}
	conn, resp, err := websocket.Dial(ctx, address, do)
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	}
	conn.SetReadLimit(-1) // messages are read in pieces, and packages have a limit of their own
	return &webSocket{conn: conn}, nil
}

func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			kind, r, err := w.conn.Reader(context.Background())
			if err != nil {
				return 0, closeError(err)
			}
			if kind != websocket.MessageBinary {
				return 0, errors.New("text message, expected binary ones")
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if err != nil {
			w.message = nil
			if !errors.Is(err, io.EOF) {
				return n, closeError(err)
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// closeError makes a proper close what it is on other transports.
func closeError(err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return io.EOF
	}
	return err
}

func (w *webSocket) WriteAll(p []byte, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return w.conn.Write(ctx, websocket.MessageBinary, p)
}

// Goodbye exchanges close frames with the server, if it is quick about it.
func (w *webSocket) Goodbye() {
	const patience = 200 * time.Millisecond
	enough := time.AfterFunc(patience, func() { _ = w.conn.CloseNow() })
	defer enough.Stop()
	_ = w.conn.Close(websocket.StatusNormalClosure, "")
}

func (w *webSocket) Close() error { return w.conn.CloseNow() }
