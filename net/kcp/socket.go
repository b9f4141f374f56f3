package kcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchSize is how many datagrams one system call takes at most.
const batchSize = 64

// datagram is one that has come. IPv4 addresses have one form only, so that addresses can be compared.
type datagram struct {
	bytes []byte // valid until the next read; more than maxMTU of them are not all
	from  netip.AddrPort
}

// listenSockets opens sockets on one address. The port is free before: nobody else listens on it.
func listenSockets(addr string, cfg Config) (sockets []*socket, err error) {
	defer func() {
		if err != nil {
			for _, s := range sockets {
				err = errors.Join(err, s.close())
			}
			sockets = nil
		}
	}()
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	network := "udp"
	if ua.IP.To4() != nil {
		network = "udp4"
	}
	number := cfg.Sockets
	if !canShare {
		number = 1
	}
	for i := range number {
		udp, err := listenUDP(network, ua, i > 0)
		if err != nil {
			return sockets, err
		}
		// The first socket is bound without sharing, so that a port where somebody listens is an error, and lets the others share afterwards.
		if i == 0 && number > 1 {
			if err := share(udp); err != nil {
				return sockets, errors.Join(fmt.Errorf("sharing the port: %w", err), udp.Close())
			}
		}
		if err := tuneSocket(udp, network == "udp4", cfg); err != nil {
			return sockets, errors.Join(err, udp.Close())
		}
		s, err := newSocket(udp, network == "udp4")
		if err != nil {
			return sockets, errors.Join(err, udp.Close())
		}
		sockets = append(sockets, s)
		var ok bool
		if ua, ok = s.addr.(*net.UDPAddr); !ok {
			return sockets, fmt.Errorf("%T, expected a UDP address", s.addr)
		}
	}
	return sockets, nil
}

func listenUDP(network string, addr *net.UDPAddr, shared bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{}
	if shared {
		lc.Control = shareBeforeBind
	}
	pc, err := lc.ListenPacket(context.Background(), network, addr.String())
	if err != nil {
		return nil, err
	}
	udp, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T, expected a UDP socket", pc), pc.Close())
	}
	return udp, nil
}

// tuneSocket sets the sizes of the buffers, and the class of the datagrams.
func tuneSocket(udp *net.UDPConn, v4 bool, cfg Config) (err error) {
	size := func(n int) int {
		if n == 0 {
			return socketBuffer
		}
		return n
	}
	_ = udp.SetReadBuffer(size(cfg.ReadBuffer))   // smaller ones lose
	_ = udp.SetWriteBuffer(size(cfg.WriteBuffer)) // datagrams, which KCP repeats
	switch {
	case cfg.DSCP == 0:
		return nil
	case v4:
		err = ipv4.NewPacketConn(udp).SetTOS(cfg.DSCP << 2)
	default:
		err = ipv6.NewPacketConn(udp).SetTrafficClass(cfg.DSCP << 2)
	}
	if err != nil {
		return fmt.Errorf("DSCP %d: %w", cfg.DSCP, err)
	}
	return nil
}
