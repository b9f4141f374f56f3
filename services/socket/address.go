package socket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/skua-go/skua/internal/reach"
)

// splitAddress reads "host:port", "[host]:port" or a host and a port of its own. The host of a listener may be empty.
func splitAddress(host string, port int64, hasPort bool) (string, uint16, error) {
	if !hasPort {
		h, p, err := net.SplitHostPort(host)
		if err != nil {
			return "", 0, fmt.Errorf("invalid address %q: host:port is expected", host)
		}
		if port, err = strconv.ParseInt(p, 10, 64); err != nil {
			return "", 0, fmt.Errorf("invalid address %q: a number is expected as port", host)
		}
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("invalid port %d: 0 to 65535 is expected", port)
	}
	return host, uint16(port), nil
}

// literal is the address that a host already is.
func literal(host string) (netip.Addr, bool) {
	if host == "" {
		return netip.IPv4Unspecified(), true
	}
	addr, err := netip.ParseAddr(host)
	return addr, err == nil
}

// lookup finds the addresses of a host. It blocks.
func (n *Sockets) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ConnectTimeout)
	defer cancel()
	addrs, err := n.cfg.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, cause(err)
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, nil
}

// dial connects. It blocks. Each address that the host stands for is checked.
func (n *Sockets) dial(ctx context.Context, host string, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ConnectTimeout)
	defer cancel()
	d := net.Dialer{Resolver: n.cfg.Resolver, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("socket: dial %q: %w", address, err)
		}
		if !reach.Allowed(n.cfg.Connect, at.Addr()) {
			return notAllowed("connect to", at)
		}
		return nil
	}}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			return nil, fmt.Errorf("connection timed out after %v", n.cfg.ConnectTimeout)
		}
		return nil, cause(err)
	}
	return c, nil
}

// addrPort is the address of an end of a socket.
func addrPort(a net.Addr) netip.AddrPort {
	var at netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		at = a.AddrPort()
	case *net.UDPAddr:
		at = a.AddrPort()
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// errFamily is udp_connect of an IPv4 socket to an IPv6 address, or the other way round.
var errFamily = errors.New("socket: the host has no address of the socket's protocol, IPv4 or IPv6")

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func notAllowed(what string, at netip.AddrPort) error {
	return fmt.Errorf("%w: %s %s", ErrNotAllowed, what, at)
}

// cause is what the system has said, without the address, which the script knows, as Skynet gives it: "connection refused".
func cause(err error) error {
	var number syscall.Errno
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, ErrNotAllowed) && errors.As(err, &op):
		return op.Err
	case errors.As(err, &number):
		return number
	case errors.As(err, &dns):
		return dns
	}
	return err
}

// The kinds of addresses of datagrams, as in Skynet: a byte for the kind, the port and the address in network order.
const (
	kindV4 = 1
	kindV6 = 2
)

// encode gives an address in the form in which scripts get and give it.
func encode(at netip.AddrPort) string {
	addr := at.Addr().Unmap()
	b := []byte{kindV6}
	if addr.Is4() {
		b[0] = kindV4
	}
	b = binary.BigEndian.AppendUint16(b, at.Port())
	return string(append(b, addr.AsSlice()...))
}

// decode is the reverse of encode.
func decode(from string) (netip.AddrPort, bool) {
	if len(from) < 3 {
		return netip.AddrPort{}, false
	}
	addr, ok := netip.AddrFromSlice([]byte(from[3:]))
	if !ok || addr.Is4() != (from[0] == kindV4) || addr.Is6() != (from[0] == kindV6) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16([]byte(from[1:3]))), true
}
