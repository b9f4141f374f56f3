package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// Errors of rooms. They come wrapped with the room's name.
var (
	ErrNoRooms    = errors.New("client: the server has no rooms")
	ErrRoomAway   = errors.New("client: the room is not open: there is no connection, or not again")
	ErrRoomClosed = errors.New("client: the room was closed")
	ErrNeedsKey   = errors.New("client: a frame before it was left out, so that a key frame has to come first")
)

// RoomError is why the server has refused or ended the watching of a room or the publishing to it. Codes are those of docs/protocol.md.
type RoomError struct{ Room, Code, Msg string }

// Error returns all fields.
func (e *RoomError) Error() string { return "client: room " + e.Room + ": " + e.Code + ": " + e.Msg }

// Track is one sequence of frames: pictures or sound. A Track never changes: new parameters are a new one.
type Track struct {
	// ID is its number in the room, of a Publish its index.
	ID int
	// Codec is h264, h265, av1, vp8, vp9, aac, opus or mp3.
	Codec string
	// Config is the codec's record: avcC, hvcC, av1C, AudioSpecificConfig, OpusHead; none of VP8 and MP3. It is what WebCodecs calls a description.
	Config []byte
	// Group tells sources apart and Layer qualities of one source, the best first. 0 is what viewers get.
	Group, Layer int
	// Width and Height of pictures, SampleRate in Hz and Channels of sound; 0 while unknown. Who publishes need not say them where Config does.
	Width, Height, SampleRate, Channels int
}

// Frame is one picture or one packet of sound.
type Frame struct {
	Track *Track // of Watch; Publish has it as an argument
	// DTS is when it is decoded, PTS when it is shown, on one clock for all tracks of a room. Those of a Publish may begin anywhere.
	DTS, PTS time.Duration
	// Key: decoding may begin here.
	Key bool
	// Data is the frame, in the form that docs/media.md has for the codec: of H264 and H265 NAL units behind their lengths, with 4 bytes unless Config says otherwise.
	Data []byte
}

// RoomEventKind is what happened to a room that is watched or published to.
type RoomEventKind int

// The kinds of events.
const (
	// RoomAway: the connection is lost. The client opens the room again with the next one.
	RoomAway RoomEventKind = iota + 1
	// RoomBack: it is open again. Who watches goes on at the newest key frame, who publishes has to begin with one.
	RoomBack
	// RoomWaiting: its publisher has gone, and is waited for.
	RoomWaiting
	// RoomLive: there is a publisher, after RoomWaiting.
	RoomLive
	// RoomMuted: tracks of the kind Media are left out of what is published, or (On is false) no longer.
	RoomMuted
	// RoomSkipped: so many Frames were left out, since this client was too slow.
	RoomSkipped
	// RoomEnded: it is over, Err says why.
	RoomEnded
)

// RoomEvent is something that happened to a room that is watched or published to.
type RoomEvent struct {
	Kind   RoomEventKind
	Media  string // of RoomMuted: "video" or "audio"
	On     bool
	Frames uint64
	Err    error // of RoomEnded
}

// inRoom is what Watch and Publish have in common: a room that is opened again with each connection.
type inRoom struct {
	c     *Client
	name  string
	query string
	on    func(RoomEvent)
	watch *Watch // nil: it is published to

	first chan struct{} // closed when the server has answered, or it has ended before
	done  chan struct{}

	// The Client's mutex guards what follows.
	id     uint32 // of the present connection; 0: it has not asked
	open   bool
	opened bool // ever
	err    error
	tracks []packet.MediaTrack // that are published
}

