//go:build !linux

package kcp

import (
	"errors"
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchConn reads and writes many datagrams at once where the system can; ipv4.PacketConn and ipv6.PacketConn do.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// socket is one UDP socket of a listener. One goroutine reads, one at a time writes.
type socket struct {
	addr  net.Addr
	udp   *net.UDPConn
	batch batchConn
	in    []ipv4.Message
	out   []ipv4.Message
	got   []datagram
	to    []net.UDPAddr // of out
}

func newSocket(udp *net.UDPConn, v4 bool) (*socket, error) {
	s := &socket{addr: udp.LocalAddr(), udp: udp, got: make([]datagram, batchSize), to: make([]net.UDPAddr, batchSize)}
	switch {
	case runtime.GOOS == "windows": // where x/net has no batches
		s.batch = oneByOne{udp}
	case v4:
		s.batch = ipv4.NewPacketConn(udp)
	default:
		s.batch = ipv6.NewPacketConn(udp)
	}
	s.in, s.out = make([]ipv4.Message, batchSize), make([]ipv4.Message, batchSize)
	for i := range s.in {
		s.in[i].Buffers = [][]byte{make([]byte, packetRoom)}
		s.out[i].Buffers = make([][]byte, 1)
		s.out[i].Addr = &s.to[i]
	}
	return s, nil
}

// listen says whether read is to wait for datagrams. Here it always does: the runtime's poller is told of each of them in any case.
func (s *socket) listen(bool) error { return nil }

// read waits for datagrams.
func (s *socket) read() ([]datagram, error) {
	n, err := s.batch.ReadBatch(s.in, 0)
	got := s.got[:0]
	for _, m := range s.in[:max(n, 0)] {
		if from, ok := m.Addr.(*net.UDPAddr); ok {
			ap := from.AddrPort()
			got = append(got, datagram{m.Buffers[0][:m.N], netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())})
		}
	}
	return got, err
}

// write sends packets and returns how many of them the system refused.
func (s *socket) write(packets []*packet) (failed int) {
	for len(packets) > 0 {
		some := packets[:min(len(packets), batchSize)]
		ms := s.out[:len(some)]
		for i, p := range some {
			ms[i].Buffers[0] = p.bytes
			to := &s.to[i]
			to.IP, to.Port, to.Zone = append(to.IP[:0], p.to.Addr().AsSlice()...), int(p.to.Port()), p.to.Addr().Zone()
		}
		n, err := s.batch.WriteBatch(ms, 0)
		if errors.Is(err, net.ErrClosed) {
			return failed + len(packets)
		}
		if n <= 0 { // the first of them is the one that can't be sent
			failed++
			n = 1
		}
		packets = packets[n:]
	}
	return failed
}

// close ends reads and writes.
func (s *socket) close() error { return s.udp.Close() }

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
