package secure_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/secure"
	"github.com/skua-go/skua/net/transport"
)

func nets(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = netip.ParsePrefix(text); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// header is what a balancer writes for a client.
func header(t *testing.T, version byte, client string) []byte {
	t.Helper()
	from, err := net.ResolveTCPAddr("tcp", client)
	if err != nil {
		t.Fatal(err)
	}
	to := &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: 443}
	if from.IP.To4() == nil {
		to.IP = net.ParseIP("2001:db8::1")
	}
	text, err := proxyproto.HeaderProxyFromAddrs(version, from, to).Format()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// local is how a balancer asks whether the server is there.
func local(t *testing.T) []byte {
	t.Helper()
	text, err := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}).Format()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestABalancersClientsHaveTheirOwnAddresses(t *testing.T) {
	for _, c := range []struct{ name, header, remote, local string }{
		{"version 1", string(header(t, 1, "203.0.113.5:40000")), "203.0.113.5:40000", "198.51.100.1:443"},
		{"version 1, IPv6", string(header(t, 1, "[2001:db8::5]:40000")), "[2001:db8::5]:40000", "[2001:db8::1]:443"},
		{"version 2", string(header(t, 2, "203.0.113.5:40000")), "203.0.113.5:40000", "198.51.100.1:443"},
		{"version 2, IPv6", string(header(t, 2, "[2001:db8::5]:40000")), "[2001:db8::5]:40000", "[2001:db8::1]:443"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "", ""},
		{"version 2, local", string(local(t)), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := wrap(t, listen(t), secure.Config{Proxies: nets(t, "10.0.0.0/8", "127.0.0.0/8")})
			client := dial(t, d.Addr())
			if _, err := client.Write([]byte(c.header + "hello")); err != nil { // in one segment with what the client says
				t.Fatal(err)
			}
			server := d.accept()
			if c.remote == "" {
				c.remote, c.local = client.LocalAddr().String(), d.Addr().String()
			}
			if got := server.RemoteAddr().String(); got != c.remote {
				t.Errorf("the client is %s, expected %s", got, c.remote)
			}
			if got := server.LocalAddr().String(); got != c.local {
				t.Errorf("it has connected to %s, expected %s", got, c.local)
			}
			heard(t, server, "hello")
			if _, err := client.Write([]byte(" again")); err != nil {
				t.Fatal(err)
			}
			heard(t, server, " again")
			if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the client reads %v, expected io.EOF", err)
			}
			if n := d.stats.Snapshot(); n.Headers != 1 {
				t.Errorf("counters: %+v", n)
			}
		})
	}
}

func TestAHeaderComesBeforeTLS(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs, Proxies: nets(t, "127.0.0.0/8")})
	raw := dial(t, d.Addr())
	if _, err := raw.Write(header(t, 2, "203.0.113.5:40000")); err != nil {
		t.Fatal(err)
	}
	shaken := make(chan error, 1)
	c := tls.Client(raw, trusting(ca.Roots, "game.example"))
	go func() { shaken <- c.Handshake() }()
	server := d.accept()
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	if got := server.RemoteAddr().String(); got != "203.0.113.5:40000" {
		t.Errorf("the client is %s", got)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	heard(t, server, "hello")
}

func TestNobodyButABalancerIsLetIn(t *testing.T) {
	d := wrap(t, listen(t), secure.Config{Proxies: nets(t, "10.0.0.0/8")})
	d.serve()
	for i := range uint64(3) {
		client := dial(t, d.Addr())
		_, _ = client.Write(header(t, 2, "10.1.2.3:4")) // forged
		ended(t, client)
		d.refused("untrusted", i+1)
	}
	if n := d.log.Count("past the balancer"); n != 1 {
		t.Errorf("%d lines for three refusals:\n%s", n, &d.log)
	}
	if n := d.stats.Snapshot(); n.Passed != 0 || n.Headers != 0 {
		t.Errorf("counters: %+v", n)
	}
}

func TestAForgedHeaderIsBytesLikeAnyOther(t *testing.T) {
	d := wrap(t, listen(t), secure.Config{Proxies: nets(t, "10.0.0.0/8"), Direct: true})
	for _, version := range []byte{1, 2} {
		forged := header(t, version, "10.1.2.3:4")
		client := dial(t, d.Addr())
		if _, err := client.Write(forged); err != nil {
			t.Fatal(err)
		}
		server := d.accept()
		if got := server.RemoteAddr().String(); got != client.LocalAddr().String() {
			t.Errorf("a client has made itself %s", got)
		}
		heard(t, server, string(forged))
	}
}

