package bare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/xtaci/kcp-go/v5"

	"github.com/skua-go/skua/tools/bench/measure"
)

// Payload is the size of a request and of its answer, in bytes, without the four of the length before it.
const Payload = 64

const frame = 4 + Payload

func check(got, want int) error {
	if got != want {
		return fmt.Errorf("bare: %d messages arrived of %d", got, want)
	}
	return nil
}

// Servers are the echo servers, by the names under which StartServer finds them.
func Servers() map[string]measure.Server {
	return map[string]measure.Server{
		"bare-tcp": func(ctx context.Context, ready func(string)) error {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			return serve(ctx, ln, ready, echoFrames)
		},
		"bare-ws": func(ctx context.Context, ready func(string)) error {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			return serve(ctx, ln, ready, echoWebSocket)
		},
		"bare-kcp": func(ctx context.Context, ready func(string)) error {
			ln, err := kcp.ListenWithOptions("127.0.0.1:0", nil, 0, 0)
			if err != nil {
				return err
			}
			if err := ln.SetReadBuffer(4 << 20); err != nil {
				return errors.Join(err, ln.Close())
			}
			return serve(ctx, tunedListener{ln}, ready, echoFrames)
		},
	}
}

// TCPEcho is the requests a second of a closed loop over clients TCP connections to an echo server in another process: a goroutine a connection, a buffered reader, a write an answer.
func TCPEcho(clients int) measure.Func {
	return echo("bare-tcp", clients, func(ctx context.Context, addr string) (measure.Client, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return newFrames(conn), nil
	})
}

// KCPEcho is the same over KCP with kcp-go at both ends: nodelay, 10 ms, fast resend 2, no congestion window, windows of 128, MTU 1200, no FEC and no encryption.
func KCPEcho(clients int) measure.Func {
	return echo("bare-kcp", clients, func(_ context.Context, addr string) (measure.Client, error) {
		s, err := kcp.DialWithOptions(addr, nil, 0, 0)
		if err != nil {
			return nil, err
		}
		tune(s)
		return newFrames(s), nil
	})
}

// WebSocketEcho is the same over WebSocket, in binary frames without compression, with gobwas/ws at both ends.
func WebSocketEcho(clients int) measure.Func {
	return echo("bare-ws", clients, dialWebSocket)
}

func dialWebSocket(ctx context.Context, addr string) (measure.Client, error) {
	conn, early, _, err := ws.Dial(ctx, "ws://"+addr+"/")
	if err != nil {
		return nil, err
	}
	if early != nil {
		return nil, errors.Join(errors.New("bare: the echo server spoke first"), conn.Close())
	}
	return &webSocket{conn: conn, r: bufio.NewReaderSize(conn, 512)}, nil
}

// echo is a closed loop of clients against a server of Servers.
func echo(server string, clients int, dial func(ctx context.Context, addr string) (measure.Client, error)) measure.Func {
	return func(ctx context.Context) (float64, error) {
		p, err := measure.StartServer(ctx, server)
		if err != nil {
			return 0, err
		}
		perSecond, err := measure.Loop{Clients: clients}.Run(ctx, func(ctx context.Context) (measure.Client, error) { return dial(ctx, p.Addr) })
		return perSecond, errors.Join(err, p.Stop())
	}
}

type tunedListener struct{ *kcp.Listener }

func (l tunedListener) Accept() (net.Conn, error) {
	s, err := l.AcceptKCP()
	if err != nil {
		return nil, err
	}
	tune(s)
	return s, nil
}

func tune(s *kcp.UDPSession) {
	s.SetNoDelay(1, 10, 2, 1)
	s.SetWindowSize(128, 128)
	s.SetMtu(1200)
	s.SetWriteDelay(false)
}

// serve answers on each connection of ln until ctx ends.
func serve(ctx context.Context, ln net.Listener, ready func(string), answer func(net.Conn) error) error {
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		accepted []net.Conn
	)
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed below
			}
			mu.Lock()
			accepted = append(accepted, conn)
			mu.Unlock()
			// How a connection ends is the client's business, which reports what it misses.
			all.Go(func() { _ = answer(conn) })
		}
	})
	ready(ln.Addr().String())
	<-ctx.Done()
	err := ln.Close()
	mu.Lock()
	for _, c := range accepted {
		_ = c.Close() // its client has gone before
	}
	mu.Unlock()
	all.Wait()
	return err
}

// echoFrames answers each frame with itself.
func echoFrames(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 4096)
	buf := make([]byte, frame)
	for {
		if _, err := io.ReadFull(r, buf[:4]); err != nil {
			return err
		}
		if n := binary.BigEndian.Uint32(buf); n != Payload {
			return fmt.Errorf("bare: a frame of %d bytes", n)
		}
		if _, err := io.ReadFull(r, buf[4:]); err != nil {
			return err
		}
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
}

// frames is a client that sends a number in each frame and wants it back.
type frames struct {
	conn     net.Conn
	r        *bufio.Reader
	n        uint64
	out, got [frame]byte
}

func newFrames(conn net.Conn) *frames {
	f := &frames{conn: conn, r: bufio.NewReaderSize(conn, 4096)}
	binary.BigEndian.PutUint32(f.out[:], Payload)
	return f
}

func (f *frames) Exchange() error {
	f.n++
	binary.BigEndian.PutUint64(f.out[4:], f.n)
	if _, err := f.conn.Write(f.out[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(f.r, f.got[:]); err != nil {
		return err
	}
	if !bytes.Equal(f.got[:], f.out[:]) {
		return errors.New("bare: the answer is another request's")
	}
	return nil
}

func (f *frames) Close() error { return f.conn.Close() }
