package kcp

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// canShare says whether the system spreads datagrams over several sockets of one port.
const canShare = true

// shareBeforeBind is for a net.ListenConfig.
func shareBeforeBind(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	if err != nil {
		return err
	}
	return failed
}

// share lets further sockets of this user bind to the same port.
func share(udp *net.UDPConn) error {
	c, err := udp.SyscallConn()
	if err != nil {
		return err
	}
	return shareBeforeBind("", "", c)
}
