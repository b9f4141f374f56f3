package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
	"github.com/skua-go/skua/net/rtsp"
	"github.com/skua-go/skua/net/tcp"
)

// serveFLV is one stream over HTTP-FLV, as a node serves it.
func serveFLV(ctx context.Context, ready func(string)) error {
	s := media.New(media.Config{})
	pages, err := flv.NewHTTP(flv.HTTPConfig{Join: func(*http.Request) (*media.Viewer, error) { return s.Join(media.ViewerConfig{}) }})
	if err != nil {
		return err
	}
	ln, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return pages.Serve(ctx) })
	doors.Go(func() error { return feed(ctx, s, 1) })
	doors.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	ready(ln.Addr().String())
	return doors.Wait()
}

// hall has one stream, which everybody may watch.
type hall struct{ s *media.Stream }

func (h hall) Publish(context.Context, rtmp.Request, func(error)) (*media.Publisher, error) {
	return nil, media.ErrBusy
}

func (h hall) Play(context.Context, rtmp.Request) (*media.Viewer, error) {
	return h.s.Join(media.ViewerConfig{})
}

// serveRTMP is the same over RTMP.
func serveRTMP(ctx context.Context, ready func(string)) error {
	s := media.New(media.Config{})
	server, err := rtmp.New(rtmp.Config{Rooms: hall{s}})
	if err != nil {
		return err
	}
	ln, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return feed(ctx, s, 1) })
	doors.Go(func() error { return server.Serve(ctx, ln) })
	ready(ln.Addr().String())
	return doors.Wait()
}

// lobby is the same for RTSP.
type lobby struct{ s *media.Stream }

func (l lobby) Publish(context.Context, rtsp.Request, func(error)) (*media.Publisher, error) {
	return nil, media.ErrBusy
}

func (l lobby) Play(context.Context, rtsp.Request) (*media.Viewer, error) {
	return l.s.Join(media.ViewerConfig{})
}

// serveRTSP is the same over RTSP.
func serveRTSP(ctx context.Context, ready func(string)) error {
	s := media.New(media.Config{})
	server, err := rtsp.New(rtsp.Config{Rooms: lobby{s}})
	if err != nil {
		return err
	}
	ln, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return feed(ctx, s, 1) })
	doors.Go(func() error { return server.Serve(ctx, ln, nil) })
	ready(ln.Addr().String())
	return doors.Wait()
}

// command is a message of RTMP in one chunk.
func command(stream uint32, name string, id int) []byte {
	about := any(amf.Object{{Key: "app", Value: "live"}})
	body := amf.Append(nil, name, id, about)
	if name == "play" {
		body = amf.Append(nil, name, id, nil, "bench")
	}
	b := []byte{3, 0, 0, 0, 0, 0, byte(len(body)), 20}
	return append(binary.LittleEndian.AppendUint32(b, stream), body...)
}

// serveBare writes the same bytes to all who have connected, one after the other, and does nothing else.
func serveBare(ctx context.Context, ready func(string)) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
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
		return pace(ctx, 1, func(_ time.Duration, _ bool, size int, _ bool) error {
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
