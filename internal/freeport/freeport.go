// Package freeport finds ports for tests whose servers must know their addresses before they listen, or listen on the same ones again after a restart.
package freeport

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports below those that kernels hand out by themselves (Linux from 32768, others from 49152): a port that is one of theirs may be taken by anybody's outgoing connection while no server listens on it.
const (
	lowest  = 10000
	highest = 32000
	tries   = 1000
)

// TCP returns n addresses of the loopback interface that nobody listens on, and which no other caller of it is given until the test ends, in this process or another. Over UDP they are not free.
func TCP(tb testing.TB, n int) []string {
	tb.Helper()
	addrs := make([]string, 0, n)
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(highest-lowest)))
		if claim(tb, addr) {
			addrs = append(addrs, addr)
		}
		if len(addrs) == n {
			return addrs
		}
	}
	tb.Fatalf("%d ports between %d and %d were tried, and not %d of them are free", tries, lowest, highest, n)
	return nil
}

// claim takes an address until the test ends. What others can see of it is the UDP socket, which a server over TCP is not hindered by.
func claim(tb testing.TB, addr string) bool {
	tb.Helper()
	var lc net.ListenConfig
	mark, err := lc.ListenPacket(context.WithoutCancel(tb.Context()), "udp", addr)
	if err != nil {
		return false
	}
	ln, err := lc.Listen(tb.Context(), "tcp", addr)
	if err == nil {
		err = ln.Close()
	}
	if err != nil {
		_ = mark.Close()
		return false
	}
	tb.Cleanup(func() { _ = mark.Close() })
	return true
}
