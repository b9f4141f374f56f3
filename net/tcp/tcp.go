// Package tcp yields listeners of plain TCP.
//
// On Linux a connection is its socket and some 250 bytes: no goroutine waits for it, since one poller of the listener tells it when there is something to read.
// Beside net.Conn it has ReadNow, Notify and CloseWrite, see package transport. Elsewhere connections are those of package net.
package tcp

import (
	"context"
	"fmt"
	"net"
	"time"
)

// keepAlive finds a peer which vanished without a word in about a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3} //nolint:gochecknoglobals // a constant

// Listen listens on addr ("127.0.0.1:7000"; port 0 picks a free one). Accepted connections send small writes at once (no Nagle) and have
// keep-alives that find a peer which vanished without a word in about a minute, should nobody ask more of them. ctx bounds only the resolving of addr.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: listen on %q: %w", addr, err)
	}
	return ln, nil
}
