package rtc

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchConn reads and writes many datagrams by one system call where the system can.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// socket is a UDP socket as the library wants it. What the library reads has passed the short ways of the sessions, which keep what is theirs.
type socket struct {
	*net.UDPConn
	batch   batchConn
	paths   *paths
	server  *Server
	queue   chan datagram // for the library
	spare   sync.Pool     // of its buffers
	turn    chan struct{} // who has it reads
	readers sync.WaitGroup
	ended   chan struct{}
	end     sync.Once
	err     error // why it has
}

// datagram is one that has come.
type datagram struct {
	room *[datagramRoom]byte
	size int
	from netip.AddrPort
}

const (
	// inboxSize is how many datagrams are read at once.
	inboxSize = 64
	// queueSize is how many wait for the library. Beyond that they wait in the system.
	queueSize = 256
)

func (srv *Server) newSocket(udp *net.UDPConn, ps *paths) *socket {
	s := &socket{UDPConn: udp, paths: ps, server: srv, queue: make(chan datagram, queueSize), turn: make(chan struct{}, 1), ended: make(chan struct{})}
	s.spare.New = func() any { return new([datagramRoom]byte) }
	s.batch = ipv4.NewPacketConn(udp)
	if local, ok := udp.LocalAddr().(*net.UDPAddr); ok && local.IP.To4() == nil {
		s.batch = ipv6.NewPacketConn(udp)
	}
	s.turn <- struct{}{}
	for range min(runtime.GOMAXPROCS(0), 8) {
		s.readers.Go(s.read)
	}
	return s
}

// read takes datagrams in until the socket is closed. While few come one goroutine reads, so that as many as possible come at once; one that has
// got all that it has room for lets the next read, so that a busy node uses all cores.
func (s *socket) read() {
	in := make([]ipv4.Message, inboxSize)
	room := make([]byte, inboxSize*datagramRoom)
	for i := range in {
		in[i].Buffers = [][]byte{room[i*datagramRoom:][:datagramRoom:datagramRoom]}
	}
	plain := make([]byte, datagramRoom)
	for {
		select {
		case <-s.turn:
		case <-s.ended:
			return
		}
		for full := false; !full; {
			n, err := s.batch.ReadBatch(in, 0)
			if err != nil {
				s.close(err)
				return
			}
			if full = n == len(in); full {
				s.turn <- struct{}{}
			}
			now := time.Now()
			s.server.turn(func(out *outbox) {
				for i := range in[:n] {
					s.take(&in[i], now, plain, out)
				}
			})
		}
	}
}

// take gives a datagram to the short way of who sent it, or to the library.
func (s *socket) take(m *ipv4.Message, now time.Time, plain []byte, out *outbox) {
	addr, ok := m.Addr.(*net.UDPAddr)
	if !ok || m.N == len(m.Buffers[0]) { // it is cut off
		return
	}
	from := addr.AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	b := m.Buffers[0][:m.N]
	if p := s.paths.hear(from, s, b); p != nil && p.take(b, now, plain, out) {
		return
	}
	d := datagram{room: s.spare.Get().(*[datagramRoom]byte), size: m.N, from: from} //nolint:forcetypeassert // nothing else is in there
	copy(d.room[:], b)
	select {
	case s.queue <- d:
		return
	default:
		out.flush() // who gets it does not wait for the library
	}
	select {
	case s.queue <- d:
	case <-s.ended:
	}
}

// ReadFromAddrPort is where the library reads.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-s.queue:
		n := copy(b, d.room[:d.size])
		s.spare.Put(d.room)
		return n, d.from, nil
	case <-s.ended:
		return 0, netip.AddrPort{}, s.err
	}
}

// WriteToAddrPort is where it writes.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.WriteToUDPAddrPort(b, to)
}

// ReadFrom and WriteTo make it a net.PacketConn; the library uses the ones above.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

func (s *socket) close(why error) {
	s.end.Do(func() {
		s.err = why
		close(s.ended)
	})
}

// Close ends what reads from it.
func (s *socket) Close() error {
	err := s.UDPConn.Close()
	s.close(net.ErrClosed)
	return err
}

// network is the system's, with sockets of ours.
type network struct {
	*stdnet.Net
	open func(*net.UDPConn) *socket
}

// ListenUDP opens one.
func (n network) ListenUDP(name string, at *net.UDPAddr) (transport.UDPConn, error) {
	udp, err := net.ListenUDP(name, at)
	if err != nil {
		return nil, err
	}
	return n.open(udp), nil
}
