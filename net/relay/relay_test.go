package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/cutlink"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
	"github.com/skua-go/skua/net/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node serves one stream, or takes one, to who comes with the ticket "in".
type node struct {
	testing.TB
	server *relay.Server
	addr   string
	stream *media.Stream
	done   chan error
	log    *logtest.Buffer
}

func open(tb testing.TB, cfg relay.ServerConfig) *node {
	tb.Helper()
	n := &node{TB: tb, stream: media.New(media.Config{}), done: make(chan error, 8)}
	if cfg.Open == nil {
		cfg.Open = func(_ context.Context, r relay.Request) (relay.Grant, error) {
			switch r.Ticket {
			case "out":
				v, err := n.stream.Join(media.ViewerConfig{After: r.After, Want: everything().Want})
				return relay.Grant{Viewer: v, Done: func(err error) { n.done <- err }}, err
			case "in":
				p, err := n.stream.Publish(nil)
				return relay.Grant{Into: &into{p: p}, Done: func(err error) { n.done <- err }}, err
			default:
				return relay.Grant{}, errors.New("no such ticket")
			}
		}
	}
	cfg.Log, n.log = logtest.New(tb)
	var err error
	if n.server, err = relay.NewServer(cfg); err != nil {
		tb.Fatal(err)
	}
	ln, err := tcp.Listen(tb.Context(), "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	n.addr = ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.server.Serve(ctx, ln) }()
	tb.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return n
}

// into is a stream of this side, and what came.
type into struct {
	p *media.Publisher

	mu      sync.Mutex
	last    uint64
	resumed []bool
}

func (i *into) Begin(resumed bool) (*media.Publisher, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.resumed = append(i.resumed, resumed)
	return i.p, i.p.Err()
}

func (i *into) Fresh(seq uint64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	fresh := seq > i.last
	i.last = max(i.last, seq)
	return fresh
}

func (i *into) had() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}

// source writes pictures, and sound between, to a stream.
type source struct {
	p            *media.Publisher
	video, audio *media.Track
	h264, opus   *media.Params
	n            int
}

func publish(tb testing.TB, s *media.Stream) *source {
	tb.Helper()
	p, err := s.Publish(nil)
	if err != nil {
		tb.Fatal(err)
	}
	src := &source{p: p, h264: &media.Params{Codec: media.H264, Config: []byte("avcC"), Width: 64, Height: 32}, opus: &media.Params{Codec: media.Opus, SampleRate: 48000, Channels: 2}}
	if src.video, err = p.Track(media.TrackSpec{Kind: media.Video}); err == nil {
		src.audio, err = p.Track(media.TrackSpec{Kind: media.Audio, Group: 1})
	}
	if err != nil {
		tb.Fatal(err)
	}
	p.Complete()
	return src
}

func (s *source) write(tb testing.TB, count int) {
	tb.Helper()
	for range count {
		at := time.Duration(s.n) * 20 * time.Millisecond
		err := s.p.Write(s.video, media.Sample{DTS: at, PTS: at + 40*time.Millisecond, Key: s.n%10 == 0, Data: fmt.Appendf(nil, "picture %d", s.n), Params: s.h264})
		if err == nil {
			err = s.p.Write(s.audio, media.Sample{DTS: at, PTS: at, Data: fmt.Appendf(nil, "sound %d", s.n), Params: s.opus})
		}
		if err != nil {
			tb.Fatal(err)
		}
		s.n++
	}
}

func everything() media.ViewerConfig {
	return media.ViewerConfig{Want: func(*media.Track) bool { return true }, Lag: time.Hour}
}

func take(tb testing.TB, v *media.Viewer, count int) []*media.Frame {
	tb.Helper()
	late := time.AfterFunc(time.Minute, func() { v.Close(errors.New("not in time")) })
	defer late.Stop()
	var all []*media.Frame
	for len(all) < count {
		frames := make([]*media.Frame, 16)
		n, err := v.Next(frames)
		if err != nil {
			tb.Fatalf("after %d of %d frames: %v", len(all), count, err)
		}
		all = append(all, frames[:n]...)
	}
	return all
}

