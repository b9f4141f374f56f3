package client

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// WatchOptions say how a room is watched. The zero value works.
type WatchOptions struct {
	// Query is what the room's rules are shown: a token, or a signature (docs/media.md).
	Query url.Values
	// OnEvent is told what happens beside the frames, on the goroutine of the pushes' handlers and in order with them.
	OnEvent func(RoomEvent)
	// MaxWaiting is how many bytes of frames may wait for Next, each with 128 for itself and the first of a new Track with its Config. Beyond, pictures are left out up to the next key frame,
	// and sound only if it has no room itself. It bounds the Configs of all tracks that there are, too: a server that tells more has broken the protocol. Default 8 MiB.
	MaxWaiting int
}

// Watch is a room that is watched. It outlives connections: with a new one it goes on at the newest key frame. Its methods may be called from any goroutine, Next by one at a time.
type Watch struct {
	room inRoom
	opts WatchOptions

	// Of the reading goroutine.
	of     *link
	id     uint32
	tracks map[uint8]*Track
	told   int              // bytes of what they are described by
	last   map[uint8]*Track // of the frames that were given to Next

	mu      sync.Mutex
	waiting []waitingFrame
	bytes   int
	dropped uint64
	keyless bool // pictures are left out up to the next key frame
	wake    chan struct{}
}

// waitingFrame is one that waits for Next, and what it counts for.
type waitingFrame struct {
	Frame
	cost int
}

// frameCost is what a frame counts for besides its data.
const frameCost = 128

// Watch joins a room and returns when the server has let the client in; a *RoomError says why it has not. ctx bounds only that.
func (c *Client) Watch(ctx context.Context, room string, opts WatchOptions) (*Watch, error) {
	if opts.MaxWaiting <= 0 {
		opts.MaxWaiting = 8 << 20
	}
	w := &Watch{opts: opts, wake: make(chan struct{}, 1)}
	w.room = inRoom{name: room, query: opts.Query.Encode(), on: opts.OnEvent, watch: w}
	if err := c.enterRoom(ctx, &w.room); err != nil {
		return nil, err
	}
	return w, nil
}

// Next gives the next frame, and waits for it. Its data is the caller's. Once the room has ended it returns why, behind the frames that have come: a *RoomError, ErrRoomClosed after Close, or why the client has ended.
func (w *Watch) Next(ctx context.Context) (Frame, error) {
	for {
		if f, ok := w.take(); ok {
			return f, nil
		}
		select {
		case <-w.wake:
		case <-w.room.done:
			if f, ok := w.take(); ok {
				return f, nil
			}
			return Frame{}, w.Err()
		case <-ctx.Done():
			return Frame{}, context.Cause(ctx)
		}
	}
}

func (w *Watch) take() (Frame, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		return Frame{}, false
	}
	f := w.waiting[0]
	w.waiting[0] = waitingFrame{}
	w.waiting = w.waiting[1:]
	w.bytes -= f.cost
	return f.Frame, true
}

// Dropped is how many frames were left out since they were not fetched in time.
func (w *Watch) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Done is closed when the room has ended.
func (w *Watch) Done() <-chan struct{} { return w.room.done }

// Err is why, nil while it has not.
func (w *Watch) Err() error {
	w.room.c.mu.Lock()
	defer w.room.c.mu.Unlock()
	return w.room.err
}

// Close leaves the room. It does not wait.
func (w *Watch) Close() { w.room.close(ErrRoomClosed) }

// begin is told of a new connection; the Client's mutex is held.
func (w *Watch) begin(l *link) {
	w.of, w.id, w.tracks, w.told, w.last = l, w.room.id, map[uint8]*Track{}, 0, map[uint8]*Track{}
}

func (w *Watch) describe(t *packet.MediaTrack) error {
	if w.tracks == nil {
		return nil
	}
	if before := w.tracks[t.Track]; before != nil {
		w.told -= len(before.Config) + len(before.Codec)
	}
	if w.told += len(t.Config) + len(t.Codec); w.told > w.opts.MaxWaiting {
		return fmt.Errorf("%w: the descriptions of the tracks of room %s have %d bytes, at most %d are accepted", ErrProtocol, w.room.name, w.told, w.opts.MaxWaiting)
	}
	w.tracks[t.Track] = &Track{
		ID: int(t.Track), Codec: t.Codec, Config: t.Config, Group: int(t.Group), Layer: int(t.Layer),
		Width: t.Width, Height: t.Height, SampleRate: t.SampleRate, Channels: t.AudioChannels,
	}
	return nil
}

// isSound tells kinds of tracks apart.
func (t *Track) isSound() bool { return t.Codec == "aac" || t.Codec == "opus" || t.Codec == "mp3" }

// deliver has a frame wait for Next.
func (w *Watch) deliver(f *packet.MediaFrame) {
	t := w.tracks[f.Track]
	if t == nil {
		return // of a track that was not told
	}
	select {
	case <-w.room.done: // the client has closed it, and nobody may come for its frames any more
		return
	default:
	}
	dts := time.Duration(f.DTS) * time.Microsecond
	frame := Frame{Track: t, DTS: dts, PTS: dts + time.Duration(f.Offset)*time.Microsecond, Key: f.Key, Data: f.Data}
	cost := len(f.Data) + frameCost
	if t != w.last[f.Track] {
		cost += len(t.Config) + len(t.Codec) // as long as it waits its Track can't go
	}
	w.mu.Lock()
	full := w.bytes+cost > w.opts.MaxWaiting && len(w.waiting) > 0
	if !t.isSound() {
		w.keyless = full || w.keyless && !f.Key
		full = w.keyless
	}
	if full {
		w.dropped++
		w.mu.Unlock()
		return
	}
	w.waiting = append(w.waiting, waitingFrame{frame, cost})
	w.bytes += cost
	w.mu.Unlock()
	w.last[f.Track] = t
	select {
	case w.wake <- struct{}{}:
	default: // it has not come for the one before
	}
}
