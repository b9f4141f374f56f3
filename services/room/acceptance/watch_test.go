package acceptance_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"sync"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// watched is what a viewer has had of a reel.
type watched struct {
	reel *reel

	mu       sync.Mutex
	numbers  []int
	shown    []time.Duration // when those pictures are, on the viewer's clock
	heard    map[uint32]time.Duration
	sounds   int
	foreign  int           // pictures that are none of the reel
	note     string        // what the server has said that is missing
	ready    chan struct{} // closed when WebRTC has got through
	begun    chan struct{} // closed with the first picture
	complete chan struct{} // closed with the last picture
}

func newWatched(r *reel) *watched {
	return &watched{reel: r, heard: map[uint32]time.Duration{}, ready: make(chan struct{}), begun: make(chan struct{}), complete: make(chan struct{})}
}

func (w *watched) picture(data []byte, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, known := w.reel.numbers[content(w.reel.video, data)]
	if !known {
		w.foreign++
		return
	}
	if len(w.numbers) == 0 {
		close(w.begun)
	}
	w.numbers, w.shown = append(w.numbers, n), append(w.shown, at)
	if n == w.reel.pictures-1 {
		select {
		case <-w.complete:
		default:
			close(w.complete)
		}
	}
}

func (w *watched) sound(data []byte, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sounds++
	w.heard[crc32.ChecksumIEEE(data)] = at
}

// tag reads the body of one of FLV, or of a message of RTMP: by the book, not by what the server reads them with.
func (w *watched) tag(kind byte, stamp uint32, body []byte) {
	at := time.Duration(stamp) * time.Millisecond
	r, b := w.reel, body
	name := func(c media.Codec) bool { return len(b) >= 5 && string(b[1:5]) == fourCC(c) }
	cts := func(b []byte) time.Duration {
		return time.Duration(int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8)>>8) * time.Millisecond
	}
	switch {
	case kind == flv.TypeAudio && r.audio == media.AAC && len(b) > 2 && b[0] == 0xaf:
		if b[1] == 1 {
			w.sound(b[2:], at)
		}
	case kind == flv.TypeAudio && r.audio == media.Opus && name(media.Opus) && b[0]>>4 == 9:
		if b[0]&0xf == 1 {
			w.sound(b[5:], at)
		}
	case kind == flv.TypeVideo && r.video == media.H264 && len(b) > 5 && b[0]&0xf == 7:
		if b[1] == 1 {
			w.picture(b[5:], at+cts(b[2:]))
		}
	case kind == flv.TypeVideo && name(r.video) && b[0]&0x80 != 0:
		switch packet := b[0] & 0xf; {
		case packet == 1 && r.video == media.H265:
			w.picture(b[8:], at+cts(b[5:]))
		case packet == 1, packet == 3:
			w.picture(b[5:], at)
		}
	case kind == flv.TypeScript:
	default:
		w.mu.Lock()
		w.foreign++
		w.mu.Unlock()
	}
}

// file reads FLV until it ends.
func (w *watched) file(r io.Reader) error {
	var head [11]byte
	if _, err := io.CopyN(io.Discard, r, 13); err != nil {
		return err
	}
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		body := make([]byte, int(head[1])<<16|int(head[2])<<8|int(head[3])+4)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		w.tag(head[0], uint32(head[7])<<24|binary.BigEndian.Uint32(head[4:])>>8, body[:len(body)-4])
	}
}

// viewer watches a room until it ends, or has had the last picture.
type viewer func(ctx context.Context, n *node, room string, w *watched) error

func viewFLV(ctx context.Context, n *node, room string, w *watched) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Addr["http"]+"/live/"+room+".flv", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	if err := w.file(resp.Body); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}

func viewRTMP(ctx context.Context, n *node, room string, w *watched) error {
	c, err := rtmptest.Dial(ctx, n.Addr["rtmp"])
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := c.Play(room); err != nil {
		return err
	}
	for {
		m, err := c.Next()
		if err != nil {
			return ctx.Err() // the room has ended
		}
		if m.Kind == flv.TypeAudio || m.Kind == flv.TypeVideo {
			w.tag(m.Kind, m.Stamp, m.Body)
		}
	}
}

func viewOwn(ctx context.Context, n *node, room string, w *watched) error {
	c, err := client.Dial(ctx, "ws://"+n.Addr["http"]+"/ws", client.Options{HandshakeTimeout: patience})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	v, err := c.Watch(ctx, room, client.WatchOptions{})
	if err != nil {
		return err
	}
	for {
		f, err := v.Next(ctx)
		switch {
		case err != nil:
			return ctx.Err() // the room has ended
		case f.Track.Codec == w.reel.video.String():
			w.picture(f.Data, f.PTS)
		case f.Track.Codec == w.reel.audio.String():
			w.sound(f.Data, f.PTS)
		}
	}
}