func equal(tb testing.TB, got, want []*media.Frame) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i, f := range got {
		w := want[i]
		if !bytes.Equal(f.Data, w.Data) || f.DTS-got[0].DTS != w.DTS-want[0].DTS || f.PTS-f.DTS != w.PTS-w.DTS || f.Key != w.Key || f.Track.Group != w.Track.Group ||
			f.Params.Codec != w.Params.Codec || !bytes.Equal(f.Params.Config, w.Params.Config) || f.Params.Width != w.Params.Width || f.Params.Channels != w.Params.Channels {
			tb.Fatalf("frame %d is %q at %v, want %q at %v", i, f.Data, f.DTS, w.Data, w.DTS)
		}
	}
}

var key = relay.Config{Key: []byte("of the cluster")}

// TestWhatIsFetchedIsTheSame: frames, times, parameters; also behind a cut, without a gap.
func TestWhatIsFetchedIsTheSame(t *testing.T) {
	n := open(t, relay.ServerConfig{Config: key})
	way := cutlink.New(t, n.addr)
	src := publish(t, n.stream)
	src.write(t, 7)
	mirror, err := n.stream.Join(everything())
	if err != nil {
		t.Fatal(err)
	}
	here := media.New(media.Config{})
	p, err := here.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := here.Join(everything())
	if err != nil {
		t.Fatal(err)
	}
	to := &into{p: p}
	fetch := func() chan error {
		ended := make(chan error, 1)
		after := to.had()
		go func() {
			ended <- relay.Receive(t.Context(), key, way.Addr, relay.Request{From: "here", Room: "arena", Ticket: "out", After: after}, to)
		}()
		return ended
	}
	first := fetch()
	got := take(t, v, 10)
	way.Cut(true)
	src.write(t, 20)
	if err := <-first; !errors.Is(err, relay.ErrSilent) {
		t.Errorf("a cut link ended with %v", err)
	}
	way.Cut(false)
	second := fetch()
	src.write(t, 20)
	want := take(t, mirror, 2*47)
	equal(t, append(got, take(t, v, len(want)-len(got))...), want)
	if len(to.resumed) != 2 || to.resumed[0] || !to.resumed[1] {
		t.Errorf("resumed: %v", to.resumed)
	}
	if here.Counts().Jumps != 0 {
		t.Errorf("%+v", here.Counts())
	}
	n.stream.Close(errors.New("it is over"))
	if err := <-second; !errors.Is(err, relay.ErrEnded) || !strings.Contains(err.Error(), "it is over") {
		t.Errorf("it ended with %v", err)
	}
}

func TestAStreamIsBroughtToAnotherNode(t *testing.T) {
	n := open(t, relay.ServerConfig{Config: key})
	here := media.New(media.Config{})
	src := publish(t, here)
	src.write(t, 1)
	v, err := here.Join(everything())
	if err != nil {
		t.Fatal(err)
	}
	there, err := n.stream.Join(everything())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- relay.Send(t.Context(), key, n.addr, relay.Request{From: "here", Room: "arena", Ticket: "in"}, v, func() {})
	}()
	src.write(t, 9)
	if got := take(t, there, 20); string(got[19].Data) != "sound 9" {
		t.Errorf("the last is %q", got[19].Data)
	}
	here.Close(errors.New("bored"))
	if err := <-n.done; !errors.Is(err, relay.ErrEnded) {
		t.Errorf("the other side ended with %v", err)
	}
	if err := <-ended; err == nil || err.Error() != "bored" {
		t.Errorf("it ended with %v", err)
	}
}

