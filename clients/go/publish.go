package client

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// PublishOptions say what is published. Tracks are needed.
type PublishOptions struct {
	// Tracks are what it consists of; frames name them by their index.
	Tracks []Track
	// Query is what the room's rules are shown: a token, or a signature (docs/media.md).
	Query url.Values
	// OnEvent is told what happens, on the goroutine of the pushes' handlers and in order with them.
	OnEvent func(RoomEvent)
}

// Publish is a room that is published to. It outlives connections: it is opened again with the next one, and frames are refused meanwhile. Its methods may be called from any goroutine.
type Publish struct {
	room inRoom

	// The Client's mutex guards what follows.
	keyless []bool // by track: what comes is left out up to the next key frame
	of      *link  // that frames were written to last
}

// Publish opens a room and returns when the server has let the client in; a *RoomError says why it has not. ctx bounds only that.
func (c *Client) Publish(ctx context.Context, room string, opts PublishOptions) (*Publish, error) {
	p := &Publish{keyless: make([]bool, len(opts.Tracks))}
	p.room = inRoom{name: room, query: opts.Query.Encode(), on: opts.OnEvent}
	for i := range opts.Tracks {
		p.room.tracks = append(p.room.tracks, wireTrack(i, &opts.Tracks[i]))
	}
	if err := c.enterRoom(ctx, &p.room); err != nil {
		return nil, err
	}
	return p, nil
}

func wireTrack(i int, t *Track) packet.MediaTrack {
	return packet.MediaTrack{
		Track: uint8(i), Codec: t.Codec, Config: t.Config, Group: uint8(t.Group), Layer: uint8(t.Layer),
		Width: t.Width, Height: t.Height, SampleRate: t.SampleRate, AudioChannels: t.Channels,
	}
}

// Write sends a frame of a track, and waits for nobody. The data may be used again. It returns ErrBacklog when Options.MaxBacklog bytes of frames wait to be sent already: a picture is then left out, and so are
// those up to the next key frame (ErrNeedsKey); ErrRoomAway while there is no connection, after which pictures go on with a key frame as well; and why the room has ended, once it has.
func (p *Publish) Write(track int, f Frame) error {
	r := &p.room
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	switch {
	case r.err != nil:
		return r.err
	case track < 0 || track >= len(p.keyless):
		return fmt.Errorf("client: room %s: track %d, there are %d", r.name, track, len(p.keyless))
	case len(f.Data) == 0:
		return fmt.Errorf("client: room %s: a frame without data", r.name)
	case !r.open || l == nil:
		p.keyless[track] = true
		return fmt.Errorf("%w: %s", ErrRoomAway, r.name)
	}
	if err := p.admit(l, track, &f); err != nil {
		return err
	}
	p.keyless[track] = false
	dts := f.DTS.Microseconds()
	all := packet.AppendMediaFrame(make([]byte, 0, packet.MediaFrameSize(len(f.Data))), &packet.MediaFrame{
		Channel: r.id, Track: uint8(track), Key: f.Key, DTS: dts, Offset: int32(f.PTS.Microseconds() - dts), Data: f.Data,
	}, l.offer.Piece)
	l.stream(all)
	return nil
}

// admit says why a frame can't go over a connection; the Client's mutex is held.
func (p *Publish) admit(l *link, track int, f *Frame) error {
	r := &p.room
	if p.of != l {
		for i := range p.keyless {
			p.keyless[i] = p.of != nil // over the one before something has gone, which nobody has now
		}
		p.of = l
	}
	dts, later := f.DTS.Microseconds(), f.PTS.Microseconds()-f.DTS.Microseconds()
	switch {
	case len(f.Data) > l.offer.Frame:
		return fmt.Errorf("client: room %s: a frame of %d bytes, the server takes %d", r.name, len(f.Data), l.offer.Frame)
	case dts <= -packet.MaxMediaTime || dts >= packet.MaxMediaTime || later < math.MinInt32 || later > math.MaxInt32:
		return fmt.Errorf("client: room %s: a frame that is decoded at %s and shown at %s, expected less than 142 years, and at most %s between them", r.name, f.DTS, f.PTS, math.MaxInt32*time.Microsecond)
	case l.streamed+len(f.Data) > r.c.opts.MaxBacklog && l.streamed > 0:
		p.keyless[track] = true
		return fmt.Errorf("%w: %d bytes of frames do already", ErrBacklog, l.streamed)
	case p.keyless[track] && !f.Key && !(&Track{Codec: r.tracks[track].Codec}).isSound():
		return fmt.Errorf("%w: room %s", ErrNeedsKey, r.name)
	}
	return nil
}

// Configure tells new parameters of a track, which its frames have from here on.
func (p *Publish) Configure(track int, t Track) error {
	r := &p.room
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	switch {
	case r.err != nil:
		return r.err
	case track < 0 || track >= len(r.tracks):
		return fmt.Errorf("client: room %s: track %d, there are %d", r.name, track, len(r.tracks))
	}
	told := wireTrack(track, &t)
	told.Group, told.Layer = r.tracks[track].Group, r.tracks[track].Layer // these it keeps
	r.tracks = slices.Clone(r.tracks)
	r.tracks[track] = told
	if !r.open || r.c.link == nil {
		return nil // it is told with the next connection
	}
	out, err := packet.AppendMediaControl(nil, &packet.MediaControl{Op: packet.MediaTell, ID: r.id, Tracks: []packet.MediaTrack{told}})
	if err == nil {
		r.c.link.stream(out) // in order with the frames
	}
	return err
}

// Done is closed when the room has ended.
func (p *Publish) Done() <-chan struct{} { return p.room.done }

// Err is why, nil while it has not: a *RoomError, ErrRoomClosed after Close, or why the client has ended.
func (p *Publish) Err() error {
	p.room.c.mu.Lock()
	defer p.room.c.mu.Unlock()
	return p.room.err
}

// Close ends it, behind what was written. It does not wait.
func (p *Publish) Close() {
	r := &p.room
	r.c.mu.Lock()
	if l := r.c.link; l != nil && r.open && r.err == nil {
		out, err := packet.AppendMediaControl(nil, &packet.MediaControl{Op: packet.MediaClose, ID: r.id})
		if err == nil {
			l.stream(out)
			r.id = 0
		}
	}
	r.c.mu.Unlock()
	r.close(ErrRoomClosed)
}
