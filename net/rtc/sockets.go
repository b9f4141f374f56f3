package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/transport/v4/stdnet"
	pion "github.com/pion/webrtc/v4"
)

// sockets are what all sessions share.
type sockets struct {
	udp     ice.UDPMux
	tcp     ice.TCPMux // or nil
	all     []*socket
	open    func(*net.UDPConn) *socket
	paths   paths
	ln      net.Listener
	udpAddr netip.AddrPort
	only    netip.Addr // the one address that is listened on; else all of the machine
}

func (srv *Server) openSockets(ctx context.Context, logs logging.LoggerFactory) (_ *sockets, err error) {
	cfg := &srv.cfg
	s := &sockets{paths: newPaths()}
	s.open = func(udp *net.UDPConn) *socket {
		sock := srv.newSocket(udp, &s.paths)
		s.all = append(s.all, sock)
		return sock
	}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	addr, err := listenAddress(cfg.UDP)
	if err != nil {
		return nil, err
	}
	s.udpAddr = addr
	if addr.Addr().IsUnspecified() {
		system, err := stdnet.NewNet()
		if err != nil {
			return nil, fmt.Errorf("rtc: %w", err)
		}
		s.udp, err = ice.NewMultiUDPMuxFromPort(int(addr.Port()), ice.UDPMuxFromPortWithNet(network{system, s.open}), ice.UDPMuxFromPortWithReadBufferSize(cfg.Buffer), ice.UDPMuxFromPortWithWriteBufferSize(cfg.Buffer),
			ice.UDPMuxFromPortWithLogger(logs.NewLogger("udp")))
		if err != nil {
			return nil, fmt.Errorf("rtc: listen on %s over UDP: %w", addr, err)
		}
	} else if err := s.bind(ctx, addr, cfg, logs); err != nil {
		return nil, err
	}
	if cfg.TCP == "" {
		return s, nil
	}
	var lc net.ListenConfig
	if s.ln, err = lc.Listen(ctx, "tcp", cfg.TCP); err != nil {
		return nil, fmt.Errorf("rtc: listen over TCP: %w", err)
	}
	s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: s.ln, Logger: logs.NewLogger("tcp"), ReadBufferSize: 64, WriteBufferSize: tcpBacklog,
		FirstStunBindTimeout: cfg.ConnectTimeout, AliveDurationForConnFromStun: cfg.ConnectTimeout,
	})
	return s, nil
}

// bind opens the one socket of an address.
func (s *sockets) bind(ctx context.Context, addr netip.AddrPort, cfg *Config, logs logging.LoggerFactory) error {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", addr.String())
	if err != nil {
		return fmt.Errorf("rtc: listen over UDP: %w", err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return errors.Join(fmt.Errorf("rtc: %T, expected a UDP socket", conn), conn.Close())
	}
	_ = udp.SetReadBuffer(cfg.Buffer) // the system grants what it will
	_ = udp.SetWriteBuffer(cfg.Buffer)
	s.udpAddr = udp.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:forcetypeassert // of a UDP socket
	s.only = addr.Addr()
	s.udp = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: s.open(udp), Logger: logs.NewLogger("udp")})
	return nil
}

func (s *sockets) close() error {
	var errs []error
	if s.udp != nil {
		errs = append(errs, s.udp.Close())
	}
	for _, c := range s.all {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
		c.readers.Wait()
	}
	if s.tcp != nil {
		errs = append(errs, s.tcp.Close())
	}
	if s.ln != nil {
		if err := s.ln.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// settings are the library's for all sessions.
func (s *sockets) settings(cfg *Config, logs logging.LoggerFactory) (pion.SettingEngine, error) {
	set := pion.SettingEngine{LoggerFactory: logs}
	set.SetLite(true)
	if err := set.SetAnsweringDTLSRole(pion.DTLSRoleServer); err != nil { // whose handshake tells the keys
		return set, fmt.Errorf("rtc: %w", err)
	}
	set.SetICEUDPMux(s.udp)
	types := []pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6}
	if s.tcp != nil {
		set.SetICETCPMux(s.tcp)
		types = append(types, pion.NetworkTypeTCP4, pion.NetworkTypeTCP6)
	}
	set.SetNetworkTypes(types)
	set.DisableActiveTCP(true) // the node connects to nobody because somebody says so
	set.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	set.SetICETimeouts(cfg.Silence/2, cfg.Silence/2, cfg.Silence/5)
	set.SetReceiveMTU(1500)
	set.SetSCTPMaxReceiveBufferSize(4 * MaxMessage)
	if s.only.IsValid() {
		set.SetIncludeLoopbackCandidate(s.only.IsLoopback())
		set.SetIPFilter(func(ip net.IP) bool {
			a, ok := netip.AddrFromSlice(ip)
			return ok && a.Unmap() == s.only
		})
	}
	if len(cfg.Hosts) > 0 {
		hosts := make([]string, len(cfg.Hosts))
		for i, h := range cfg.Hosts {
			hosts[i] = h.String()
		}
		err := set.SetICEAddressRewriteRules(pion.ICEAddressRewriteRule{External: hosts, AsCandidateType: pion.ICECandidateTypeHost, Mode: pion.ICEAddressRewriteReplace})
		if err != nil {
			return set, fmt.Errorf("rtc: hosts: %w", err)
		}
	}
	return set, nil
}
