package live

import (
	"context"
	"math"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
)

const (
	// batch is how many frames are taken at a time.
	batch = 32
	// burst is how many bytes of them are written until it is asked again whether they are wanted still: through a slow link a batch takes long.
	burst = 64 << 10
)

// watcher writes a room's frames to one client.
type watcher struct {
	o        *opened
	v        *media.Viewer
	channel  uint32
	state    media.State
	began    bool
	told     [media.MaxTracks]*media.Params
	skipped  uint64
	encode   func(f *media.Frame) []byte
	packages [][]byte
	size     int // bytes of these
}

// play watches until either side ends it, and tells why.
func (o *opened) play() error {
	v, err := o.c.s.cfg.Rooms.Join(o.ctx, o.entry, media.ViewerConfig{})
	if err != nil {
		return o.why(err)
	}
	stop := context.AfterFunc(o.ctx, func() { v.Close(context.Cause(o.ctx)) })
	defer stop()
	w := &watcher{o: o, v: v, channel: v.Stream().Number(func() uint32 { return o.c.s.numbers.Add(1) }), state: media.State{Live: true}}
	w.encode = func(f *media.Frame) []byte { return encode(f, w.channel) }
	o.c.send(packet.MediaControl{Op: packet.MediaOpened, ID: o.id, Channel: w.channel})
	err = w.frames()
	v.Close(err)
	return err
}

// why is the reason of an end: the one that was given to the context says more than that it was cancelled.
func (o *opened) why(err error) error {
	if cause := context.Cause(o.ctx); cause != nil {
		return cause
	}
	return err
}

// encode makes a frame's packages, once for all viewers of a stream.
func encode(f *media.Frame, channel uint32) []byte {
	later := max(math.MinInt32, min(f.PTS.Microseconds()-f.DTS.Microseconds(), math.MaxInt32)) // RTMP has more
	return packet.AppendMediaFrame(make([]byte, 0, packet.MediaFrameSize(len(f.Data))), &packet.MediaFrame{
		Channel: channel, Track: f.Track.ID, Key: f.Key, DTS: f.DTS.Microseconds(), Offset: int32(later), Data: f.Data,
	}, 0)
}

func (w *watcher) frames() error {
	var frames [batch]*media.Frame
	for {
		n, err := w.v.Take(frames[:])
		if err != nil {
			return err
		}
		w.tellState()
		if n == 0 {
			wake := w.v.Wake()
			if w.v.Stream().State() == w.state { // else it has changed since
				<-wake
			}
			continue
		}
		err = w.write(frames[:n])
		clear(frames[:n])
		if err != nil {
			return w.o.why(err)
		}
	}
}

// write writes frames, each behind what the client must know for it.
func (w *watcher) write(frames []*media.Frame) error {
	if !w.began {
		w.began = true
		for _, t := range w.v.Described() {
			w.describe(t.Track, t.Params)
		}
	}
	for _, f := range frames {
		if w.told[f.Track.ID] != f.Params {
			if err := w.flush(); err != nil {
				return err
			}
			w.describe(f.Track, f.Params)
		}
		if f.Key && f.Track.Kind == media.Video {
			if err := w.tellSkipped(); err != nil {
				return err
			}
		}
		for rest := f.As(media.Own, w.encode); len(rest) > 0; {
			var one []byte
			one, rest = packet.NextPackage(rest)
			w.packages = append(w.packages, one)
			w.size += len(one)
		}
		if w.size >= burst {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// flush writes what is due, whole frames.
func (w *watcher) flush() error {
	if w.o.ctx.Err() != nil {
		return context.Cause(w.o.ctx)
	}
	err := w.o.c.conn.WriteStream(w.packages)
	clear(w.packages)
	w.packages, w.size = w.packages[:0], 0
	return err
}

// describe tells the parameters of a track.
func (w *watcher) describe(t *media.Track, p *media.Params) {
	w.told[t.ID] = p
	w.tell(packet.MediaControl{Op: packet.MediaTell, Tracks: []packet.MediaTrack{{
		Track: t.ID, Codec: p.Codec.String(), Config: p.Config, Group: t.Group, Layer: t.Layer,
		Width: p.Width, Height: p.Height, SampleRate: p.SampleRate, AudioChannels: p.Channels,
	}}})
}

// tellSkipped tells, where pictures begin anew, how many were left out before.
func (w *watcher) tellSkipped() error {
	counts := w.v.Counts()
	left := counts.Skipped + counts.Lost
	if left == w.skipped {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.tell(packet.MediaControl{Op: packet.MediaSkipped, Frames: left - w.skipped})
	w.skipped = left
	return nil
}

// tellState tells what has changed of the stream.
func (w *watcher) tellState() {
	now, was := w.v.Stream().State(), w.state
	if now == was {
		return
	}
	w.state = now
	if now.Live != was.Live {
		op := packet.MediaWaiting
		if now.Live {
			op = packet.MediaLive
		}
		w.tell(packet.MediaControl{Op: op})
	}
	for kind, on := range now.Muted {
		if on != was.Muted[kind] {
			w.tell(packet.MediaControl{Op: packet.MediaMuted, Kind: media.Kind(kind).String(), On: on})
		}
	}
}

func (w *watcher) tell(m packet.MediaControl) {
	m.ID = w.o.id
	w.o.c.send(m)
}
