package kcp

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is one UDP socket of a listener. One goroutine reads, one at a time writes.
//
// The runtime's poller does not see it: it would be told of every datagram that comes, and of every one that has left, whoever waits or not, and each time a thread
// would be woken. It sees an epoll, which hears of datagrams that come while somebody wants that.
type socket struct {
	addr net.Addr
	fd   int
	v6   bool
	deaf bool     // the epoll hears nothing
	bell *os.File // the epoll; its users keep the socket open
	raw  syscall.RawConn

	in, out *messages
	room    []byte             // for in
	take    func(uintptr) bool // receive, as raw wants it
	got     []datagram         // by it
	failed  error              // why it has got nothing
	post    func(uintptr)      // transmit, as raw wants it
	packets []*packet          // for it
	refused int                // how many of them
}

const (
	// sendPatience is for how many milliseconds a write waits for a socket that takes nothing.
	sendPatience = 100
	// heard is what the epoll hears of: each datagram that comes.
	heard = unix.EPOLLIN | unix.EPOLLET
)

// newSocket takes the socket from net's connection, which is closed if that succeeds.
func newSocket(udp *net.UDPConn, v4 bool) (*socket, error) {
	conn, err := udp.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{fd: -1, addr: udp.LocalAddr(), in: newMessages(), out: newMessages(), room: make([]byte, batchSize*packetRoom), got: make([]datagram, batchSize)}
	var failed error
	err = conn.Control(func(fd uintptr) {
		if s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed == nil && !v4 {
			var sa unix.Sockaddr
			sa, failed = unix.Getsockname(s.fd)
			_, s.v6 = sa.(*unix.SockaddrInet6) // which "udp" need not be
		}
	})
	if err := errors.Join(err, failed); err != nil {
		if s.fd >= 0 {
			err = errors.Join(err, unix.Close(s.fd))
		}
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, unix.Close(s.fd))
	}
	for i := range batchSize {
		s.in.buffer(i, s.room[i*packetRoom:][:packetRoom])
	}
	s.take, s.post = s.receive, s.transmit
	if err := udp.Close(); err != nil { // now the runtime's poller forgets it
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open makes the epoll.
func (s *socket) open() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // else the runtime would not wait for it
		return errors.Join(os.NewSyscallError("fcntl", err), unix.Close(epoll))
	}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: heard}); err != nil {
		return errors.Join(os.NewSyscallError("epoll_ctl", err), unix.Close(epoll))
	}
	s.bell = os.NewFile(uintptr(epoll), "epoll")
	if s.raw, err = s.bell.SyscallConn(); err != nil {
		return errors.Join(err, s.bell.Close())
	}
	return nil
}

// listen says whether read is to wait for datagrams. Otherwise it returns what is there, which may be nothing, and nobody is woken meanwhile.
func (s *socket) listen(on bool) error {
	if on != s.deaf {
		return nil
	}
	events := uint32(0)
	if on {
		events = heard
	}
	var failed error
	err := s.raw.Control(func(epoll uintptr) {
		failed = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: events})
	})
	if err == nil && failed == nil {
		s.deaf = !on
	}
	return errors.Join(err, os.NewSyscallError("epoll_ctl", failed))
}

// read returns datagrams. It waits for them if the socket listens.
func (s *socket) read() ([]datagram, error) {
	if err := s.raw.Read(s.take); err != nil {
		return nil, err
	}
	return s.got, s.failed
}

func (s *socket) receive(uintptr) bool {
	n, err := s.in.receive(s.fd)
	s.got, s.failed = s.got[:n], nil
	if errors.Is(err, unix.EAGAIN) {
		return s.deaf
	}
	s.failed = os.NewSyscallError("recvmmsg", err)
	for i := range s.got {
		s.got[i] = datagram{s.room[i*packetRoom:][:s.in.head[i].n], s.in.sender(i)}
	}
	return true
}

// write sends packets and returns how many of them the system refused.
func (s *socket) write(packets []*packet) (refused int) {
	for ; len(packets) > 0; packets = packets[min(len(packets), batchSize):] {
		s.packets = packets[:min(len(packets), batchSize)]
		s.refused = len(s.packets)
		_ = s.raw.Control(s.post) // fails when the socket is closed
		refused += s.refused
	}
	s.packets = nil
	return refused
}

func (s *socket) transmit(uintptr) {
	for i, p := range s.packets {
		s.out.buffer(i, p.bytes)
		s.out.address(i, p.to, s.v6)
	}
	s.refused = 0
	for from := 0; from < len(s.packets); {
		n, err := s.out.transmit(s.fd, from, len(s.packets))
		if errors.Is(err, unix.EAGAIN) && s.drains() {
			continue
		}
		if n <= 0 { // the first of them is the one that can't be sent
			s.refused++
			n = 1
		}
		from += n
	}
	s.out.forget(len(s.packets))
}

// drains waits for a socket that has taken nothing.
func (s *socket) drains() bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, sendPatience)
	return n > 0 || errors.Is(err, unix.EINTR)
}

// close ends reads and writes, and waits until they are over.
func (s *socket) close() error {
	err := s.bell.Close()
	if err != nil {
		return err // by somebody else
	}
	return os.NewSyscallError("close", unix.Close(s.fd))
}
