package kcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchSize is how many datagrams one system call takes at most.
const batchSize = 64

// batchConn reads and writes many datagrams at once; ipv4.PacketConn and ipv6.PacketConn do (recvmmsg and sendmmsg on Linux).
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// socket is one UDP socket of a listener. One goroutine reads, one at a time writes.
type socket struct {
	udp   *net.UDPConn
	batch batchConn
	in    []ipv4.Message
	out   []ipv4.Message
}

// listenSockets opens sockets on one address. The port is free before: nobody else listens on it.
func listenSockets(addr string, cfg Config) (sockets []*socket, err error) {
	defer func() {
		if err != nil {
			closeAll(sockets)
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
		// The first socket is bound without sharing, so that a port where somebody listens is an error, and lets the others share afterwards.
		lc := net.ListenConfig{}
		if i > 0 {
			lc.Control = shareBeforeBind
		}
		pc, err := lc.ListenPacket(context.Background(), network, ua.String())
		if err != nil {
			return sockets, err
		}
		udp, ok := pc.(*net.UDPConn)
		if !ok {
			return sockets, fmt.Errorf("%T, expected a UDP socket", pc)
		}
		s := newSocket(udp, network == "udp4", cfg)
		sockets = append(sockets, s)
		if i == 0 {
			if ua, ok = udp.LocalAddr().(*net.UDPAddr); !ok {
				return sockets, fmt.Errorf("%T, expected a UDP address", udp.LocalAddr())
			}
			if number > 1 {
				if err := share(udp); err != nil {
					return sockets, fmt.Errorf("sharing the port: %w", err)
				}
			}
		}
		if err := s.mark(cfg.DSCP, network == "udp4"); err != nil {
			return sockets, fmt.Errorf("DSCP %d: %w", cfg.DSCP, err)
		}
	}
	return sockets, nil
}

func closeAll(sockets []*socket) {
	for _, s := range sockets {
		_ = s.udp.Close()
	}
}

func newSocket(udp *net.UDPConn, v4 bool, cfg Config) *socket {
	s := &socket{udp: udp}
	switch {
	case runtime.GOOS == "windows": // where x/net has no batches
		s.batch = oneByOne{udp}
	case v4:
		s.batch = ipv4.NewPacketConn(udp)
	default:
		s.batch = ipv6.NewPacketConn(udp)
	}
	bytes := func(n int) int {
		if n == 0 {
			return socketBuffer
		}
		return n
	}
	_ = udp.SetReadBuffer(bytes(cfg.ReadBuffer))   // smaller ones lose
	_ = udp.SetWriteBuffer(bytes(cfg.WriteBuffer)) // datagrams, which KCP repeats
	s.in, s.out = make([]ipv4.Message, batchSize), make([]ipv4.Message, batchSize)
	for i := range s.in {
		s.in[i].Buffers = [][]byte{make([]byte, packetRoom)}
		s.out[i].Buffers = make([][]byte, 1)
	}
	return s
}

// mark sets the class of the datagrams.
func (s *socket) mark(dscp int, v4 bool) error {
	if dscp == 0 {
		return nil
	}
	if v4 {
		return ipv4.NewPacketConn(s.udp).SetTOS(dscp << 2)
	}
	return ipv6.NewPacketConn(s.udp).SetTrafficClass(dscp << 2)
}

// read waits for datagrams, which are valid until the next read.
func (s *socket) read() ([]ipv4.Message, error) {
	n, err := s.batch.ReadBatch(s.in, 0)
	return s.in[:max(n, 0)], err
}

// write sends packets and returns how many of them the system refused.
func (s *socket) write(packets []*packet) (failed int, err error) {
	for len(packets) > 0 {
		some := packets[:min(len(packets), batchSize)]
		ms := s.out[:len(some)]
		for i, p := range some {
			ms[i].Buffers[0], ms[i].Addr = p.bytes, p.to
		}
		n, err := s.batch.WriteBatch(ms, 0)
		if errors.Is(err, net.ErrClosed) {
			return failed + len(packets), err
		}
		if n <= 0 { // the first of them is the one that can't be sent
			failed++
			n = 1
		}
		packets = packets[n:]
	}
	return failed, nil
}

// oneByOne is a batchConn for systems without batches.
type oneByOne struct{ udp *net.UDPConn }

func (o oneByOne) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	n, addr, err := o.udp.ReadFromUDP(ms[0].Buffers[0])
	if err != nil {
		return 0, err
	}
	ms[0].N, ms[0].Addr = n, addr
	return 1, nil
}

func (o oneByOne) WriteBatch(ms []ipv4.Message, _ int) (int, error) {
	for i := range ms {
		if _, err := o.udp.WriteTo(ms[i].Buffers[0], ms[i].Addr); err != nil {
			return i, err
		}
	}
	return len(ms), nil
}
