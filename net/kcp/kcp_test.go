package kcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/kcp"
)

// kcp-go has timer goroutines of its own that last as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

const patience = time.Minute

func listen(t *testing.T, cfg kcp.Config) net.Listener {
	t.Helper()
	ln, err := kcp.Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func dial(t *testing.T, ln net.Listener, cfg kcp.Config) net.Conn {
	t.Helper()
	c, err := kcp.Dial(context.Background(), ln.Addr().String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func TestStreamsOfEverySizeAreEchoed(t *testing.T) {
	ln := listen(t, kcp.Config{})
	var wg sync.WaitGroup
	received := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = io.Copy(c, io.LimitReader(c, 300_000))
				<-received // closing would drop what is not acknowledged
				_ = c.Close()
			})
		}
	})
	for _, cfg := range []kcp.Config{{}, {NoDelay: 0, Interval: 40}, {SndWnd: 32, RcvWnd: 256, MTU: 500, AckNoDelay: true}} {
		c := dial(t, ln, cfg)
		want := bytes.Repeat([]byte("0123456789"), 30_000)
		go func() { _, _ = c.Write(want) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%+v: %v", cfg, err)
		}
		_ = c.Close()
	}
	close(received)
	_ = ln.Close()
	wg.Wait()
}

func TestEveryKindOfAddressWorks(t *testing.T) {
	for listen, to := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", ":0": "127.0.0.1", "0.0.0.0:0": "127.0.0.1", "localhost:0": "localhost"} {
		t.Run(listen, func(t *testing.T) {
			ln, err := kcp.Listen(listen, kcp.Config{DSCP: 46, Sockets: 3, DataShards: 2, ParityShards: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			for range 4 { // through several of the sockets
				client, err := kcp.Dial(context.Background(), net.JoinHostPort(to, port), kcp.Config{DSCP: 46, DataShards: 2, ParityShards: 1})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = client.Close() })
				server, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = server.Close() })
				for _, c := range []net.Conn{server, client} {
					_ = c.SetDeadline(time.Now().Add(patience))
				}
				exchange(t, client, server)
				if server.RemoteAddr().(*net.UDPAddr).Port != client.LocalAddr().(*net.UDPAddr).Port {
					t.Errorf("%s is %s", client.LocalAddr(), server.RemoteAddr())
				}
			}
		})
	}
}

func TestAPortThatIsTakenIsAnError(t *testing.T) {
	ln := listen(t, kcp.Config{Sockets: 4})
	if again, err := kcp.Listen(ln.Addr().String(), kcp.Config{Sockets: 4}); err == nil {
		_ = again.Close()
		t.Error("two listeners share a port")
	}
}

func TestPlainKCPGoConnects(t *testing.T) {
	ln := listen(t, kcp.Config{Raw: true})
	c, err := kcpgo.DialWithOptions(ln.Addr().String(), nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	buf := make([]byte, 10)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}

func TestConnectionsOutliveTheirListener(t *testing.T) {
	ln := listen(t, kcp.Config{})
	c := dial(t, ln, kcp.Config{})
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := s.Write([]byte("kick")); err != nil {
		t.Fatal(err)
	}
	if err := s.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "kick" {
		t.Errorf("the client read %q, %v, expected the end behind kick", got, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(s); err != nil || string(got) != "x" {
		t.Errorf("the server read %q, %v, expected the end behind x", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := kcp.Listen(ln.Addr().String(), kcp.Config{}) // the socket is gone with its last connection
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func TestSessionsThatNobodyAcceptsEndWithTheListener(t *testing.T) {
	ln := listen(t, kcp.Config{})
	for range 20 {
		if _, err := dial(t, ln, kcp.Config{}).Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ln.Accept() // the first datagrams have arrived
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_ = ln.Close() // goleak sees to the rest
}

func TestBadKnobsAreNamed(t *testing.T) {
	for knob, cfg := range map[string]kcp.Config{
		"nodelay":  {NoDelay: 1},
		"interval": {Interval: 1},
		"resend":   {Interval: 10, Resend: -1},
		"nc":       {Interval: 10, NC: 2},
		"sndwnd":   {SndWnd: -1},
		"rcvwnd":   {RcvWnd: 1 << 20},
		"mtu":      {MTU: 9000},
	} {
		if _, err := kcp.Listen("127.0.0.1:0", cfg); err == nil || !strings.Contains(err.Error(), knob) {
			t.Errorf("%+v: %v, expected an error that names %s", cfg, err, knob)
		}
		if _, err := kcp.Dial(context.Background(), "127.0.0.1:1", cfg); err == nil || !strings.Contains(err.Error(), knob) {
			t.Errorf("dial with %+v: %v", cfg, err)
		}
	}
	if _, err := kcp.Listen("127.0.0.1:nowhere", kcp.Config{}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("bad address: %v", err)
	}
}
