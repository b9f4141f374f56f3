package socket

import (
	"net/netip"
	"strings"

	"github.com/skua-go/skua/internal/reach"
	"github.com/skua-go/skua/lua/vm"
)

func joined(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return strings.Join(parts, "")
}

// apiUDP opens a socket whose datagrams a function gets, each with the address that it is from: a number, or nil and why not. Without host and port it is
// for sending first.
func (u *user) apiUDP(s vm.State) int {
	u.watch(s, "socket.udp")
	fn := argFunction(s, 1, "socket.udp")
	client := absent(s, 2) && absent(s, 3)
	var host string
	var port uint16
	switch {
	case client:
	case absent(s, 2):
		s.PushString("0.0.0.0")
		s.Insert(2)
		s.Remove(3)
		fallthrough
	default:
		host, port = argAddress(s, 2, "socket.udp")
	}
	return u.resolved(s, "socket.udp", host, func(s vm.State, addrs []netip.Addr, err error) int {
		if err != nil {
			s.Unref(fn)
			return failed(s, err)
		}
		return u.openUDP(s, fn, netip.AddrPortFrom(addrs[0], port), netip.AddrPort{}, client)
	})
}

// openUDP opens a socket and pushes its number, or nil and why not.
func (u *user) openUDP(s vm.State, fn int, at, to netip.AddrPort, client bool) int {
	sock, err := u.node.listenUDP(at, client)
	if err == nil && !sock.setOwner(u) {
		sock.close()
		err = ErrStopped
	}
	if err != nil {
		s.Unref(fn)
		return failed(s, err)
	}
	sock.connect(to)
	u.keep(sock).callback = fn
	s.PushInt(sock.id)
	return 1
}

// apiUDPDial opens a socket whose writes go to one address: a number, or nil and why not.
func (u *user) apiUDPDial(s vm.State) int {
	u.watch(s, "socket.udp_dial")
	host, port := argAddress(s, 1, "socket.udp_dial")
	fn := argFunction(s, 3, "socket.udp_dial")
	return u.resolved(s, "socket.udp_dial", host, func(s vm.State, addrs []netip.Addr, err error) int {
		if err != nil {
			s.Unref(fn)
			return failed(s, err)
		}
		to := netip.AddrPortFrom(addrs[0], port)
		if !reach.Allowed(u.node.cfg.Connect, to.Addr()) {
			s.Unref(fn)
			return failed(s, notAllowed("connect to", to))
		}
		return u.openUDP(s, fn, anyAddress(to.Addr()), to, true)
	})
}

// anyAddress is the address of a client that speaks to addr.
func anyAddress(addr netip.Addr) netip.AddrPort {
	if addr.Unmap().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}

// apiUDPConnect sets where writes to a socket go: true, or nil and why not.
func (u *user) apiUDPConnect(s vm.State) int {
	id := argID(s, "socket.udp_connect")
	host, port := argAddress(s, 2, "socket.udp_connect")
	sock, ok := u.node.find(id).(*udp)
	if !ok {
		s.Errorf("socket.udp_connect: there is no UDP socket %d", id)
	}
	if fn := argFunction(s, 4, "socket.udp_connect"); fn != 0 {
		e := u.entry(s, id)
		if e == nil {
			u.watch(s, "socket.udp_connect")
			sock.setOwner(u)
			e = u.keep(sock)
		}
		s.Unref(e.callback)
		e.callback = fn
	}
	return u.resolved(s, "socket.udp_connect", host, func(s vm.State, addrs []netip.Addr, err error) int {
		if err != nil {
			return failed(s, err)
		}
		for _, a := range addrs {
			to := netip.AddrPortFrom(a, port)
			switch {
			case a.Unmap().Is4() != sock.v4:
				err = errFamily
			case !reach.Allowed(u.node.cfg.Connect, a):
				err = notAllowed("connect to", to)
			default:
				sock.connect(to)
				s.PushBool(true)
				return 1
			}
		}
		return failed(s, err)
	})
}

// apiUDPSend sends a datagram to an address in the form in which the function of a socket gets it: whether it is on its way.
func (u *user) apiUDPSend(s vm.State) int {
	id := argID(s, "socket.sendto")
	from := argText(s, 2, "socket.sendto", "argument 2")
	at, ok := decode(from)
	if !ok {
		s.Errorf("socket.sendto: an address as the function of a UDP socket gets it is expected as argument 2")
	}
	s.Remove(2)
	data := joined(argParts(s, "socket.sendto"))
	sock, ok := u.node.find(id).(*udp)
	s.PushBool(ok && sock.send(at, data))
	return 1
}

// apiUDPAddress gives the host and the port of such an address.
func apiUDPAddress(s vm.State) int {
	from, _ := s.String(1)
	at, ok := decode(from)
	if !ok {
		s.Errorf("socket.udp_address: an address as the function of a UDP socket gets it is expected")
	}
	s.PushString(at.Addr().String())
	s.PushInt(int64(at.Port()))
	return 2
}
