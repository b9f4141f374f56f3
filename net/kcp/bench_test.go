package kcp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"

	"github.com/skua-go/skua/net/kcp"
)

// seam is what transport.Serve finds in our connections.
type seam interface {
	net.Conn
	ReadNow(p []byte) (int, error)
	Notify(f func())
}

// echoNow answers on a goroutine that lives while there is something to read, as transport.Serve does.
func echoNow(c seam, buffers *sync.Pool) {
	var mu sync.Mutex
	running, again := false, false
	step := func() {
		b := buffers.Get().(*[512]byte)
		defer buffers.Put(b)
		buf := b[:]
		for {
			n, err := c.ReadNow(buf)
			if err != nil {
				_ = c.Close()
				return
			}
			if n > 0 {
				_, _ = c.Write(buf[:n])
				continue
			}
			mu.Lock()
			if !again {
				running = false
				mu.Unlock()
				return
			}
			again = false
			mu.Unlock()
		}
	}
	c.Notify(func() {
		mu.Lock()
		defer mu.Unlock()
		if running {
			again = true
			return
		}
		running = true
		go step()
	})
}

// BenchmarkEcho is one request of 64 bytes and its answer, in a closed loop over so many connections of kcp-go in this process: how much of a kcp-go server's
// time does ours take?
func BenchmarkEcho(b *testing.B) {
	for _, conns := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("ours-%d", conns), func(b *testing.B) {
			var stats kcp.Stats
			ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{Raw: true, Stats: &stats})
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			buffers := sync.Pool{New: func() any { return new([512]byte) }}
			var served []net.Conn
			var accepting sync.WaitGroup
			accepting.Go(func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					served = append(served, c)
					echoNow(c.(seam), &buffers)
				}
			})
			echo(b, ln.Addr().String(), conns)
			_ = ln.Close()
			accepting.Wait()
			st := stats.Snapshot()
			b.ReportMetric(float64(st.Resent)/float64(b.N), "resent/op")
			b.ReportMetric(float64(st.DatagramsIn)/float64(b.N), "in/op")
			b.ReportMetric(float64(st.DatagramsOut)/float64(b.N), "out/op")
			for _, c := range served {
				_ = c.Close()
			}
		})
		b.Run(fmt.Sprintf("kcp-go-%d", conns), func(b *testing.B) {
			ln, err := kcpgo.ListenWithOptions("127.0.0.1:0", nil, 0, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for {
					c, err := ln.AcceptKCP()
					if err != nil {
						return
					}
					c.SetNoDelay(1, 10, 2, 1)
					c.SetWriteDelay(false)
					go func() {
						defer c.Close()
						_ = c.SetReadDeadline(time.Now().Add(time.Minute))
						var buf [4096]byte
						for {
							n, err := c.Read(buf[:])
							if err != nil {
								return
							}
							_, _ = c.Write(buf[:n])
						}
					}()
				}
			}()
			echo(b, ln.Addr().String(), conns)
		})
	}
}

func echo(b *testing.B, addr string, conns int) {
	b.Helper()
	clients := make([]net.Conn, conns)
	for i := range clients {
		c, err := kcp.Dial(context.Background(), addr, kcp.Config{Raw: true})
		if err != nil {
			b.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		clients[i] = c
		if err := ask(c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range clients {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			for range n {
				if err := ask(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	for _, c := range clients {
		_ = c.Close()
	}
}

func ask(c net.Conn) error {
	var buf [64]byte
	if _, err := c.Write(buf[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(c, buf[:])
	return err
}

// shake makes n sessions from one socket, without a client behind them, and returns their conversations.
func shake(tb testing.TB, ln net.Listener, udp net.Conn, n int) (convs [][4]byte, served []net.Conn) {
	tb.Helper()
	_ = udp.SetReadDeadline(time.Now().Add(patience))
	convs, served = make([][4]byte, n), make([]net.Conn, n)
	buf := make([]byte, 2000)
	ask := func(d []byte) []byte {
		if _, err := udp.Write(d); err != nil {
			tb.Fatal(err)
		}
		n, err := udp.Read(buf)
		if err != nil {
			tb.Fatal(err)
		}
		return buf[:n]
	}
	for i := range convs {
		hello, connect := control(0xc1, 64), control(0xc3, 80)
		binary.LittleEndian.PutUint32(hello[8:], uint32(i))
		copy(connect[8:16], hello[8:16])
		copy(connect[16:36], ask(hello)[16:36])
		connect[40] = 9
		if d := ask(connect); d[4] != 0xc4 || copy(convs[i][:], d[16:20]) != 4 {
			tb.Fatalf("session %d: % x", i, d)
		}
		c, err := ln.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		c.(seam).Notify(func() {})
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		served[i] = c
	}
	return convs, served
}

// heap is the bytes of live objects and stacks.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkIdle is what a session costs that does nothing but answer the pings of its client: memory, and the time of a ping and its answer, at both ends.
func BenchmarkIdle(b *testing.B) {
	const sessions = 10_000
	var stats kcp.Stats
	ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{Silence: time.Minute, Ping: time.Second, Stats: &stats})
	if err != nil {
		b.Fatal(err)
	}
	udp, err := net.Dial("udp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer udp.Close()
	before := heap()
	convs, served := shake(b, ln, udp, sessions)
	ping := make([]byte, 24)
	ping[4], ping[5] = 0xc6, 1
	b.ResetTimer()
	for i := range b.N {
		copy(ping, convs[i%sessions][:])
		if _, err := udp.Write(ping); err != nil {
			b.Fatal(err)
		}
		if _, err := udp.Read(ping); err != nil {
			b.Fatal(err)
		}
		ping[4] = 0xc6
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before-sessions*20)/sessions, "B/session")
	runtime.KeepAlive(convs)
	_ = ln.Close()
	for _, c := range served {
		_ = c.Close()
	}
	eventually(b, "no session is left", func() bool { return stats.Snapshot().Sessions == 0 })
}

// BenchmarkProfiles is what a player waits, and what it costs: 64 bytes each 33 ms over a simulated link of 50 ms round trip, with 0 to 3 ms more each way at random.
// The clock is simulated too; the figures are the same on every machine.
func BenchmarkProfiles(b *testing.B) {
	for _, name := range []string{"fast", "normal", "thrifty"} {
		for _, loss := range []float64{0, 0.05, 0.1} {
			b.Run(fmt.Sprintf("%s/%v", name, loss), func(b *testing.B) {
				var delays []int
				datagrams, size := 0, 0
				const headers = 28 // of IP and UDP
				for i := range b.N {
					now := 0
					w := &wire{rng: rand.New(rand.NewPCG(uint64(i), 6)), loss: loss, delay: 25, jitter: 3}
					cfg := must(kcp.Profile(name))
					var server, client *end
					server, s := ours(cfg, &now, func(d []byte) {
						size += headers + len(d)
						w.send(now, d, func(d []byte) { client.input(d) })
					})
					client, c := ours(cfg, &now, func(d []byte) {
						size += headers + len(d)
						w.send(now, d, func(d []byte) { server.input(d) })
					})
					delays = append(delays, latencies(w, server, client, &now, func() {})...)
					datagrams += s.Sent + c.Sent
				}
				slices.Sort(delays)
				b.ReportMetric(float64(delays[len(delays)/2]), "p50-ms")
				b.ReportMetric(float64(delays[len(delays)*99/100]), "p99-ms")
				b.ReportMetric(float64(size)/float64(len(delays)), "bytes/message")
				b.ReportMetric(float64(datagrams)/float64(len(delays)), "datagrams/message")
			})
		}
	}
}
