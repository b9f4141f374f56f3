package rtc

import (
	"net"
	"net/netip"
)

// lane is where a client is, and how it is written to: the socket that hears it, or its connection over TCP. It does not change; a client that moves gets another.
type lane struct {
	socket *socket
	stream *stream // instead of a socket
	at     netip.AddrPort
	to     *net.UDPAddr // at, as the system wants it
}

func overUDP(s *socket, from netip.AddrPort) *lane {
	return &lane{socket: s, at: from, to: net.UDPAddrFromAddrPort(from)}
}

// same tells whether two are one way to one client.
func (l *lane) same(o *lane) bool {
	return o != nil && l.socket == o.socket && l.stream == o.stream && l.at == o.at
}

// over tells that nothing goes there any more.
func (l *lane) over() bool { return l.stream != nil && l.stream.ended.Load() }

// write sends one datagram, which may get lost.
func (l *lane) write(b []byte) error {
	if l.stream != nil {
		return l.stream.write(b)
	}
	_, err := l.socket.WriteToUDPAddrPort(b, l.at)
	return err
}
