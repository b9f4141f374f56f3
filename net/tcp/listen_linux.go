package tcp

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// listener accepts sockets that the runtime's poller never sees: it would be told of everything that they receive, for nobody.
type listener struct {
	addr   net.Addr
	file   *os.File // of the listening socket, for whose connections the runtime waits
	raw    syscall.RawConn
	poller *poller
	once   sync.Once
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: false},
		KeepAlive:       -1, // by setOptions
		Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			return errors.Join(raw.Control(func(fd uintptr) { failed = setOptions(int(fd)) }), failed)
		},
	}
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	file, err := ln.(*net.TCPListener).File() //nolint:forcetypeassert // what "tcp" gives
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if err := ln.Close(); err != nil { // the file is a socket of its own
		return nil, errors.Join(err, file.Close())
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	p, err := newPoller()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &listener{addr: ln.Addr(), file: file, raw: raw, poller: p}, nil
}

// setOptions sets what connections inherit from the socket that they come in through, so that it need not be set for each of them.
func setOptions(fd int) error {
	var err error
	for _, o := range []struct{ level, name, value int }{
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(keepAlive.Idle / time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(keepAlive.Interval / time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAlive.Count},
	} {
		err = errors.Join(err, os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, o.level, o.name, o.value)))
	}
	return err
}

// Addr is where the listener listens.
func (l *listener) Addr() net.Addr { return l.addr }

// Poll has connections told at once what has happened to them. The runtime looks for that each 10 ms only while there is always something to run. Package transport
// finds it by its shape. It does not block.
func (l *listener) Poll() { l.poller.poll() }

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	var fd int
	var from syscall.Sockaddr
	var failed error
	err := l.raw.Read(func(socket uintptr) bool {
		for {
			fd, from, failed = syscall.Accept4(int(socket), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	if failed != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: os.NewSyscallError("accept4", failed)}
	}
	c, err := l.poller.add(fd, addrOf(from))
	if err != nil {
		_ = syscall.Close(fd)
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return c, nil
}

// Close ends Accept. Accepted connections live on.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = l.file.Close()
		l.poller.release()
	})
	if err != nil {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: err}
	}
	return nil
}

func addrOf(sa syscall.Sockaddr) *net.TCPAddr {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: append([]byte(nil), a.Addr[:]...), Port: a.Port}
	case *syscall.SockaddrInet6:
		addr := &net.TCPAddr{IP: append([]byte(nil), a.Addr[:]...), Port: a.Port}
		if a.ZoneId != 0 {
			addr.Zone = strconv.Itoa(int(a.ZoneId))
		}
		return addr
	}
	return &net.TCPAddr{}
}
