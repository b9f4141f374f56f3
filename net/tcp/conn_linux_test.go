package tcp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/skua-go/skua/net/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// told is what a connection has beside net.Conn.
type told interface {
	net.Conn
	ReadNow(p []byte) (int, error)
	Notify(f func())
	CloseWrite() error
}

func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln, err := tcp.Listen(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// pair is both ends of a connection.
func pair(t testing.TB) (server told, client *net.TCPConn) {
	t.Helper()
	ln := listen(t, "127.0.0.1:0")
	client, server = ends(t, ln)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func ends(t testing.TB, ln net.Listener) (client *net.TCPConn, server told) {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), s.Close() })
	return c.(*net.TCPConn), s.(told)
}

// options of a socket, which is found by its port among those of the process.
func options(t *testing.T, c net.Conn) (get func(level, name int) int) {
	t.Helper()
	port := c.RemoteAddr().(*net.TCPAddr).Port
	for fd := range 1000 {
		sa, err := syscall.Getpeername(fd)
		if in, ok := sa.(*syscall.SockaddrInet4); err == nil && ok && in.Port == port {
			return func(level, name int) int {
				v, err := syscall.GetsockoptInt(fd, level, name)
				if err != nil {
					t.Error(err)
				}
				return v
			}
		}
	}
	t.Fatal("the socket is not found")
	return nil
}

