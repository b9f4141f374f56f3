package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

const (
	udpBuffer   = 2 << 20  // asked of the system: a key frame comes at once
	udpPacket   = 10 << 10 // more than links take at once; longer ones are left out
	pairedPorts = 64       // tries to find an even port and the one behind it
)

// UDP is two ports, for RTP and RTCP of all sessions. Packets that nobody has announced are left alone.
type UDP struct {
	rtp, rtcp *net.UDPConn

	mu    sync.Mutex
	peers map[from]func(packet []byte)
}

// from tells whose packet one is.
type from struct {
	addr    netip.AddrPort
	control bool // RTCP
}

// ListenUDP opens an even port for RTP and the one behind it for RTCP (RFC 3550 section 11). Port 0 is any.
func ListenUDP(ctx context.Context, addr string) (*UDP, error) {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("rtsp: %w", err)
	}
	if at.Port%2 != 0 {
		return nil, fmt.Errorf("rtsp: UDP port %d, expected an even one: RTCP is on the one behind it", at.Port)
	}
	for range pairedPorts {
		var u *UDP
		if u, err = listenPair(ctx, *at); err == nil || at.Port != 0 {
			return u, err
		}
	}
	return nil, err
}

func listenPair(ctx context.Context, at net.UDPAddr) (*UDP, error) {
	open := func(port int) (*net.UDPConn, error) {
		at.Port = port
		c, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", at.String())
		if err != nil {
			return nil, fmt.Errorf("rtsp: %w", err)
		}
		conn, ok := c.(*net.UDPConn)
		if !ok {
			return nil, errors.Join(fmt.Errorf("rtsp: %T is no UDP socket", c), c.Close())
		}
		_ = conn.SetReadBuffer(udpBuffer) // these are wishes
		_ = conn.SetWriteBuffer(udpBuffer)
		return conn, nil
	}
	first, err := open(at.Port)
	if err != nil {
		return nil, err
	}
	port := portOf(first)
	if port%2 != 0 {
		return nil, errors.Join(fmt.Errorf("rtsp: the system has given port %d, which is not even", port), first.Close())
	}
	second, err := open(port + 1)
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	return &UDP{rtp: first, rtcp: second, peers: map[from]func([]byte){}}, nil
}

// Addr is where RTP comes.
func (u *UDP) Addr() net.Addr { return u.rtp.LocalAddr() }

// Close closes both ports.
func (u *UDP) Close() {
	_ = u.rtp.Close()
	_ = u.rtcp.Close()
}

// ports are both, as SETUP tells them.
func (u *UDP) ports() *[2]int {
	port := portOf(u.rtp)
	return &[2]int{port, port + 1}
}

func portOf(conn *net.UDPConn) int {
	at, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return 0 // it is an address of UDP
	}
	return int(at.Port())
}

// serve gives packets to those who have announced them until the ports are closed.
func (u *UDP) serve() {
	var both sync.WaitGroup
	both.Go(func() { u.read(u.rtp, false) })
	both.Go(func() { u.read(u.rtcp, true) })
	both.Wait()
}

func (u *UDP) read(conn *net.UDPConn, control bool) {
	buf := make([]byte, udpPacket)
	for {
		n, addr, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == len(buf) {
			continue // a peer's port that is gone is told here, and is the session's to notice
		}
		u.mu.Lock()
		take := u.peers[from{plain(addr), control}]
		if take == nil {
			take = u.peers[from{anyPort(addr.Addr()), control}]
		}
		u.mu.Unlock()
		if take != nil {
			take(append([]byte(nil), buf[:n]...))
		}
	}
}

// expect has a peer's packets given to rtp and rtcp, on a goroutine that must not be kept. It fails when somebody else has the same address, as two behind one router may.
func (u *UDP) expect(at, control netip.AddrPort, rtp, rtcp func(packet []byte)) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.peers[from{at, false}] != nil || u.peers[from{control, true}] != nil {
		return fmt.Errorf("%w: another session has UDP port %d or %d of this host", ErrProtocol, at.Port(), control.Port())
	}
	u.peers[from{at, false}], u.peers[from{control, true}] = rtp, rtcp
	return nil
}

// forget ends that.
func (u *UDP) forget(at, control netip.AddrPort) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.peers, from{at, false})
	delete(u.peers, from{control, true})
}

// anyPort is all of a host, for servers that don't tell from where they send.
func anyPort(host netip.Addr) netip.AddrPort { return netip.AddrPortFrom(host.Unmap(), 0) }

// plain is an address as it is looked for.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
