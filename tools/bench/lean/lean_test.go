package lean_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"

	"github.com/skua-go/skua/net/kcp"

	"github.com/skua-go/skua/tools/bench/lean"
)

// echo answers each connection with what it sends.
func echo(t *testing.T, ln net.Listener) string {
	t.Helper()
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

// exchange sends bytes and wants them back.
func exchange(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 68, 1176, 1177, 20_000} {
		sent, got := make([]byte, size), make([]byte, size)
		for i := range sent {
			sent[i] = byte(rand.Uint32())
		}
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came back wrong, %v", size, err)
		}
	}
}

func TestAClientIsUnderstoodByOurListener(t *testing.T) {
	var stats kcp.Stats
	ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{Stats: &stats})
	if err != nil {
		t.Fatal(err)
	}
	c, err := lean.Dial(t.Context(), echo(t, ln))
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c)
	if s := stats.Snapshot(); s.Sessions != 1 || s.Raw != 0 || s.Malformed != 0 || s.Unknown != 0 {
		t.Errorf("the listener counts %+v", s)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestAClientIsUnderstoodByKCPGo(t *testing.T) {
	ln, err := kcpgo.ListenWithOptions("127.0.0.1:0", nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := lean.DialBare(t.Context(), echo(t, ln))
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestLostDatagramsAreSentAgain(t *testing.T) {
	ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := lean.Dial(t.Context(), forgetful(t, echo(t, ln)))
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// forgetful passes datagrams on between one client and a server, but for each fifth.
func forgetful(t *testing.T, server string) string {
	t.Helper()
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	front, back := listen(), listen()
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	client := make(chan *net.UDPAddr, 1)
	go func() {
		buf := make([]byte, 2048)
		for i := 0; ; i++ {
			n, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return // closed
			}
			if i == 0 {
				client <- from
			}
			if i%5 != 4 {
				_, _ = back.WriteToUDP(buf[:n], to)
			}
		}
	}()
	go func() {
		buf := make([]byte, 2048)
		var at *net.UDPAddr
		for i := 0; ; i++ {
			n, _, err := back.ReadFromUDP(buf)
			if err != nil {
				return // closed
			}
			if at == nil {
				at = <-client
			}
			if i%5 != 4 {
				_, _ = front.WriteToUDP(buf[:n], at)
			}
		}
	}()
	return front.LocalAddr().String()
}

func TestADeadlinePassesAndTheSessionGoesOn(t *testing.T) {
	ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := lean.Dial(t.Context(), echo(t, ln))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
	exchange(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestNobodyThereIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lean.Dial(ctx, "127.0.0.1:9"); err == nil {
		t.Error("there is a session with nobody")
	}
}
