package room

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
)

// Pauses before a link is tried again.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = time.Second
)

// inflow is a publisher of another node, at home.
type inflow struct {
	p *media.Publisher

	mu    sync.Mutex
	last  uint64
	begun bool
	over  bool // another link has taken its place
}

// Begin is part of relay.Into.
func (i *inflow) Begin(bool) (*media.Publisher, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.begun = true
	return i.p, i.p.Err()
}

// Fresh is part of relay.Into.
func (i *inflow) Fresh(seq uint64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	fresh := seq > i.last && !i.over
	if fresh {
		i.last = seq
	}
	return fresh
}

// close has it take nothing any more, and tells the last frame that it took.
func (i *inflow) close() uint64 {
	if i == nil {
		return 0
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	return i.last
}

// flows tells whether its link is there.
func (i *inflow) flows() bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.begun && !i.over
}

func (i *inflow) began() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.begun
}

// feed is what a room away from home gets of its home: one copy, for all who watch here. One goroutine runs it; the room stops it.
type feed struct {
	stream *media.Stream
	tell   func(up bool)

	mu    sync.Mutex
	runs  int    // counts who fetches: one before may not quite have ended
	id    uint64 // of the stream at home
	p     *media.Publisher
	last  uint64
	up    bool
	ended bool
}

// fetch is one link of a feed.
type fetch struct {
	*feed
	run int
}

// Begin is part of relay.Into.
func (f *fetch) Begin(resumed bool) (*media.Publisher, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || f.run != f.runs {
		return nil, media.ErrClosed
	}
	if !resumed || f.p == nil || f.p.Err() != nil {
		if f.p != nil {
			f.p.Close()
		}
		p, err := f.stream.Publish(nil)
		if err != nil {
			return nil, err
		}
		f.p, f.last = p, 0
	}
	f.up = true
	f.tell(true)
	return f.p, nil
}

// Fresh is part of relay.Into.
func (f *fetch) Fresh(seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := seq > f.last && f.run == f.runs
	if fresh {
		f.last = seq
	}
	return fresh
}

// next begins to fetch a stream, and tells behind which frame.
func (f *feed) next(stream uint64) (*fetch, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.id != stream {
		f.id, f.last = stream, 0
	}
	f.runs++
	return &fetch{f, f.runs}, f.last
}

// flows tells whether the link is there.
func (f *feed) flows() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.up
}

// down is for the end of a link, unless there is a newer one.
func (f *fetch) down() {
	f.mu.Lock()
	was := f.up && f.run == f.runs
	if was {
		f.up = false
	}
	f.mu.Unlock()
	if was {
		f.tell(false)
	}
}

// stop ends it: nothing is written to the stream from then on.
func (f *feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.up = true, false
	if f.p != nil {
		f.p.Close()
	}
}

// run fetches the stream until the home says that there is none for this ticket, or ctx ends.
func (f *feed) run(ctx context.Context, k *Cluster, room string, a attached) error {
	return again(ctx, k.Log.With("room", room, "link", a.Addr), func() error {
		one, last := f.next(a.Stream)
		err := relay.Receive(ctx, k.Link, a.Addr, relay.Request{From: k.Node, Room: room, Ticket: a.Ticket, After: last}, one)
		one.down()
		return err
	})
}

// again does what may be cut until it is refused, or ctx ends. Why it fails is logged once as long as that is the same.
func again(ctx context.Context, log *slog.Logger, try func() error) error {
	said := ""
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		begun := time.Now()
		err := try()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, relay.ErrRefused) || errors.Is(err, relay.ErrEnded) || errors.Is(err, media.ErrClosed) {
			return err
		}
		if time.Since(begun) > 5*time.Second {
			pause, said = firstPause, ""
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			log.Warn("a link to another node is tried again", "reason", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// bring sends what a publisher away writes to the room's home, until that does not want it any more, or ctx ends. flows tells whether the link is there.
func bring(ctx context.Context, k *Cluster, room string, e entered, up *media.Stream, flows *atomic.Bool) error {
	return again(ctx, k.Log.With("room", room, "link", e.Addr), func() error {
		v, err := up.Join(everything())
		if err != nil {
			return errors.Join(media.ErrClosed, err)
		}
		defer v.Close(nil)
		defer flows.Store(false)
		return relay.Send(ctx, k.Link, e.Addr, relay.Request{From: k.Node, Room: room, Ticket: e.Push}, v, func() { flows.Store(true) })
	})
}

// everything is a viewer of all tracks, which is not given up for being slow: the publisher would be.
func everything() media.ViewerConfig {
	return media.ViewerConfig{Want: func(*media.Track) bool { return true }, Patience: 1 << 62}
}

// pour writes what a publisher away has written to the room's stream here, once this is its home.
func pour(ctx context.Context, v *media.Viewer, p *media.Publisher) error {
	defer v.Close(nil)
	defer p.Close()
	stop := context.AfterFunc(ctx, func() { v.Close(ctx.Err()) })
	defer stop()
	p.AtEnd(func(reason error) { v.Close(reason) })
	var tracks [media.MaxTracks]*media.Track
	var frames [32]*media.Frame
	began := false
	for {
		n, err := v.Next(frames[:])
		if err != nil {
			return err
		}
		if !began {
			began = true
			for _, d := range v.Described() {
				if t, err := p.Track(media.TrackSpec{Kind: d.Kind, Group: d.Group, Layer: d.Layer}); err == nil {
					p.Describe(t, d.Params)
				}
			}
			p.Complete()
		}
		for i, f := range frames[:n] {
			t := tracks[f.Track.ID]
			if t == nil {
				if t, err = p.Track(media.TrackSpec{Kind: f.Track.Kind, Group: f.Track.Group, Layer: f.Track.Layer}); err != nil {
					return err
				}
				tracks[f.Track.ID] = t
			}
			if err := p.Write(t, media.Sample{DTS: f.DTS, PTS: f.PTS, Key: f.Key, Data: f.Data, Params: f.Params}); err != nil {
				return err
			}
			frames[i] = nil // nothing holds a frame longer than it must
		}
	}
}
