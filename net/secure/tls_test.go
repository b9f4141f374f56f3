package secure_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/secure"
	"github.com/skua-go/skua/net/transport"
)

func TestAClientTalksOverTLSAndHearsTheEnd(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs})
	d.serve()
	raw := dial(t, d.Addr())
	c := tls.Client(raw, trusting(ca.Roots, "game.example"))
	said(t, c, "hello")
	if state := c.ConnectionState(); state.Version != tls.VersionTLS13 {
		t.Errorf("the version is %#x", state.Version)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	if n := d.stats.Snapshot(); n.Passed != 1 || n.Handshakes != 1 || n.Headers != 0 || len(n.Refused) != 0 {
		t.Errorf("counters: %+v", n)
	}
}

func TestCloseWriteEndsTheHalfBelowTLSToo(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs})
	raw := dial(t, d.Addr())
	c := tls.Client(raw, trusting(ca.Roots, "game.example"))
	shaken := make(chan error, 1)
	go func() { shaken <- c.Handshake() }()
	server := d.accept()
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	heard(t, c, "last")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, expected io.EOF", err)
	}
	if n, err := raw.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("below TLS there are %d bytes and %v, expected io.EOF", n, err)
	}
	if _, err := c.Write([]byte("the other half")); err != nil {
		t.Fatal(err)
	}
	heard(t, server, "the other half")
}

func TestOlderVersionsAndForeignProtocolsAreRefused(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs, Protocols: []string{"http/1.1"}})
	d.serve()
	for i, change := range []func(*tls.Config){
		func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		func(c *tls.Config) { c.NextProtos = []string{"h2"} },
	} {
		cfg := trusting(ca.Roots, "game.example")
		change(cfg)
		if err := tls.Client(dial(t, d.Addr()), cfg).Handshake(); err == nil {
			t.Errorf("case %d: the handshake succeeded", i)
		}
	}
	d.refused("tls", 2)
	for _, offered := range [][]string{nil, {"h2", "http/1.1"}} {
		cfg := trusting(ca.Roots, "game.example")
		cfg.NextProtos = offered
		c := tls.Client(dial(t, d.Addr()), cfg)
		said(t, c, "hello")
		if got := c.ConnectionState().NegotiatedProtocol; (offered == nil) != (got == "") || got == "h2" {
			t.Errorf("offered %q, agreed on %q", offered, got)
		}
	}
}

func TestAClientWithoutTLSIsToldWhatIsWrong(t *testing.T) {
	certs, _ := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs, Plain: []byte("this speaks TLS\n")})
	d.serve()
	c := dial(t, d.Addr())
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n%s", d.Addr(), strings.Repeat("x", 8<<10)); err != nil {
		t.Fatal(err)
	}
	heard(t, c, "this speaks TLS\n")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, expected io.EOF", err)
	}
	_ = c.Close()
	d.refused("plain", 1)
}

func TestClientsThatDoNotFinishHoldUpNobody(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs, Timeout: time.Hour})
	d.serve()
	for i := range 20 {
		c := dial(t, d.Addr())
		if i%2 == 0 {
			if _, err := c.Write([]byte{0x16, 3, 1}); err != nil { // a handshake that is never continued
				t.Fatal(err)
			}
		}
	}
	until(t, "20 pending connections", func() bool { return d.stats.Snapshot().Pending == 20 })
	said(t, tls.Client(dial(t, d.Addr()), trusting(ca.Roots, "game.example")), "hello")
}

func TestAHandshakeHasItsTime(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	synctest.Test(t, func(t *testing.T) {
		inner := newPipes()
		d := wrap(t, inner, secure.Config{Certificates: certs, Timeout: 3 * time.Second})
		d.serve()
		began := time.Now()
		silent := inner.dial("203.0.113.5:40000")
		defer silent.Close()
		ended(t, silent)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		d.refused("timeout", 1)

		c := inner.dial("203.0.113.5:40001")
		defer c.Close()
		secured := tls.Client(c, trusting(ca.Roots, "game.example"))
		said(t, secured, "hello")
		time.Sleep(time.Hour) //nolint:forbidigo // fake time
		said(t, secured, "still here")
	})
}

func TestTheOldestGivesWayWhenTooManyAreNotFinished(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs, Timeout: time.Hour, MaxPending: 3})
	d.serve()
	var silent []net.Conn
	for i := range 5 {
		silent = append(silent, dial(t, d.Addr()))
		until(t, "it is admitted", func() bool {
			n := d.stats.Snapshot()
			return n.Pending+int64(n.Refused["crowded"]) == int64(i)+1
		})
	}
	ended(t, silent[0])
	ended(t, silent[1])
	said(t, tls.Client(dial(t, d.Addr()), trusting(ca.Roots, "game.example")), "hello")
	ended(t, silent[2])
	d.refused("crowded", 3)
	until(t, "two pending connections", func() bool { return d.stats.Snapshot().Pending == 2 })
}

