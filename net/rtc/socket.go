package rtc

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchConn reads and writes many datagrams by one system call where the system can.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// socket is a UDP socket of the node. Who reads from it serves what has come, for all sessions.
type socket struct {
	*net.UDPConn
	batch   batchConn
	server  *Server
	turn    chan struct{} // who has it reads
	readers sync.WaitGroup
	ended   chan struct{}
	end     sync.Once

	complained time.Time // who has the turn has it
}

const (
	// inboxSize is how many datagrams are read at once.
	inboxSize = 64
	// readPause is how long reading pauses when it fails, which is logged each complainEach.
	readPause    = 50 * time.Millisecond
	complainEach = 10 * time.Second
)

func (srv *Server) newSocket(udp *net.UDPConn) *socket {
	s := &socket{UDPConn: udp, server: srv, turn: make(chan struct{}, 1), ended: make(chan struct{})}
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
				if errors.Is(err, net.ErrClosed) {
					s.stop()
					return
				}
				s.failed(err)
				continue
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

// failed waits a while: the system is out of something. Who reads has the turn.
func (s *socket) failed(err error) {
	if now := time.Now(); now.Sub(s.complained) >= complainEach {
		s.complained = now
		s.server.log.Warn("clients are not heard over UDP, trying again", "at", s.LocalAddr(), "error", err)
	}
	select {
	case <-time.After(readPause):
	case <-s.ended:
	}
}

// take gives a datagram to the session of who sent it. What is nobody's is dropped.
func (s *socket) take(m *ipv4.Message, now time.Time, plain []byte, out *outbox) {
	addr, ok := m.Addr.(*net.UDPAddr)
	if !ok || m.N == len(m.Buffers[0]) { // it is cut off
		return
	}
	from := addr.AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	b := m.Buffers[0][:m.N]
	if isSTUN(b) {
		s.server.check(overUDP(s, from), b, now)
		return
	}
	if of := s.server.sockets.paths.at(from); of != nil && of.receive(b, now, plain, out) {
		of.heard.Store(now.UnixNano())
	}
}

func (s *socket) stop() { s.end.Do(func() { close(s.ended) }) }

// Close ends what reads from it, and waits for that.
func (s *socket) Close() error {
	err := s.UDPConn.Close()
	s.stop()
	s.readers.Wait()
	return err
}
