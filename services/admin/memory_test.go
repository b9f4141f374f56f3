package admin_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/services/admin"
)

// memory is a listener whose connections are in memory: fake time passes while both ends wait.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Accept is part of net.Listener.
func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener.
func (m *memory) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

// Addr is part of net.Listener.
func (m *memory) Addr() net.Addr { return loopback }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7090}

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case m.conns <- fromLoopback{far}:
		return near, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type fromLoopback struct{ net.Conn }

func (fromLoopback) RemoteAddr() net.Addr { return loopback }

// listen has a server be the one that the scene calls.
func (c *scene) listen(s *admin.Server) {
	c.t.Helper()
	m := &memory{conns: make(chan net.Conn), done: make(chan struct{})}
	serveOn(c.t, s, m)
	c.client = &http.Client{Transport: &http.Transport{DialContext: m.dial}}
	c.t.Cleanup(c.client.CloseIdleConnections)
}

// inFakeTime runs a test of limits in time: what takes 3 s takes them exactly, however busy the machine is.
func inFakeTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// until lets fake time pass until something has happened.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for begun := time.Now(); !happened(); {
		if time.Since(begun) > time.Minute {
			t.Fatalf("after a minute: not %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}
