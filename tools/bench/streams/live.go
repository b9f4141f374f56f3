package streams

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/hls"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
	"github.com/skua-go/skua/net/tcp"
)

// studio has one stream, which everybody may publish and watch.
type studio struct{ hall }

func (s studio) Publish(_ context.Context, _ rtmp.Request, ended func(error)) (*media.Publisher, error) {
	return s.s.Publish(ended)
}

// serveLive takes a stream over RTMP and shows it over RTMP, HTTP-FLV, HLS and the game's own connection, as a node does. It is ready with three addresses: of RTMP, of HTTP and of the game.
func serveLive(ctx context.Context, ready func(string)) error {
	s := media.New(media.Config{})
	server, err := rtmp.New(rtmp.Config{Rooms: studio{hall{s}}})
	if err != nil {
		return err
	}
	join := func(*http.Request) (*media.Viewer, error) { return s.Join(media.ViewerConfig{}) }
	pages, err := flv.NewHTTP(flv.HTTPConfig{Join: join})
	if err != nil {
		return err
	}
	lists, err := hls.New(hls.Config{Join: join})
	if err != nil {
		return err
	}
	rtmpAt, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	httpAt, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, rtmpAt.Close())
	}
	game, err := openOwn(ctx, "tcp", s)
	if err != nil {
		return errors.Join(err, rtmpAt.Close(), httpAt.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/live/", pages)
	mux.Handle("/live/{room}/{file}", lists)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	doors, ctx := errgroup.WithContext(ctx)
	doors.Go(func() error { return server.Serve(ctx, rtmpAt) })
	doors.Go(func() error { return pages.Serve(ctx) })
	doors.Go(func() error { return lists.Serve(ctx) })
	doors.Go(func() error { return game.serve(ctx) })
	doors.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = web.Close() })
		defer stop()
		if err := web.Serve(httpAt); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	ready(rtmpAt.Addr().String() + " " + httpAt.Addr().String() + " " + game.listen.Addr().String())
	return doors.Wait()
}

// serveBareRelay writes the messages of a publisher to all who have connected to the second address, as soon as each is there.
func serveBareRelay(ctx context.Context, ready func(string)) error {
	in, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	out, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, in.Close())
	}
	stop := context.AfterFunc(ctx, func() { _, _ = in.Close(), out.Close() })
	defer stop()
	var mu sync.Mutex
	var conns []net.Conn
	var doors errgroup.Group
	doors.Go(func() error {
		for {
			conn, err := out.Accept()
			if err != nil {
				return nil //nolint:nilerr // the end of the measurement
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
	})
	ready(in.Addr().String() + " " + out.Addr().String())
	publisher, err := in.Accept()
	if err != nil {
		return doors.Wait()
	}
	r := bufio.NewReaderSize(publisher, 64<<10)
	for {
		b, err := bareMessage(r)
		if err != nil {
			return errors.Join(in.Close(), out.Close(), doors.Wait())
		}
		mu.Lock()
		for _, c := range conns {
			_, _ = c.Write(b) // one that has gone is the measurement's end
		}
		mu.Unlock()
	}
}

// bareMessage is one with its length before it.
func bareMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
	copy(b, head[:])
	_, err := io.ReadFull(r, b[4:])
	return b, err
}

// mark stands in each frame before the time at which it was published.
const mark = "\x01skua:t="

// stamped is a frame's data of this size: one NAL unit of H.264, or sound, with the time in it.
func stamped(size int, key, sound bool) []byte {
	data := make([]byte, size)
	at := 0
	if !sound {
		binary.BigEndian.PutUint32(data, uint32(size-4))
		data[4], at = 0x41, 5
		if key {
			data[4] = 0x65
		}
	}
	at += copy(data[at:], mark)
	binary.BigEndian.PutUint64(data[at:], uint64(time.Now().UnixNano()))
	return data
}

// when is the moment at which the last of the frames in b was published, in Unix nanoseconds; 0 if there is none.
func when(b []byte) int64 {
	at := bytes.LastIndex(b, []byte(mark))
	if at < 0 || len(b) < at+len(mark)+8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b[at+len(mark):]))
}

// chunk is what a publisher's messages have at most in one piece: all of it.
const chunk = 64 << 10

// publishRTMP is an encoder that sends the stream to a server until ctx ends.
func publishRTMP(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := greet(conn, conn); err != nil {
		return err
	}
	config, err := media.AVCConfig(sps, pps)
	if err != nil {
		return err
	}
	hello := piece(2, 1, 0, binary.BigEndian.AppendUint32(nil, chunk))
	hello = append(hello, command(0, "connect", 1)...)
	hello = append(hello, piece(3, 20, 0, amf.Append(nil, "publish", 2, nil, "bench", "live"))...)
	hello = append(hello, piece(4, flv.TypeVideo, 0, append([]byte{0x17, 0, 0, 0, 0}, config...))...)
	hello = append(hello, piece(5, flv.TypeAudio, 0, []byte{0xaf, 0, 0x12, 0x10})...)
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	return pace(ctx, 1, func(at time.Duration, key bool, size int, sound bool) error {
		id, kind, head := byte(4), byte(flv.TypeVideo), []byte{0x27, 1, 0, 0, 0}
		switch {
		case sound:
			id, kind, head = 5, flv.TypeAudio, []byte{0xaf, 1}
		case key:
			head[0] = 0x17
		}
		_, err := conn.Write(piece(id, kind, uint32(at.Milliseconds()), append(head, stamped(size, key, sound)...)))
		return err
	})
}

// publishBare sends the same frames with nothing around them but their length.
func publishBare(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return pace(ctx, 1, func(_ time.Duration, key bool, size int, sound bool) error {
		data := stamped(size, key, sound)
		_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
		return err
	})
}

// piece is a message in one chunk.
func piece(id, kind byte, stamp uint32, body []byte) []byte {
	b := []byte{id, byte(stamp >> 16), byte(stamp >> 8), byte(stamp), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), kind, 1, 0, 0, 0}
	return append(b, body...)
}

// greet is a client's handshake.
func greet(conn io.Writer, r io.Reader) error {
	const packet = 1536
	hello := make([]byte, 1+2*packet)
	hello[0] = 3
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	if _, err := io.ReadFull(r, hello); err != nil {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return nil
}
