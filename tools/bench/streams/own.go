package streams

import (
	"bufio"
	"context"
	"encoding/binary"
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

// ownDoor is a gate in whose connections a stream is watched.
type ownDoor struct {
	sys    *actor.System
	rooms  *live.Server
	gate   *gate.Gate
	listen net.Listener
}

func openOwn(ctx context.Context, kind string, s *media.Stream) (*ownDoor, error) {
	rooms, err := live.New(live.Config{Rooms: ownHall{s}})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	sys := actor.New(actor.Config{Log: log})
	g, err := gate.New(sys, gate.Config{
		Login: gate.LoginNone, Log: log, Handle: func(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) },
		Media: &gate.Media{
			Offer: rooms.Offer(64 << 10),
			Join: func(c *transport.Conn, player func(context.Context) string) gate.MediaClient {
				return rooms.Join(c, player)
			},
		},
	})
	if err != nil {
		return nil, err
	}
	if _, err := sys.Spawn(g.Spec()); err != nil {
		return nil, err
	}
	ln, err := listenOwn(ctx, kind)
	return &ownDoor{sys, rooms, g, ln}, err
}

// serve serves until ctx ends.
func (d *ownDoor) serve(ctx context.Context) error {
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return d.rooms.Serve(ctx) })
	doors.Go(func() error { return d.gate.Serve(ctx, "own", d.listen) })
	err := doors.Wait()
	end, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(err, d.sys.Shutdown(end))
}

// serveOwn is one stream in the connections of a gate, so many times slower than it is.
func serveOwn(kind string, slow time.Duration) measure.Server {
	return func(ctx context.Context, ready func(string)) error {
		s := media.New(media.Config{})
		door, err := openOwn(ctx, kind, s)
		if err != nil {
			return err
		}
		doors, ctx := errgroup.WithContext(ctx)
		doors.Go(func() error { return feed(ctx, s, slow) })
		doors.Go(func() error { return door.serve(ctx) })
		ready(door.listen.Addr().String())
		return doors.Wait()
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
		return pace(ctx, KCPSlow, func(_ time.Duration, _ bool, size int, _ bool) error {
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

func overKCP(ctx context.Context, addr string) (net.Conn, error) {
	return kcp.Dial(ctx, addr, kcp.Config{})
}

// Hello sends a byte, by which a server of KCP learns of its client, and gets what it gets for that.
func Hello(conn net.Conn) (io.Reader, error) {
	_, err := conn.Write([]byte{0})
	return conn, err
}

// packages reads what comes in a game's own connection, a frame at a time.
func packages(r *bufio.Reader) (int64, bool, error) {
	const first, headOfPiece, headOfFrame = 0x01, 6, 22 // docs/protocol.md
	for {
		head, err := r.Peek(packet.HeaderSize + 1)
		if err != nil {
			return 0, false, err
		}
		all := packet.HeaderSize + int(head[1])<<16 + int(head[2])<<8 + int(head[3])
		if packet.Type(head[0]) != packet.Media || head[packet.HeaderSize]&3 != first {
			if _, err := r.Discard(all); err != nil {
				return 0, false, err
			}
			continue
		}
		if head, err = r.Peek(packet.HeaderSize + headOfFrame); err != nil {
			return 0, false, err
		}
		size := int(binary.BigEndian.Uint32(head[packet.HeaderSize+headOfPiece:]))
		if _, err = r.Discard(packet.HeaderSize + headOfFrame); err != nil {
			return 0, false, err
		}
		here := all - packet.HeaderSize - headOfFrame
		got, err := begin(r, here, here)
		for rest := size - here; rest > 0 && err == nil; { // its other pieces come behind it at once
			if head, err = r.Peek(packet.HeaderSize); err == nil {
				n := packet.HeaderSize + int(head[1])<<16 + int(head[2])<<8 + int(head[3])
				rest -= n - packet.HeaderSize - headOfPiece
				_, err = r.Discard(n)
			}
		}
		return got, size > soundBytes, err
	}
}
