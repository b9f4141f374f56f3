//go:build !linux

package tcp

import (
	"context"
	"net"
)

func listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	return lc.Listen(ctx, "tcp", addr) // package net sets TCP_NODELAY on each connection it accepts
}