func TestConnectionsHaveKeepAliveAndNoDelay(t *testing.T) {
	server, _ := pair(t)
	get := options(t, server)
	for name, opt := range map[string][3]int{
		"SO_KEEPALIVE":  {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"TCP_NODELAY":   {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		"TCP_KEEPIDLE":  {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 30},
		"TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 10},
		"TCP_KEEPCNT":   {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
	} {
		if got := get(opt[0], opt[1]); got != opt[2] {
			t.Errorf("%s is %d, expected %d", name, got, opt[2])
		}
	}
}

func TestConnectionsBehaveAsThoseOfPackageNet(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		ln, err := tcp.Listen(context.Background(), "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer ln.Close()
		if c1, err = net.Dial("tcp", ln.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = ln.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c2, c1, func() { _, _ = c1.Close(), c2.Close() }, nil
	})
}

func TestAddressesAreThoseOfBothEnds(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		client, server := ends(t, listen(t, addr))
		if client.LocalAddr().String() != server.RemoteAddr().String() || client.RemoteAddr().String() != server.LocalAddr().String() {
			t.Errorf("client %v, %v; server %v, %v", client.LocalAddr(), client.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
		}
	}
}

// news is a Notify that can be waited for.
func news(c told) chan struct{} {
	ch := make(chan struct{}, 1)
	c.Notify(func() {
		select {
		case ch <- struct{}{}:
		default:
		}
	})
	return ch
}

// readNow reads when there is news until there is something.
func readNow(t *testing.T, c told, news chan struct{}) ([]byte, error) {
	t.Helper()
	buf := make([]byte, 100)
	for {
		if n, err := c.ReadNow(buf); n > 0 || err != nil {
			return buf[:n], err
		}
		select {
		case <-news:
		case <-time.After(patience):
			t.Fatal("nobody is told of anything")
		}
	}
}

func TestWhoeverReadsIsToldOfBytesTheEndAndDeadlines(t *testing.T) {
	server, client := pair(t)
	ch := news(server)
	for i := range 100 {
		want := fmt.Sprint(i)
		if _, err := client.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := readNow(t, server, ch); string(got) != want || err != nil {
			t.Fatalf("read %q, %v, expected %q", got, err, want)
		}
	}
	begun := time.Now()
	if err := server.SetReadDeadline(begun.Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := readNow(t, server, ch); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := readNow(t, server, ch); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	_, _ = client.Write([]byte("last"))
	_ = client.CloseWrite() // both at once: the end is told only once
	if got, err := readNow(t, server, ch); string(got) != "last" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	for range 3 {
		if _, err := readNow(t, server, ch); !errors.Is(err, io.EOF) {
			t.Errorf("read %v, expected the end", err)
		}
	}
	if _, err := server.Write([]byte("still")); err != nil {
		t.Error(err)
	}
	if err := server.CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(client); string(got) != "still" || err != nil {
		t.Errorf("the client read %q, %v", got, err)
	}
	_ = server.Close()
	if _, err := readNow(t, server, ch); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestAResetIsAnError(t *testing.T) {
	server, client := pair(t)
	ch := news(server)
	if err := client.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if _, err := readNow(t, server, ch); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %v", err)
	}
	if _, err := server.Write([]byte("x")); err == nil {
		t.Error("a write succeeds")
	}
}

func TestNothingIsLostWhateverTheSizes(t *testing.T) {
	server, client := pair(t)
	ch := news(server)
	sent := make([]byte, 3<<20)
	if _, err := rand.Read(sent); err != nil {
		t.Fatal(err)
	}
	go func() {
		for rest, n := sent, 1; len(rest) > 0; n = n*7%65537 + 1 {
			piece := rest[:min(n, len(rest))]
			rest = rest[len(piece):]
			if _, err := client.Write(piece); err != nil {
				t.Error(err)
			}
		}
		_ = client.CloseWrite()
	}()
	var got []byte
	for {
		p, err := readNow(t, server, ch)
		got = append(got, p...)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived of %d, or others", len(got), len(sent))
	}
}

func TestABufferThatTakesMoreThanOneReadGetsAllThatHasCome(t *testing.T) {
	const size = 48 << 10
	server, client := pair(t)
	news := news(server)
	if _, err := client.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	<-news // all has come: on the loopback it has when the write returns. So nobody is told again
	if err := server.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(server, make([]byte, size)); err != nil {
		t.Fatalf("%d bytes of %d: %v", n, size, err)
	}
}

func TestABlockedWriteEndsWithItsDeadlineOrItsConnection(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(c net.Conn)
		want error
	}{
		"deadline":         {func(c net.Conn) { _ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"deadline, past":   {func(c net.Conn) { _ = c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":            {func(c net.Conn) { _ = c.Close() }, net.ErrClosed},
		"a later deadline": {func(c net.Conn) { _ = c.SetDeadline(time.Now().Add(time.Hour)); _ = c.SetDeadline(time.Now()) }, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := pair(t)
			var written atomic.Int64
			failed := make(chan error, 1)
			go func() {
				for {
					n, err := server.Write(make([]byte, 64<<10))
					written.Add(int64(n))
					if err != nil {
						failed <- err
						return
					}
				}
			}()
			for last := int64(-1); last != written.Load() || last == 0; time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // until it blocks
				last = written.Load()
			}
			end.do(server)
			select {
			case err := <-failed:
				if !errors.Is(err, end.want) {
					t.Errorf("failed with %v", err)
				}
			case <-time.After(patience):
				t.Error("it blocks on")
			}
		})
	}
}

func TestABlockedWriteGoesOnWhenTheClientReads(t *testing.T) {
	server, client := pair(t)
	const total = 32 << 20
	go func() {
		if _, err := server.Write(make([]byte, total)); err != nil {
			t.Error(err)
		}
		_ = server.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, client); n != total || err != nil {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
}

func TestAClosedListenerKeepsItsConnections(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	client, server := ends(t, ln)
	accepted := make(chan error, 1)
	go func() { _, err := ln.Accept(); accepted <- err }()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a further client: %v", err)
	}
}

func TestConnectionsCostNoGoroutine(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	before := runtime.NumGoroutine()
	for range 200 {
		_, s := ends(t, ln)
		s.Notify(func() {})
		_ = s.SetReadDeadline(time.Now().Add(time.Hour))
	}
	if n := runtime.NumGoroutine(); n > before+2 {
		t.Errorf("%d goroutines became %d", before, n)
	}
}

func TestConnectionsThatComeAndGoAtOnceAreToldApart(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	var servers sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 100 {
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				want := fmt.Sprintf("%d of %d", n, i)
				_, _ = io.WriteString(c, want)
				_ = c.(*net.TCPConn).CloseWrite()
				if got, err := io.ReadAll(c); string(got) != want || err != nil {
					t.Errorf("received %q, %v, expected %q", got, err, want)
				}
				_ = c.Close()
			}
		})
	}
	clients.Wait()
	_ = ln.Close()
	servers.Wait()
}