func TestABalancerWithoutAHeaderIsRefused(t *testing.T) {
	d := wrap(t, listen(t), secure.Config{Proxies: nets(t, "127.0.0.0/8"), Direct: true})
	d.serve()
	unix := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8"), make([]byte, 216)...)
	udp := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c"), make([]byte, 12)...)
	bad := []string{
		"\x01\x00\x00\x00", "PROXY", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
		"PROXY " + strings.Repeat("x", 200), "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", string(unix), string(udp),
	}
	for i, text := range bad {
		client := dial(t, d.Addr())
		if _, err := client.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ended(t, client)
		until(t, fmt.Sprintf("%q is refused", text), func() bool {
			n := d.stats.Snapshot()
			return n.Refused["header"]+n.Refused["gone"] == uint64(i)+1
		})
	}
	if n := d.stats.Snapshot(); n.Passed != 0 || n.Refused["header"] < uint64(len(bad)-2) {
		t.Errorf("counters: %+v", n)
	}
	if n := d.log.Count("is the PROXY protocol on there?"); n != 1 {
		t.Errorf("%d lines:\n%s", n, &d.log)
	}
}

func TestABalancerThatOnlyLooksIsNoFault(t *testing.T) {
	d := wrap(t, listen(t), secure.Config{Proxies: nets(t, "127.0.0.0/8")})
	d.serve()
	_ = dial(t, d.Addr()).Close()
	d.refused("gone", 1)
	if d.log.String() != "" {
		t.Error(&d.log)
	}
}

func TestAHeaderHasItsTimeAndItsClientsAreCounted(t *testing.T) {
	certs, _ := certificates(t, "game.example")
	synctest.Test(t, func(t *testing.T) {
		inner := newPipes()
		d := wrap(t, inner, secure.Config{Certificates: certs, Proxies: nets(t, "::ffff:10.0.0.0/104"), Timeout: 2 * time.Second, MaxPendingPerPrefix: 2})
		d.serve()
		conns := make([]net.Conn, 0, 8)
		for range 5 { // all are the balancer's, so they are not counted as one network's
			conns = append(conns, inner.dial("10.0.0.1:5000"))
		}
		synctest.Wait()
		if n := d.stats.Snapshot(); n.Pending != 5 || len(n.Refused) != 0 {
			t.Errorf("counters: %+v", n)
		}
		for i, client := range []string{"203.0.113.5:1", "203.0.113.6:1", "203.0.113.7:1"} { // now they are
			if _, err := conns[i].Write(header(t, 2, client)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := d.stats.Snapshot(); n.Pending != 4 || n.Refused["address"] != 1 {
			t.Errorf("counters: %+v", n)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // fake time
		synctest.Wait()
		if n := d.stats.Snapshot(); n.Pending != 0 || n.Refused["timeout"] != 4 {
			t.Errorf("counters: %+v", n)
		}
		for _, c := range conns {
			ended(t, c)
			_ = c.Close()
		}
	})
}

func TestAConnectionThatTellsStillDoesBehindItsHeader(t *testing.T) {
	inner, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := wrap(t, inner, secure.Config{Proxies: nets(t, "127.0.0.0/8"), Timeout: patience})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	address := make(chan string, 1)
	go func() {
		served <- transport.Serve(ctx, d.Listener, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			c.Ready()
			address <- c.RemoteAddr().String()
			return farewells{c}, nil
		}), transport.Config{Split: func(data []byte) (int, []byte, error) { return min(1, len(data)), data[:min(1, len(data))], nil }})
	}()
	c, err := kcp.Dial(t.Context(), d.Addr().String(), kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(append(header(t, 1, "203.0.113.5:40000"), "early"...)); err != nil {
		t.Fatal(err)
	}
	heard(t, c, "early")
	said(t, c, "late")
	if got := <-address; got != "203.0.113.5:40000" {
		t.Errorf("the client is %s", got)
	}
	_ = c.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// FuzzHeader: whatever a balancer sends, it is refused, or passed on with every byte that is behind the header.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.5 198.51.100.1 40000 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x10\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inner := newPipes()
		ln, err := secure.Wrap(inner, secure.Config{Proxies: nets(t, "10.0.0.0/8"), Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client := inner.dial("10.0.0.1:5000")
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			_, _ = client.Write(append(data, "\x00the rest"...))
			_ = client.Close()
		}()
		done := make(chan struct{})
		go func() { // the end of the client's bytes ends one that waits for more
			defer close(done)
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok {
				t.Errorf("the address is %T", c.RemoteAddr())
			}
			if got, _ := io.ReadAll(c); !strings.HasSuffix(string(data)+"\x00the rest", string(got)) {
				t.Errorf("%q of %q", got, data)
			}
		}()
		<-wrote
		select {
		case <-done:
		default:
			_ = ln.Close()
			<-done
		}
	})
}
