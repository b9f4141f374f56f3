//go:build !linux

package kcp

import (
	"net"
	"syscall"
)

// canShare says whether the system spreads datagrams over several sockets of one port.
const canShare = false

func shareBeforeBind(_, _ string, _ syscall.RawConn) error { return nil }

func share(*net.UDPConn) error { return nil }