func TestStrangersGetNothing(t *testing.T) {
	n := open(t, relay.ServerConfig{Config: key, MaxLinks: 1, MaxStrangers: 2})
	to := func(cfg relay.Config, ticket string) error {
		return relay.Receive(t.Context(), cfg, n.addr, relay.Request{From: "here", Room: "arena", Ticket: ticket}, &into{})
	}
	none := func() {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
			if now, _ := n.server.Links(); now == 0 {
				return
			}
			if time.Now().After(end) {
				t.Fatal("a link is left")
			}
		}
	}
	if err := to(relay.Config{Key: []byte("another")}, "out"); err == nil || errors.Is(err, relay.ErrRefused) {
		t.Errorf("with another key: %v", err)
	}
	none()
	if err := to(key, "stolen"); !errors.Is(err, relay.ErrRefused) {
		t.Errorf("with another ticket: %v", err)
	}
	none()
	for _, said := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + string(make([]byte, 200)), "SKUAML1\n" + string(bytes.Repeat([]byte{0xff}, 500))} {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(conn)
		if len(b) > 40 {
			t.Errorf("%q is answered by %d bytes", said[:10], len(b))
		}
		_ = conn.Close()
		none()
	}
	// Those that say nothing have a place for a moment only, and nobody else's: the oldest goes.
	var silent []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.ReadFull(conn, make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
		silent = append(silent, conn)
	}
	begun := time.Now()
	ended := func(conn net.Conn) time.Duration {
		if n, _ := conn.Read(make([]byte, 1)); n != 0 {
			t.Error("a stranger is answered")
		}
		return time.Since(begun)
	}
	ended(silent[0])
	here := media.New(media.Config{})
	p, err := here.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	fetched := make(chan error, 1)
	go func() {
		fetched <- relay.Receive(t.Context(), key, n.addr, relay.Request{From: "here", Room: "arena", Ticket: "out"}, &into{p: p})
	}()
	for n.stream.Viewers() == 0 {
		select {
		case err := <-fetched:
			t.Fatalf("a node does not come through for strangers: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if now, _ := n.server.Links(); now != 1 {
		t.Errorf("%d links", now)
	}
	if err := to(key, "out"); err == nil || errors.Is(err, relay.ErrRefused) {
		t.Errorf("a second link, which is to be tried again, ends with %v", err)
	}
	ended(silent[1])
	if after := ended(silent[2]); after > time.Minute {
		t.Errorf("a stranger has its place for %v", after)
	}
	n.stream.Close(errors.New("it is over"))
	if err := <-fetched; !errors.Is(err, relay.ErrEnded) {
		t.Error(err)
	}
	none()
	if _, refused := n.server.Links(); refused < 5 {
		t.Errorf("%d were refused", refused)
	}
}

// TestStrangersDoNotFillTheLog: it is told once a second, with how many there were.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	n := open(t, relay.ServerConfig{Config: key})
	begun := time.Now()
	const many = 50
	for range many {
		if err := relay.Receive(t.Context(), relay.Config{Key: []byte("another")}, n.addr, relay.Request{From: "here", Room: "arena", Ticket: "out"}, &into{}); err == nil {
			t.Fatal("a stranger comes through")
		}
	}
	for end := begun.Add(time.Minute); ; <-time.After(time.Millisecond) {
		if _, refused := n.server.Links(); refused == many {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%d were refused", refused)
		}
	}
	if told, most := strings.Count(n.log.String(), "is refused"), 2+int(time.Since(begun)/time.Second); told == 0 || told > most {
		t.Errorf("the log is told %d times, expected 1 to %d", told, most)
	}
}

// FuzzMessages has a node that is one of the cluster send anything as messages: an error, and no panic.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 1, 0, 2, 0, 0, 0, 18, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 27, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x'})
	f.Add([]byte{2, 0, 0, 0, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{6, 0, 0, 0, 2, 'n', 'o'})
	f.Fuzz(func(t *testing.T, said []byte) {
		s := media.New(media.Config{RingBytes: 1 << 20})
		p, err := s.Publish(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := relay.Take(said, 1<<16, &into{p: p}); err == nil {
			t.Error("the end of what was said is no error")
		}
	})
}