func TestOneNetworkCanNotTakeAllPlaces(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	synctest.Test(t, func(t *testing.T) {
		inner := newPipes()
		d := wrap(t, inner, secure.Config{Certificates: certs, Timeout: 5 * time.Second, MaxPendingPerPrefix: 2})
		d.serve()
		for _, c := range []struct {
			from string
			full bool
		}{
			{"203.0.113.5:1", false},
			{"203.0.113.200:2", false},
			{"203.0.113.7:3", true},
			{"203.0.112.7:4", false},
			{"[2001:db8:1:1::1]:5", false},
			{"[2001:db8:1:ffff::2]:6", false},
			{"[2001:db8:1:7::3]:7", true},
			{"[2001:db8:2::1]:8", false},
			{"[::ffff:203.0.113.9]:9", true},
		} {
			before := d.stats.Snapshot().Refused["address"]
			conn := inner.dial(c.from)
			t.Cleanup(func() { _ = conn.Close() })
			synctest.Wait()
			if got := d.stats.Snapshot().Refused["address"] > before; got != c.full {
				t.Errorf("%s: refused is %v", c.from, got)
			}
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // fake time
		synctest.Wait()
		late := inner.dial("203.0.113.5:1")
		defer late.Close()
		said(t, tls.Client(late, trusting(ca.Roots, "game.example")), "hello")
	})
}

func TestCloseEndsWhatIsNotFinished(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs, Timeout: time.Hour})
	silent, finished := dial(t, d.Addr()), dial(t, d.Addr())
	if err := tls.Client(finished, trusting(ca.Roots, "game.example")).Handshake(); err != nil {
		t.Fatal(err)
	}
	until(t, "the first handshake", func() bool { n := d.stats.Snapshot(); return n.Pending == 2 && n.Handshakes == 1 })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	ended(t, silent)
	if _, err := io.Copy(io.Discard, finished); os.IsTimeout(err) { // behind the tickets for its next handshake there is the end
		t.Errorf("the one that was finished reads %v", err)
	}
	if _, err := d.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := d.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
}

// failing is a listener that fails some Accepts.
type failing struct {
	net.Listener
	errs chan error
}

func (f *failing) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

func TestErrorsOfTheListenerBelowAreItsUsers(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	broken := errors.New("out of files")
	inner := &failing{Listener: listen(t), errs: make(chan error, 2)}
	inner.errs <- broken
	inner.errs <- broken
	d := wrap(t, inner, secure.Config{Certificates: certs})
	for range 2 {
		if _, err := d.Accept(); !errors.Is(err, broken) {
			t.Fatalf("Accept: %v", err)
		}
	}
	d.serve()
	said(t, tls.Client(dial(t, d.Addr()), trusting(ca.Roots, "game.example")), "hello")
}

func TestTLSOverKCP(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	inner, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := wrap(t, inner, secure.Config{Certificates: certs, Timeout: patience})
	d.serve()
	raw, err := kcp.Dial(t.Context(), d.Addr().String(), kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, trusting(ca.Roots, "game.example"))
	said(t, c, "hello")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

// farewells sends back frames of a byte each, and says why it ends.
type farewells struct{ conn *transport.Conn }

func (f farewells) Frame(frame []byte) error { return f.conn.Send(frame) }
func (f farewells) Closed(error)             {}

func TestAFarewellReachesAClientThroughTLS(t *testing.T) {
	certs, ca := certificates(t, "game.example")
	d := wrap(t, listen(t), secure.Config{Certificates: certs})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- transport.Serve(ctx, d.Listener, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			c.Ready()
			return farewells{c}, nil
		}), transport.Config{
			Split:    func(data []byte) (int, []byte, error) { return min(1, len(data)), data[:min(1, len(data))], nil },
			Farewell: func(reason error) []byte { return []byte(transport.Class(reason)) },
		})
	}()
	c := tls.Client(dial(t, d.Addr()), trusting(ca.Roots, "game.example"))
	said(t, c, "x")
	cancel()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "shutdown" {
		t.Errorf("the client got %q, %v", got, err)
	}
	_ = c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAConfigurationThatDoesNothingIsRefused(t *testing.T) {
	certs, _ := certificates(t, "game.example")
	for _, cfg := range []secure.Config{{}, {Certificates: certs, Timeout: -1}, {Certificates: certs, MaxPending: -1}, {Certificates: certs, MaxPendingPerPrefix: -1}} {
		ln := listen(t)
		if _, err := secure.Wrap(ln, cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error("the listener below was left open")
		}
	}
}
