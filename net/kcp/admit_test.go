package kcp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

// socket is a UDP socket towards a listener.
func socket(t *testing.T, ln net.Listener) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c.(*net.UDPConn)
}

func control(kind byte, length int) []byte {
	d := make([]byte, length)
	copy(d, "SKCP")
	d[4], d[5] = kind, 1
	return d
}

func answer(t *testing.T, c net.Conn) []byte {
	t.Helper()
	buf := make([]byte, 2000)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestNoAnswerIsLongerThanItsQuestion(t *testing.T) {
	server, _ := pair(t, kcp.Config{})
	ln := server.LocalAddr().String()
	c, err := net.Dial("udp", ln)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))

	hello := control(0xc1, 64)
	_, _ = c.Write(hello)
	cookie := answer(t, c)
	if len(cookie) > len(hello) || cookie[4] != 0xc2 {
		t.Errorf("% x: %d bytes for %d", cookie, len(cookie), len(hello))
	}
	bad := control(0xc3, 80) // with a cookie of nobody
	_, _ = c.Write(bad)
	if got := answer(t, c); len(got) > len(bad) || got[4] != 0xc2 {
		t.Errorf("% x: %d bytes for %d", got, len(got), len(bad))
	}
	good := control(0xc3, 80)
	copy(good[16:36], cookie[16:36])
	good[40] = 9 // the base point, as good a key share as any
	_, _ = c.Write(good)
	if got := answer(t, c); len(got) > len(good) || got[4] != 0xc4 {
		t.Errorf("% x: %d bytes for %d", got, len(got), len(good))
	}
	future := control(0xc1, 64)
	future[5] = 9
	_, _ = c.Write(future)
	if got := answer(t, c); len(got) > len(future) || got[4] != 0xc5 || got[6] != 4 {
		t.Errorf("% x: %d bytes for a version of the future", got, len(got))
	}
	ping := make([]byte, 24) // of a conversation that nobody knows
	ping[4], ping[5] = 0xc6, 1
	copy(ping[8:16], "12345678")
	_, _ = c.Write(ping)
	if got := answer(t, c); len(got) > len(ping) || got[4] != 0xcc || string(got[8:16]) != "12345678" {
		t.Errorf("% x: %d bytes for a ping", got, len(got))
	}
}

func TestARepeatedConnectFindsTheSameSession(t *testing.T) {
	var stats kcp.Stats
	ln := listen(t, kcp.Config{Stats: &stats})
	c := socket(t, ln)
	_, _ = c.Write(control(0xc1, 64))
	connect := control(0xc3, 80)
	copy(connect[16:36], answer(t, c)[16:36])
	connect[40] = 9
	var first []byte
	for i := range 5 {
		_, _ = c.Write(connect)
		got := answer(t, c)
		if i == 0 {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Errorf("answer %d is % x, the first was % x", i, got, first)
		}
	}
	if s := stats.Snapshot(); s.Sessions != 1 || s.Connects != 5 {
		t.Errorf("%d sessions of %d connects", s.Sessions, s.Connects)
	}

	thief := socket(t, ln) // has overheard the cookie
	_, _ = thief.Write(connect)
	if got := answer(t, thief); got[4] != 0xc2 {
		t.Errorf("% x, expected a cookie of its own", got)
	}
	if s := stats.Snapshot(); s.Sessions != 1 || s.BadCookie != 1 {
		t.Errorf("%d sessions, %d bad cookies", s.Sessions, s.BadCookie)
	}
}

func TestLimitsRefuseWithAReason(t *testing.T) {
	for why, cfg := range map[string]kcp.Config{
		"full":    {MaxSessions: 2},
		"prefix":  {MaxPerPrefix: 2},
		"backlog": {Backlog: 2},
	} {
		t.Run(why, func(t *testing.T) {
			var stats kcp.Stats
			cfg.Stats = &stats
			ln := listen(t, cfg)
			dial(t, ln, kcp.Config{})
			last := dial(t, ln, kcp.Config{})
			_, err := kcp.Dial(context.Background(), ln.Addr().String(), kcp.Config{})
			if !errors.Is(err, kcp.ErrRefused) || !strings.Contains(err.Error(), why) {
				t.Fatalf("%v, expected to be refused: %s", err, why)
			}
			if s := stats.Snapshot(); s.Refused[why] == 0 {
				t.Errorf("refused: %v", s.Refused)
			}
			_ = last.Close()
			if why == "backlog" {
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			eventually(t, "there is room again", func() bool {
				c, err := kcp.Dial(context.Background(), ln.Addr().String(), kcp.Config{})
				if err == nil {
					_ = c.Close()
				}
				return err == nil
			})
		})
	}
}

func TestNothingIsKeptOfAFlood(t *testing.T) {
	const flood = 100_000
	var stats kcp.Stats
	ln := listen(t, kcp.Config{Stats: &stats, ReadBuffer: 4 << 20})
	c := socket(t, ln)
	go func() { // a client that takes what comes, so that its socket does not fill up
		buf := make([]byte, 2000)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	push, connect, hello := make([]byte, 100), control(0xc3, 80), control(0xc1, 64)
	push[4] = 81
	binary.LittleEndian.PutUint32(push[20:], 76)
	for i := range uint32(flood) {
		binary.LittleEndian.PutUint32(push, i*2654435761) // a first datagram of a made-up conversation
		binary.LittleEndian.PutUint32(connect[8:], i)
		binary.LittleEndian.PutUint32(hello[8:], i)
		_, _ = c.Write([][]byte{push, connect, hello}[i%3])
		if i%100 == 0 { // as fast as they are taken, or most of them would be lost on the way: the system may give a socket room for no more than 200 KB
			want := uint64(i) * 97 / 100
			for end := time.Now().Add(patience); stats.Snapshot().DatagramsIn < want; runtime.Gosched() {
				if time.Now().After(end) {
					t.Fatalf("of %d datagrams only %d were taken", i, stats.Snapshot().DatagramsIn)
				}
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapInuse) - int64(before.HeapInuse)
	s := stats.Snapshot()
	t.Logf("%d datagrams: %d unknown, %d bad cookies, %d hellos, %d resets; the heap has grown by %d KB, %d sessions, %d goroutines",
		s.DatagramsIn, s.Unknown, s.BadCookie, s.Hellos, s.Resets, grown>>10, s.Sessions, runtime.NumGoroutine())
	if grown > 2<<20 || s.Sessions != 0 {
		t.Errorf("the heap has grown by %d bytes, %d sessions", grown, s.Sessions)
	}
	if s.Unknown == 0 || s.BadCookie == 0 || s.Hellos == 0 {
		t.Errorf("%+v", s)
	}
	client := dial(t, ln, kcp.Config{}) // players come in all the same
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_ = server.SetDeadline(time.Now().Add(patience))
	exchange(t, client, server)
}