// enterRoom opens a room, and waits for the answer.
func (c *Client) enterRoom(ctx context.Context, r *inRoom) error {
	r.c, r.first, r.done = c, make(chan struct{}), make(chan struct{})
	if err := c.askFor(ctx, r); err != nil {
		return err
	}
	select {
	case <-r.first:
	case <-ctx.Done():
		r.close(context.Cause(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.err
}

// askFor opens a room over the connection that there is, or has the next one do it.
func (c *Client) askFor(ctx context.Context, r *inRoom) error {
	for {
		ready, err := c.askNow(r)
		if ready == nil {
			return err
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// askNow is askFor, but for a session that is to log in first: then there is a channel that is closed when it has.
func (c *Client) askNow(r *inRoom) (ready <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, c.err
	case c.ready != nil:
		return c.ready, nil
	case c.link != nil && c.link.offer == nil:
		return nil, fmt.Errorf("%w: %s", ErrNoRooms, c.link.url)
	}
	c.rooms = append(c.rooms, r)
	if c.link == nil {
		return nil, nil
	}
	return nil, c.link.ask(r)
}

// reopen asks for all rooms over a new connection; c.mu is held.
func (c *Client) reopen(l *link) {
	for _, r := range slices.Clone(c.rooms) {
		var err error
		if l.offer == nil {
			err = ErrNoRooms
		} else {
			err = l.ask(r)
		}
		if err != nil {
			r.finish(err)
		}
	}
}

// ask opens a room; c.mu is held.
func (l *link) ask(r *inRoom) error {
	l.lastRoom++
	r.id = l.lastRoom
	m := packet.MediaControl{Op: packet.MediaWatch, ID: r.id, Room: r.name, Query: r.query}
	if r.watch == nil {
		m.Op, m.Tracks = packet.MediaPublish, r.tracks
	}
	return l.tell(m)
}

// tell sends a control; c.mu is held.
func (l *link) tell(m packet.MediaControl) error {
	out, err := packet.AppendMediaControl(l.out, &m)
	if err == nil {
		l.queue(out)
	}
	return err
}

// close ends a room of the client's own accord.
func (r *inRoom) close(why error) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.err != nil {
		return
	}
	if c.link != nil && r.id != 0 {
		_ = c.link.tell(packet.MediaControl{Op: packet.MediaClose, ID: r.id}) // it was encoded before
	}
	r.finish(why)
}

// finish notes the end; c.mu is held.
func (r *inRoom) finish(why error) {
	if r.err != nil {
		return
	}
	r.err, r.open = why, false
	r.c.rooms = slices.DeleteFunc(r.c.rooms, func(o *inRoom) bool { return o == r })
	if !r.opened {
		close(r.first)
	} else {
		r.emit(RoomEvent{Kind: RoomEnded, Err: why})
	}
	close(r.done)
}

// emit tells of an event, in order with the pushes. There are one or two of these a connection and room; of what a server tells as often as it likes, hear is.
func (r *inRoom) emit(e RoomEvent) { _ = r.queue(e, math.MaxInt) }

// hear is emit for what comes from the server: it counts as a push does, and ends the client as one too many does.
func (r *inRoom) hear(e RoomEvent) error { return r.queue(e, r.c.opts.MaxPushes) }

// queue has an event wait for its handler. With Options.Inline, too: the caller holds the client's mutex, which handlers may want.
func (r *inRoom) queue(e RoomEvent, limit int) error {
	if r.on == nil {
		return nil
	}
	return r.c.pushes.add(pushCost+len(e.Media), limit, func() { r.on(e) })
}

// roomsAway tells that there is no connection; c.mu is held.
func (c *Client) roomsAway() {
	for _, r := range c.rooms {
		r.id = 0
		if r.open {
			r.open = false
			r.emit(RoomEvent{Kind: RoomAway})
		}
	}
}

// roomsEnd ends all of them; c.mu is held.
func (c *Client) roomsEnd(why error) {
	for _, r := range slices.Clone(c.rooms) {
		r.finish(why)
	}
}

// media handles a media package, on the reading goroutine.
func (l *link) media(body []byte) error {
	if channel, ok := packet.MediaChannel(body); ok && l.channels[channel] == nil {
		l.pieces.Forget(channel)
		return nil // it was on its way when that ended
	}
	control, frame, err := l.pieces.Decode(body)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case frame != nil:
		l.channels[frame.Channel].deliver(frame)
		return nil
	case control != nil:
		return l.control(control)
	}
	return nil
}

func (l *link) control(m *packet.MediaControl) error {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.rooms, func(r *inRoom) bool { return r.id == m.ID })
	if m.Op == packet.MediaEnded {
		l.forget(m.ID)
	}
	if at < 0 || c.link != l {
		return nil // the client has closed it
	}
	r := c.rooms[at]
	switch m.Op {
	case packet.MediaOpened:
		return l.opened(r, m)
	case packet.MediaTell:
		if r.watch == nil || len(m.Tracks) != 1 {
			return fmt.Errorf("%w: it tells %d tracks of room %s, expected one of what is watched", ErrProtocol, len(m.Tracks), r.name)
		}
		return r.watch.describe(&m.Tracks[0])
	case packet.MediaSkipped:
		return r.hear(RoomEvent{Kind: RoomSkipped, Frames: m.Frames})
	case packet.MediaWaiting:
		return r.hear(RoomEvent{Kind: RoomWaiting})
	case packet.MediaLive:
		return r.hear(RoomEvent{Kind: RoomLive})
	case packet.MediaMuted:
		return r.hear(RoomEvent{Kind: RoomMuted, Media: m.Kind, On: m.On})
	case packet.MediaEnded:
		r.finish(&RoomError{Room: r.name, Code: m.Code, Msg: m.Msg})
	}
	return nil // what is new to it is none of its business
}

// opened notes the server's word; c.mu is held.
func (l *link) opened(r *inRoom, m *packet.MediaControl) error {
	if r.open {
		return fmt.Errorf("%w: it opens room %s twice", ErrProtocol, r.name)
	}
	if r.watch != nil {
		if err := l.connect(r, m.Channel); err != nil {
			return err
		}
	}
	r.open = true
	if r.opened {
		return r.hear(RoomEvent{Kind: RoomBack})
	}
	r.opened = true
	close(r.first)
	return nil
}

// connect has the frames of a channel be a room's; c.mu is held.
func (l *link) connect(r *inRoom, channel uint32) error {
	for of, w := range l.channels {
		if w.room.err != nil { // the client has closed it, and a server need not say that it has heard so
			delete(l.channels, of)
			l.pieces.Forget(of)
		}
	}
	if w := l.channels[channel]; w != nil {
		return fmt.Errorf("%w: the frames of room %s have the channel of room %s", ErrProtocol, r.name, w.room.name)
	}
	if l.channels == nil {
		l.channels = map[uint32]*Watch{}
	}
	l.channels[channel] = r.watch
	r.watch.begin(l)
	return nil
}

// forget ends a channel: what still comes of it is not looked at.
func (l *link) forget(id uint32) {
	for channel, w := range l.channels {
		if w.of == l && w.id == id {
			delete(l.channels, channel)
			l.pieces.Forget(channel)
		}
	}
}
