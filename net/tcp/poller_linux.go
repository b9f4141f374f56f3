package tcp

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// poller tells connections when there is something for them. It has an epoll of its own, which the runtime's waits for as for a socket: so one goroutine waits for
// all connections, and takes what has come for many of them with one system call. It ends with the listener and the last connection.
type poller struct {
	fd    int
	file  *os.File // the same
	wheel wheel
	raw   syscall.RawConn

	polling sync.Mutex
	polled  harvester

	mu    sync.Mutex
	conns []*conn // by socket
	users int     // the listener and the connections
}

// edges are the events of a connection. They come once for each change: epoll(7), EPOLLET.
const edges = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31

// harvest is how many events are taken at once.
const harvest = 128

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // else the runtime would not wait for it
		return nil, errors.Join(os.NewSyscallError("fcntl", err), syscall.Close(fd))
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), users: 1}
	raw, err := p.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	p.raw = raw
	p.wheel.init()
	go p.run(raw)
	return p, nil
}

// run is the poller's goroutine. release ends it.
func (p *poller) run(raw syscall.RawConn) {
	var h harvester
	_ = raw.Read(func(fd uintptr) bool { // fails when the file is closed
		for h.tell(p, int(fd)) {
		}
		return false // wait for the next edge of any connection
	})
}

// harvester takes events.
type harvester struct {
	got   [harvest]syscall.EpollEvent
	conns [harvest]*conn
}

// tell takes some events and tells their connections; false when there are none.
func (h *harvester) tell(p *poller, fd int) bool {
	n, err := events(fd, h.got[:])
	for errors.Is(err, syscall.EINTR) {
		n, err = events(fd, h.got[:])
	}
	if n <= 0 {
		return false
	}
	p.mu.Lock()
	for i := range n {
		h.conns[i] = p.conns[h.got[i].Fd]
	}
	p.mu.Unlock()
	for i, c := range h.conns[:n] {
		if c != nil {
			c.happened(h.got[i].Events)
		}
	}
	clear(h.conns[:n])
	return true
}

// poll tells connections what has happened, besides run. Several calls take turns.
func (p *poller) poll() {
	p.polling.Lock()
	defer p.polling.Unlock()
	_ = p.raw.Control(func(fd uintptr) { p.polled.tell(p, int(fd)) }) // fails when the file is closed: there is nobody left then
}

// add makes a connection of a socket.
func (p *poller) add(fd int, remote *netAddr) (*conn, error) {
	local, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	c := &conn{p: p, fd: fd, local: addrOf(local), remote: remote}
	c.ready.Store(true)
	c.timer.conn = c
	p.mu.Lock()
	if p.users == 0 {
		p.mu.Unlock()
		return nil, net.ErrClosed
	}
	if fd >= len(p.conns) {
		larger := make([]*conn, max(64, 2*fd))
		copy(larger, p.conns)
		p.conns = larger
	}
	p.conns[fd] = c
	p.users++
	p.mu.Unlock()
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: edges, Fd: int32(fd)}); err != nil {
		p.forget(fd)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return c, nil
}

// forget takes a connection out, whose socket is about to be closed.
func (p *poller) forget(fd int) {
	p.mu.Lock()
	p.conns[fd] = nil
	p.mu.Unlock()
	p.release()
}

// release counts a user less; the last one ends the poller.
func (p *poller) release() {
	p.mu.Lock()
	p.users--
	last := p.users == 0
	p.mu.Unlock()
	if last {
		_ = p.file.Close()
		p.wheel.stop()
	}
}
