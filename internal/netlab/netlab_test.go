package netlab_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/internal/netlab/labtest"
)

const patience = 2 * time.Minute

// echoUDP answers datagrams, each with the address that it came from in front, and counts them.
func echoUDP(t *testing.T, n *netlab.Network) (netip.AddrPort, *atomic.Int64) {
	t.Helper()
	s, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Listen(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	count := new(atomic.Int64)
	go func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := s.ReadFromUDPAddrPort(buf)
			if err != nil {
				return // closed
			}
			count.Add(1)
			_, _ = s.WriteToUDPAddrPort(append(from.Addr().AsSlice(), buf[:size]...), from)
		}
	}()
	return netip.AddrPortFrom(n.Server(), s.LocalAddr().(*net.UDPAddr).AddrPort().Port()), count
}

func dialUDP(t *testing.T, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestALinkDelaysLosesAndDoublesItsShare(t *testing.T) {
	if !labtest.Isolated(t) {
		return
	}
	const delay, count = 20 * time.Millisecond, 3000
	n := labtest.Open(t, netlab.Link{Delay: delay}, 1)
	server, served := echoUDP(t, n)
	c := dialUDP(t, server)
	buf := make([]byte, 2048)

	begin := time.Now()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	size, err := c.Read(buf)
	if err != nil || string(buf[4:size]) != "ping" {
		t.Fatalf("%q, %v", buf[:size], err)
	}
	if rtt := time.Since(begin); rtt < 2*delay {
		t.Errorf("the round trip took %v, less than the link's %v", rtt, 2*delay)
	}

	n.Set(netlab.Link{Loss: 0.2, Duplicate: 0.1, Reorder: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond})
	got := make(chan map[uint32]int)
	var back atomic.Int64
	go func() {
		seen := map[uint32]int{}
		for {
			size, err := c.Read(buf)
			if err != nil || size < 8 {
				got <- seen
				return
			}
			seen[binary.BigEndian.Uint32(buf[4:])]++
			back.Add(1)
		}
	}()
	for i := range uint32(count) {
		if _, err := c.Write(binary.BigEndian.AppendUint32(nil, i)); err != nil {
			t.Fatal(err)
		}
		// A socket has room for some hundreds, whoever reads from it may be late, and what is lost there is not the link's loss. With doubles, 0.88 of what is
		// sent reaches the server, and 0.77 comes back.
		for sent := int64(i); served.Load() < sent*88/100-100 || back.Load() < sent*77/100-150; {
			if time.Since(begin) > patience {
				t.Fatalf("of %d the server had %d, and %d came back", sent, served.Load(), back.Load())
			}
			runtime.Gosched()
		}
	}
	n.Set(netlab.Link{})
	for { // one that ends the reader arrives, if others were lost in full sockets
		_, _ = c.Write([]byte("e"))
		select {
		case seen := <-got:
			// 0.8 of 0.8 arrive; 5 standard deviations are 0.045.
			if share := float64(len(seen)) / count; share < 0.59 || share > 0.69 {
				t.Errorf("%d of %d came back, expected 0.64 of them", len(seen), count)
			}
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	s := n.Stats()
	t.Logf("%+v", s)
	if s.Duplicated == 0 || s.Reordered == 0 || s.Lost == 0 {
		t.Errorf("%+v", s)
	}
}

func TestTCPCrossesALossyLinkWhole(t *testing.T) {
	if !labtest.Isolated(t) {
		return
	}
	n := labtest.Open(t, netlab.Link{Delay: 2 * time.Millisecond, Loss: 0.05, Reorder: 0.05, Rate: 4 << 20}, 1)
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(n.Listen(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	from := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	c, err := net.Dial("tcp4", netip.AddrPortFrom(n.Server(), ln.Addr().(*net.TCPAddr).AddrPort().Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got := <-from; got != n.Client().String() {
		t.Errorf("the server sees %s, expected %s", got, n.Client())
	}
	const size = 200_000
	go func() {
		all := make([]byte, size)
		for i := range all {
			all[i] = byte(i * 7)
		}
		_, _ = c.Write(all)
	}()
	back := make([]byte, size)
	if _, err := io.ReadFull(c, back); err != nil {
		t.Fatal(err)
	}
	for i, b := range back {
		if b != byte(i*7) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
	if s := n.Stats(); s.Lost == 0 {
		t.Errorf("%+v", s)
	}
}

func TestAClientThatHasMovedComesFromAnotherAddress(t *testing.T) {
	if !labtest.Isolated(t) {
		return
	}
	n := labtest.Open(t, netlab.Link{}, 1)
	server, _ := echoUDP(t, n)
	c := dialUDP(t, server)
	seen := func() netip.Addr {
		if _, err := c.Write([]byte("who")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
		return netip.AddrFrom4([4]byte(buf))
	}
	old := n.Client()
	if got := seen(); got != old {
		t.Errorf("the server sees %s, expected %s", got, old)
	}
	now, err := n.Move()
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(); got != now || got == old {
		t.Errorf("the server sees %s, expected %s", got, now)
	}
}
