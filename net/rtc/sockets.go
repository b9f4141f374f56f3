package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/skua-go/skua/internal/accept"
	"github.com/skua-go/skua/net/rtc/terms"
)

// sockets are what all sessions share.
type sockets struct {
	all        []*socket
	paths      paths
	ln         net.Listener // or nil
	udpAddr    netip.AddrPort
	candidates []terms.Candidate // what clients are told

	life      context.Context //nolint:containedctx // of the connections over TCP
	end       context.CancelFunc
	streams   sync.WaitGroup
	strangers strangers
}

func (srv *Server) openSockets(ctx context.Context) (err error) {
	cfg := &srv.cfg
	s := &sockets{paths: newPaths(), strangers: strangers{by: map[netip.Prefix]int{}}}
	s.life, s.end = context.WithCancel(context.Background())
	srv.sockets = s
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.udpAddr, err = listenAddress(cfg.UDP); err != nil {
		return err
	}
	at, err := addresses(s.udpAddr.Addr())
	if err != nil {
		return err
	}
	var told []netip.Addr
	for _, a := range at {
		sock, err := srv.bind(ctx, netip.AddrPortFrom(a, s.udpAddr.Port()))
		if err != nil {
			return err
		}
		s.all = append(s.all, sock)
		if told = append(told, a); !s.udpAddr.Addr().IsUnspecified() {
			s.udpAddr = sock.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:forcetypeassert // of a UDP socket
			s.udpAddr = netip.AddrPortFrom(s.udpAddr.Addr().Unmap(), s.udpAddr.Port())
		}
	}
	s.tell(cfg.Hosts, told, s.udpAddr.Port(), false)
	if cfg.TCP == "" {
		return nil
	}
	var lc net.ListenConfig
	if s.ln, err = lc.Listen(ctx, "tcp", cfg.TCP); err != nil {
		return fmt.Errorf("rtc: listen over TCP: %w", err)
	}
	over := s.ln.Addr().(*net.TCPAddr).AddrPort() //nolint:forcetypeassert // of a TCP listener
	if told, err = addresses(over.Addr().Unmap()); err != nil {
		return err
	}
	s.tell(cfg.Hosts, told, over.Port(), true)
	loop := accept.Loop{Name: "webrtc", Log: srv.log}
	s.streams.Go(func() {
		if err := loop.Run(s.life, s.ln, srv.takeStream); err != nil {
			srv.log.Error("clients over TCP can't come in any more", "error", err)
		}
	})
	return nil
}

// tell adds what clients are told: the hosts of the config, else the node's own addresses.
func (s *sockets) tell(hosts, own []netip.Addr, port uint16, tcp bool) {
	if len(hosts) > 0 {
		own = hosts
	}
	for _, a := range own {
		s.candidates = append(s.candidates, terms.Candidate{Addr: netip.AddrPortFrom(a, port), TCP: tcp})
	}
}

// addresses are those that one is: itself, or all of the machine that others reach it by.
func addresses(a netip.Addr) ([]netip.Addr, error) {
	if !a.IsUnspecified() {
		return []netip.Addr{a}, nil
	}
	system, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("rtc: addresses of the machine: %w", err)
	}
	var all, alone []netip.Addr
	for _, s := range system {
		prefix, ok := s.(*net.IPNet)
		if !ok {
			continue
		}
		a, ok := netip.AddrFromSlice(prefix.IP)
		switch a = a.Unmap(); {
		case !ok:
		case a.IsLoopback():
			alone = append(alone, a)
		case a.IsGlobalUnicast() && !slices.Contains(all, a):
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return alone, nil // a machine without a network
	}
	return all, nil
}

// bind opens the socket of an address.
func (srv *Server) bind(ctx context.Context, addr netip.AddrPort) (*socket, error) {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("rtc: listen on %s over UDP: %w", addr, err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("rtc: %T, expected a UDP socket", conn), conn.Close())
	}
	_ = udp.SetReadBuffer(srv.cfg.Buffer) // the system grants what it will
	_ = udp.SetWriteBuffer(srv.cfg.Buffer)
	return srv.newSocket(udp), nil
}

func (s *sockets) close() error {
	var errs []error
	s.end()
	for _, c := range s.all {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.ln != nil {
		if err := s.ln.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.streams.Wait()
	return errors.Join(errs...)
}
