package gate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
)

// benchBody is a request of 64 bytes.
var benchBody = []byte(`{"text":"` + strings.Repeat("x", 53) + `"}`)

func echoInGo(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) }

// serveBench is a gate over TCP; the zero Handle is an agent in Lua.
func serveBench(b *testing.B, cfg gate.Config) (g *gate.Gate, addr string) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	sys := actor.New(actor.Config{Log: log})
	if cfg.Handle == nil {
		files := fstest.MapFS{"agent.lua": {Data: []byte("local M = { client = {} }\nfunction M.client.echo(self, request) return request end\nreturn M")}}
		rt, err := lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Log: log})
		if err != nil {
			b.Fatal(err)
		}
		cfg.Runtime, cfg.Agent = rt, "agent"
	}
	cfg.Login, cfg.Log = gate.LoginNone, log
	g, err := gate.New(sys, cfg)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := sys.Spawn(g.Spec()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var door sync.WaitGroup
	door.Go(func() { _ = g.Serve(ctx, "tcp", ln) })
	b.Cleanup(func() {
		cancel()
		door.Wait()
		_ = sys.Shutdown(context.Background())
	})
	return g, ln.Addr().String()
}

// bare answers each request of so many bytes with itself.
func bare(b *testing.B, size int) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, size)
				for {
					if _, err := io.ReadFull(conn, buf); err != nil {
						return
					}
					if _, err := conn.Write(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// loop has clients that each wait for the answer to one request before they send the next. hello is what they say first, and what comes is then skipped
// up to the first answer.
func loop(b *testing.B, addr string, clients int, request, hello []byte) {
	b.Helper()
	conns := make([]net.Conn, clients)
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		conns[i] = conn
		if hello != nil {
			_, _ = conn.Write(append(bytes.Clone(hello), request...))
			buf := make([]byte, 4096)
			for got := []byte(nil); !bytes.Contains(got, benchBody); {
				n, err := conn.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				got = append(got, buf[:n]...)
			}
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	size := len(request)
	if hello != nil {
		size -= len("\x04echo") // an answer has no route
	}
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() {
			buf := make([]byte, size)
			for left.Add(-1) >= 0 {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(conn, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// What does a request cost beside one to a server that only copies, with the client on the same cores?
func BenchmarkEcho(b *testing.B) {
	request := message(packet.Message{Type: packet.Request, ID: 1, Route: "echo", Body: benchBody})
	hello := append(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil)...)
	for _, clients := range []int{100, 1000} {
		b.Run(fmt.Sprint("bare-", clients), func(b *testing.B) { loop(b, bare(b, len(request)), clients, request, nil) })
		b.Run(fmt.Sprint("go-", clients), func(b *testing.B) {
			_, addr := serveBench(b, gate.Config{Handle: echoInGo})
			loop(b, addr, clients, request, hello)
		})
		b.Run(fmt.Sprint("lua-", clients), func(b *testing.B) {
			_, addr := serveBench(b, gate.Config{})
			loop(b, addr, clients, request, hello)
		})
	}
}

// What does a push to a session cost that is one of many?
func BenchmarkBroadcast(b *testing.B) {
	group := gate.NewGroup()
	_, addr := serveBench(b, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) {
		_, _ = group.Add(r.Session)
		r.Reply(r.Body)
	}})
	const sessions = 1000
	for range sessions {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		_, _ = conn.Write(append(append(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil)...), ask(1, "join", "1")...))
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
	for group.Count() < sessions {
	}
	body := value.Of(strings.Repeat("x", 98)).At(0)
	b.ReportAllocs()
	for b.Loop() {
		if err := group.Push("pos", body, gate.Delivery{Class: gate.Latest}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*sessions/b.Elapsed().Seconds(), "deliveries/s")
}
