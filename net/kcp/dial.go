package kcp

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ErrRefused is what Dial returns, with the reason, when the server lets nobody in.
var ErrRefused = errors.New("kcp: refused by the server")

const (
	dialPatience = 10 * time.Second // when ctx has no deadline
	retryFirst   = 200 * time.Millisecond
	retryMost    = 2 * time.Second
	connectTries = 4 // with one cookie
)

// Dial connects to a server's UDP address and shakes hands, which takes two round trips; it waits for that until ctx is done, or 10 s where ctx has
// no deadline. The protocol is kcp-go's behind it.
//
// The connection has CloseWrite besides what net.Conn asks for, and Rebind() error, which goes on from a new local socket, as it does by itself when sending
// fails or the server stays silent. Reads return io.EOF where the server has ended the stream, ErrSilence when nothing was heard for Config.Silence,
// syscall.ECONNRESET when the server knows the session no more. Close returns at once; what was written is delivered behind it, for up to 0.3 s.
//
// With Config.Raw there is no handshake: nothing is sent before the first Write, the server can't tell that we close, and that nobody answers shows
// in Reads that do not return: set deadlines.
func Dial(ctx context.Context, addr string, cfg Config) (net.Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, addr, cfg)
	if err != nil {
		return nil, fmt.Errorf("kcp: dial %q: %w", addr, err)
	}
	return c, nil
}

func dial(ctx context.Context, addr string, cfg Config) (*client, error) {
	cr, err := newCrypt(cfg.Crypt, cfg.Key)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	udp, ok := nc.(*net.UDPConn)
	if !ok {
		_ = nc.Close()
		return nil, fmt.Errorf("%T, expected a UDP socket", nc)
	}
	remote, ok := udp.RemoteAddr().(*net.UDPAddr)
	if !ok {
		_ = nc.Close()
		return nil, fmt.Errorf("%T, expected a UDP address", udp.RemoteAddr())
	}
	tune(udp, cfg)
	l := &link{cfg: cfg, crypt: cr, mem: &clientMemory, remote: remote, udp: udp, ready: make(chan struct{})}
	if cfg.Raw {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails: it would end the program
		l.conv = binary.LittleEndian.Uint32(b[:])
	} else if err := l.shake(ctx); err != nil {
		_ = udp.Close()
		return nil, err
	}
	return newClient(l)
}

// clientMemory is that of all clients, of which a process may have thousands: what one has just used is in the processor's caches for the next.
var clientMemory memory //nolint:gochecknoglobals // a cache

// tune sets a client socket's options. They are wishes.
func tune(udp *net.UDPConn, cfg Config) {
	if cfg.ReadBuffer > 0 {
		_ = udp.SetReadBuffer(cfg.ReadBuffer)
	}
	if cfg.WriteBuffer > 0 {
		_ = udp.SetWriteBuffer(cfg.WriteBuffer)
	}
	if cfg.DSCP > 0 {
		if ipv4.NewConn(udp).SetTOS(cfg.DSCP<<2) != nil {
			_ = ipv6.NewConn(udp).SetTrafficClass(cfg.DSCP << 2)
		}
	}
}

// handshake is where a client's handshake has got to.
type handshake struct {
	l      *link
	nonce  [nonceLen]byte
	share  *ecdh.PrivateKey
	cookie []byte // nil: not had yet
	tries  int    // with it
}

// shake asks for a cookie, then for a session.
func (l *link) shake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	share, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	h := &handshake{l: l, share: share}
	_, _ = rand.Read(h.nonce[:]) // never fails: it would end the program
	stop := context.AfterFunc(ctx, func() { _ = l.udp.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, packetRoom)
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		h.ask()
		_ = l.udp.SetReadDeadline(time.Now().Add(wait))
		for {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("no answer to the handshake: %w", err)
			}
			n, err := l.udp.Read(buf)
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				break // ask again
			}
			if err != nil {
				return err
			}
			done, err := h.answer(buf[:n])
			if err != nil {
				return err
			}
			if done {
				stop()
				l.heard = time.Now()
				return l.udp.SetReadDeadline(time.Time{})
			}
		}
	}
}

func (h *handshake) ask() {
	if h.cookie != nil && h.tries == connectTries {
		h.cookie = nil // it may be too old by now
	}
	h.tries++
	h.l.sendControl(func(d []byte) []byte {
		if h.cookie == nil {
			return hello(d, h.nonce)
		}
		return connectMsg(d, h.nonce, h.cookie, h.share.PublicKey().Bytes())
	})
}

// answer takes a datagram of the server; done: the session is there.
func (h *handshake) answer(d []byte) (done bool, err error) {
	d, ok := h.l.crypt.open(d)
	if !ok {
		return false, nil
	}
	kind, ok := kindOf(d)
	if !ok || !named(kind) || !bytes.Equal(d[8:16], h.nonce[:]) {
		return false, nil
	}
	switch kind {
	case ctlRefuse:
		return false, fmt.Errorf("%w: %s", ErrRefused, refusal(d[6]))
	case ctlCookie:
		if h.cookie == nil || h.tries > 0 && !bytes.Equal(h.cookie, d[16:16+cookieLen]) {
			h.cookie, h.tries = append([]byte(nil), d[16:16+cookieLen]...), 0
			h.ask()
		}
	case ctlAccept:
		return h.accepted(d), nil
	}
	return false, nil
}

func (h *handshake) accepted(d []byte) bool {
	share := d[24 : 24+shareLen]
	theirs, err := ecdh.X25519().NewPublicKey(share)
	if err != nil {
		return false
	}
	secret, err := h.share.ECDH(theirs)
	if err != nil {
		return false
	}
	key := sessionKey(secret, h.nonce[:], h.share.PublicKey().Bytes(), share)
	if !signed(d, &key, fromServer) {
		return false
	}
	h.l.key = key
	h.l.conv = binary.LittleEndian.Uint32(d[16:])
	if s := time.Duration(binary.LittleEndian.Uint16(d[20:])) * time.Second; s > 0 && s < h.l.cfg.Ping*5/2 {
		h.l.cfg.Ping = s * 2 / 5 // the server is less patient than we thought
	}
	return true
}
