package acceptance_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/skua-go/skua/net/kcp"
)

// stranger sends datagrams from addresses that it makes up: all of 127.0.0.0/8 is this machine's, so that the system lets it.
type stranger struct {
	pc       *ipv4.PacketConn
	conn     *net.UDPConn
	to       *net.UDPAddr
	sent     int64
	received atomic.Int64 // bytes, that the node has sent to these addresses
	done     chan struct{}
}

func (w *world) stranger(transport string) *stranger {
	w.t.Helper()
	to, err := net.ResolveUDPAddr("udp4", w.addrs[transport])
	must(w.t, err)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{})
	must(w.t, err)
	s := &stranger{pc: ipv4.NewPacketConn(conn), conn: conn, to: to, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for buf := make([]byte, 2048); ; {
			n, _, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			s.received.Add(int64(n))
		}
	}()
	return s
}

func (s *stranger) send(b []byte, from net.IP) error {
	s.sent += int64(len(b))
	_, err := s.pc.WriteTo(b, &ipv4.ControlMessage{Src: from}, s.to)
	return err
}

func (s *stranger) close() {
	_ = s.conn.Close()
	<-s.done
}

// push is the first segment of a plain KCP conversation (ikcp.c, ikcp_encode_seg).
func push(b []byte, conv uint32, data []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, conv)
	b = append(b, 81, 0, 128, 0)        // IKCP_CMD_PUSH, no fragments, a window of 128
	b = append(b, make([]byte, 3*4)...) // ts, sn, una
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// overheard is what an honest client's handshake sends, with a server that answers or not: its first two datagrams.
func (w *world) overheard() [][]byte {
	w.t.Helper()
	relay, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(w.t, err)
	defer relay.Close()
	node, err := net.ResolveUDPAddr("udp4", w.addrs[overKCP])
	must(w.t, err)
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	dialed := make(chan error, 1)
	go func() {
		c, err := kcp.Dial(ctx, relay.LocalAddr().String(), kcp.Config{})
		if err == nil {
			_ = c.Close()
		}
		dialed <- err
	}()
	var heard [][]byte
	var client *net.UDPAddr
	_ = relay.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 2048); len(heard) < 2 || bytes.Equal(heard[0], heard[len(heard)-1]); {
		n, from, err := relay.ReadFromUDP(buf)
		must(w.t, err)
		to := client
		if from.Port != node.Port {
			client, to = from, node
			heard = append(heard, append([]byte(nil), buf[:n]...))
		}
		_, err = relay.WriteToUDP(buf[:n], to)
		must(w.t, err)
	}
	cancel()
	<-dialed
	return [][]byte{heard[0], heard[len(heard)-1]}
}

// kcpStrangers sends what begins conversations at a door that wants to know an address before it keeps anything.
func kcpStrangers(w *world, p *phase) {
	heard := w.overheard()
	before := w.metrics()
	s := w.stranger(overKCP)
	defer s.close()
	n := sized(10_000, 100_000)
	rnd := rand.New(rand.NewPCG(3, 3))
	most := 0.0
	for i := range n {
		var b []byte
		switch i % 4 {
		case 0:
			b = push(nil, rnd.Uint32(), pack(typeHandshake, nil))
		case 1, 2: // a hello with another nonce; a cookie of somebody else, or none at all
			b = append(b, heard[i%4-1]...)
			if i%8 < 4 {
				binary.LittleEndian.PutUint64(b[8:], rnd.Uint64())
			}
		case 3:
			b = make([]byte, 1+rnd.IntN(1200))
			for j := range b {
				b[j] = byte(rnd.Uint32())
			}
		}
		if err := s.send(b, from(i)); err != nil {
			w.t.Errorf("%s: %v", p.name, err)
			return
		}
		if i%1000 == 999 {
			most = max(most, w.metrics()[`skua_kcp_sessions{transport="kcp"}`])
		}
	}
	after := w.metrics()
	in, out := after[`skua_kcp_bytes_in{transport="kcp"}`]-before[`skua_kcp_bytes_in{transport="kcp"}`], after[`skua_kcp_bytes_out{transport="kcp"}`]-before[`skua_kcp_bytes_out{transport="kcp"}`]
	w.t.Logf("%d first datagrams of %d bytes from as many addresses; the node took %.0f bytes in and sent %.0f, players' included; at most %.0f KCP sessions, %.0f before",
		n, s.sent, in, out, most, before[`skua_kcp_sessions{transport="kcp"}`])
	if got := s.received.Load(); got > s.sent {
		w.t.Errorf("%s: %d bytes made the node send %d to addresses that have not asked: it amplifies", p.name, s.sent, got)
	}
	if most > before[`skua_kcp_sessions{transport="kcp"}`]+10 {
		w.t.Errorf("%s: %v sessions, %v before", p.name, most, before[`skua_kcp_sessions{transport="kcp"}`])
	}
}

// kcpRawStrangers does the same where plain KCP is let in, which makes a session of each first datagram.
func kcpRawStrangers(w *world, p *phase) {
	s := w.stranger(overKCPRaw)
	defer s.close()
	n := sized(10_000, 100_000)
	rnd := rand.New(rand.NewPCG(4, 4))
	most := 0.0
	for i := range n {
		if err := s.send(push(nil, rnd.Uint32(), pack(typeHandshake, nil)), from(i)); err != nil {
			w.t.Errorf("%s: %v", p.name, err)
			return
		}
		if i%1000 == 999 {
			most = max(most, w.metrics()[`skua_kcp_sessions{transport="kcp-raw"}`])
		}
	}
	until(w.t, "the node has refused some", func() bool { return w.metrics()[`skua_kcp_full_total{transport="kcp-raw"}`] > 0 })
	w.t.Logf("%d first segments of %d bytes from as many addresses; at most %.0f raw sessions, %d are allowed; the node sent %d bytes to them", n, s.sent, most, mostRaw, s.received.Load())
	if most > mostRaw {
		w.t.Errorf("%s: %v sessions, at most %d are allowed", p.name, most, mostRaw)
	}
}
