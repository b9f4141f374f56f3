package tcp_test

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/skua-go/skua/net/tcp"
)

func TestConnectionsHaveKeepAliveAndNoDelay(t *testing.T) {
	ln, err := tcp.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string][3]int{
		"SO_KEEPALIVE":  {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"TCP_NODELAY":   {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		"TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 10},
	} {
		var got int
		if err := raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), opt[0], opt[1]) }); err != nil || got != opt[2] {
			t.Errorf("%s is %d, %v, expected %d", name, got, err, opt[2])
		}
	}
}

func TestABadAddressIsNamed(t *testing.T) {
	if _, err := tcp.Listen(context.Background(), "127.0.0.1:nowhere"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
}
