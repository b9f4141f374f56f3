package streams

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/live"
	"github.com/skua-go/skua/services/room"

	"github.com/skua-go/skua/tools/bench/measure"
)

// Publish is part of live.Rooms.
func (h ownHall) Publish(context.Context, room.Entry, func(error)) (*media.Publisher, error) {
	return nil, media.ErrBusy
}

// ownHall has one stream, which everybody may watch.
type ownHall struct{ s *media.Stream }

// Join is part of live.Rooms.
func (h ownHall) Join(context.Context, room.Entry, media.ViewerConfig) (*media.Viewer, error) {
	return h.s.Join(media.ViewerConfig{})
}

// serveOwn is one stream in the connections of a gate.
func serveOwn(kind string) measure.Server {
	return func(ctx context.Context, ready func(string)) error {
		s := media.New(media.Config{})
		server, err := live.New(live.Config{Rooms: ownHall{s}})
		if err != nil {
			return err
		}
		log := slog.New(slog.DiscardHandler)
		sys := actor.New(actor.Config{Log: log})
		g, err := gate.New(sys, gate.Config{
			Login: gate.LoginNone, Log: log, Handle: func(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) },
			Media: &gate.Media{
				Offer: server.Offer(64 << 10),
				Join: func(c *transport.Conn, player func(context.Context) string) gate.MediaClient {
					return server.Join(c, player)
				},
			},
		})
		if err != nil {
			return err
		}
		if _, err := sys.Spawn(g.Spec()); err != nil {
			return err
		}
		ln, err := listenOwn(ctx, kind)
		if err != nil {
			return err
		}
		doors, ctx := errgroup.WithContext(ctx)
		doors.Go(func() error { return server.Serve(ctx) })
		doors.Go(func() error { return feed(ctx, s) })
		doors.Go(func() error { return g.Serve(ctx, kind, ln) })
		ready(ln.Addr().String())
		err = doors.Wait()
		end, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return errors.Join(err, sys.Shutdown(end))
	}
}

func listenOwn(ctx context.Context, kind string) (net.Listener, error) {
	if kind == "kcp" {
		return kcp.Listen("127.0.0.1:0", kcp.Config{})
	}
	return tcp.Listen(ctx, "127.0.0.1:0")
}

// serveBareKCP writes the same bytes to all sessions of a KCP listener, one after the other, and does nothing else.
func serveBareKCP(ctx context.Context, ready func(string)) error {
	ln, err := kcp.Listen("127.0.0.1:0", kcp.Config{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var conns []net.Conn
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
		defer stop()
		for {
			conn, err := ln.Accept()
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
	})
	doors.Go(func() error {
		return pace(ctx, func(_ time.Duration, _ bool, size int, _ bool) error {
			data := make([]byte, size)
			mu.Lock()
			defer mu.Unlock()
			for _, c := range conns {
				_, _ = c.Write(data) // one that has gone is the measurement's end
			}
			return nil
		})
	})
	ready(ln.Addr().String())
	return doors.Wait()
}

// Own asks for a stream in a connection of the game.
func Own(conn net.Conn) (io.Reader, error) {
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	var head [packet.HeaderSize]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	if packet.Type(head[0]) != packet.Handshake {
		return nil, fmt.Errorf("%w: a package of type %d", errNoAnswer, head[0])
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[1])<<16|int64(head[2])<<8|int64(head[3])); err != nil {
		return nil, err
	}
	ask, err := packet.AppendPacket(nil, packet.HandshakeAck, nil)
	if err == nil {
		ask, err = packet.AppendMediaControl(ask, &packet.MediaControl{Op: packet.MediaWatch, ID: 1, Room: "bench"})
	}
	if err == nil {
		_, err = conn.Write(ask)
	}
	return conn, err
}

// OverKCP is Own, or Bare, for a server that speaks KCP.
func OverKCP(ctx context.Context, addr string) (net.Conn, error) {
	return kcp.Dial(ctx, addr, kcp.Config{})
}

// Hello sends a byte, by which a server of KCP learns of its client, and gets what it gets for that.
func Hello(conn net.Conn) (io.Reader, error) {
	_, err := conn.Write([]byte{0})
	return conn, err
}
