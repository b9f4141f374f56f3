package bot

import (
	"context"
	"net"
	"net/netip"
)

// dialFrom connects from a local address. The system picks the port when it knows the other end, so that each pair of addresses has all ports.
func dialFrom(source netip.Addr) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), Control: portLater}
	return d.DialContext
}
