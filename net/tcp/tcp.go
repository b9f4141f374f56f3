// Package tcp yields listeners of plain TCP.
package tcp

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Listen listens on addr ("127.0.0.1:7000"; port 0 picks a free one). Accepted connections send small writes at once (no Nagle) and have
// keep-alives that find a peer which vanished without a word in about a minute, should nobody ask more of them. ctx bounds only the resolving of addr.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}}
	ln, err := lc.Listen(ctx, "tcp", addr) // package net sets TCP_NODELAY on each connection it accepts
	if err != nil {
		return nil, fmt.Errorf("tcp: listen on %q: %w", addr, err)
	}
	return ln, nil
}
