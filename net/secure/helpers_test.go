package secure_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/net/secure"
)

func TestMain(m *testing.M) {
	// kcp-go keeps timers of its own for ever.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"),
	)
}

// patience is how long a test waits for what must happen; it is long because the machine may be busy, and never waited out when all is well.
const patience = time.Minute

// pipes is a listener of connections in memory, which fake time can be used with.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7000} }

// dial connects from an address such as "203.0.113.5:40000".
func (p *pipes) dial(from string) net.Conn {
	near, far := net.Pipe()
	remote, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		panic(err)
	}
	p.conns <- &pipe{Conn: near, remote: remote, local: p.Addr()}
	return far
}

// pipe is a connection in memory with addresses.
type pipe struct {
	net.Conn
	remote, local net.Addr
}

func (p *pipe) RemoteAddr() net.Addr { return p.remote }
func (p *pipe) LocalAddr() net.Addr  { return p.local }

// door is a listener under test.
type door struct {
	*secure.Listener
	below net.Listener
	t     *testing.T
	stats secure.Stats
	log   logtest.Buffer
}

func wrap(t *testing.T, inner net.Listener, cfg secure.Config) *door {
	t.Helper()
	d := &door{t: t, below: inner}
	cfg.Stats, cfg.Log = &d.stats, slog.New(slog.NewTextHandler(&d.log, nil))
	ln, err := secure.Wrap(inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Listener = ln
	t.Cleanup(func() {
		_ = ln.Close()
		if n := d.stats.Snapshot().Pending; n != 0 {
			t.Errorf("%d connections are counted as pending after Close", n)
		}
	})
	return d
}

// accept takes the next connection.
func (d *door) accept() net.Conn {
	d.t.Helper()
	c, err := d.Accept()
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	return c
}

// refused waits until so many connections were refused for a reason.
func (d *door) refused(reason string, n uint64) {
	d.t.Helper()
	until(d.t, fmt.Sprintf("%d refusals for %q", n, reason), func() bool { return d.stats.Snapshot().Refused[reason] == n })
}

// until waits for a condition on counters, which nothing signals.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(time.Millisecond); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// certificates are made for these hosts, and files has what they are read from.
func certificates(t *testing.T, hosts ...string) (*secure.Certificates, *testcert.Authority) {
	t.Helper()
	ca := testcert.New(t)
	cert, key := ca.Write(t, t.TempDir(), "server", hosts...)
	c, err := secure.LoadCertificates(secure.CertificatesConfig{Pairs: []secure.Pair{{Cert: cert, Key: key}}})
	if err != nil {
		t.Fatal(err)
	}
	return c, ca
}

func trusting(roots *x509.CertPool, host string) *tls.Config {
	return &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dial(t *testing.T, addr net.Addr) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// echo sends back what comes, until it ends, and then ends its own half.
func echo(c net.Conn) {
	_, _ = io.Copy(c, c)
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// serve echoes on each connection until the listener is closed.
func (d *door) serve() {
	d.t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				echo(c)
			})
		}
	})
	d.t.Cleanup(func() {
		_ = d.Close()
		wg.Wait()
	})
}

func said(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	heard(t, c, text)
}

func heard(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, expected %q", got, err, text)
	}
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came, expected the end", n)
	}
}
