package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
)

// maxBad is how many frames that no output could do anything with end a publisher.
const maxBad = 100

// track is one that a client publishes.
type track struct {
	*media.Track
	spec    media.TrackSpec
	params  *media.Params
	lengths int // bytes of the lengths in its frames, of H264 and H265
}

// readTracks reads what a publisher announces.
func readTracks(all []packet.MediaTrack, most int) ([]track, error) {
	if len(all) == 0 || len(all) > most {
		return nil, refuse("bad_request", "%d tracks, expected 1 to %d", len(all), most)
	}
	tracks := make([]track, len(all))
	for i := range all {
		params, lengths, err := readParams(&all[i])
		if err != nil {
			return nil, err
		}
		tracks[i] = track{spec: media.TrackSpec{Kind: params.Codec.Kind(), Group: all[i].Group, Layer: all[i].Layer}, params: params, lengths: lengths}
		for _, other := range tracks[:i] {
			if other.spec == tracks[i].spec {
				return nil, refuse("bad_request", "track %d: there is one of the same kind, group and layer", i)
			}
		}
	}
	return tracks, nil
}

func readParams(t *packet.MediaTrack) (*media.Params, int, error) {
	codec := codecOf(t.Codec)
	if codec == 0 {
		return nil, 0, refuse("bad_request", "the codec %.32q, expected h264, h265, av1, vp8, vp9, aac, opus or mp3", t.Codec)
	}
	p, lengths, err := media.NewParams(codec, t.Config)
	if err != nil {
		return nil, 0, refuse("bad_request", "%v", err)
	}
	// What the record tells counts more than what the client says.
	if p.Width == 0 && p.Height == 0 {
		p.Width, p.Height = bound(t.Width), bound(t.Height)
	}
	if p.SampleRate == 0 && codec.Kind() == media.Audio {
		p.SampleRate, p.Channels = max(0, min(t.SampleRate, 1<<20)), bound(t.AudioChannels)
	}
	return p, lengths, nil
}

func bound(n int) int { return max(0, min(n, 1<<16)) }

func codecOf(name string) media.Codec {
	for c := media.H264; c <= media.MP3; c++ {
		if c.String() == name {
			return c
		}
	}
	return 0
}

// publish is in the room until either side ends it, and tells why. The frames are written by who reads from the connection.
func (o *opened) publish() error {
	p, err := o.c.s.cfg.Rooms.Publish(o.ctx, o.entry, o.end)
	if err != nil {
		return o.why(err)
	}
	defer p.Close()
	tracks := append([]track(nil), o.specs...)
	for i := range tracks {
		if tracks[i].Track, err = p.Track(tracks[i].spec); err != nil {
			return o.why(err)
		}
		p.Describe(tracks[i].Track, tracks[i].params)
	}
	p.Complete()
	o.c.mu.Lock()
	o.publisher, o.tracks = p, tracks
	o.c.mu.Unlock()
	o.c.send(packet.MediaControl{Op: packet.MediaOpened, ID: o.id, Channel: o.id})
	p.AtMute(func(kind media.Kind, on bool) {
		o.c.send(packet.MediaControl{Op: packet.MediaMuted, ID: o.id, Kind: kind.String(), On: on})
	})
	<-o.ctx.Done()
	return context.Cause(o.ctx)
}

// describe takes new parameters of a track.
func (c *Client) describe(m *packet.MediaControl) error {
	o := c.find(m.ID)
	if o == nil || o.ctx.Err() != nil {
		if m.ID == 0 || m.ID > c.last {
			return errorf("a track of %d, which was never opened", m.ID)
		}
		return nil
	}
	if o.watch || len(m.Tracks) != 1 {
		o.end(refuse("bad_request", "%d tracks are told, expected one of what is published", len(m.Tracks)))
		return nil
	}
	if rate := c.s.cfg.DescribeRate; !o.tells.take(time.Now(), rate, 2*rate) {
		o.end(refuse("too_fast", "more than %d tracks a second are described anew", rate))
		return nil
	}
	if err := c.change(o, &m.Tracks[0]); err != nil {
		o.end(err)
	}
	return nil
}

func (c *Client) change(o *opened, t *packet.MediaTrack) error {
	params, lengths, err := readParams(t)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case o.publisher == nil:
		return errEarly
	case int(t.Track) >= len(o.tracks):
		return refuse("bad_request", "track %d, there are %d", t.Track, len(o.tracks))
	case params.Codec.Kind() != o.tracks[t.Track].spec.Kind:
		return refuse("bad_request", "track %d is %s, and %s is not", t.Track, o.tracks[t.Track].spec.Kind, params.Codec)
	}
	o.tracks[t.Track].params, o.tracks[t.Track].lengths = params, lengths
	o.publisher.Describe(o.tracks[t.Track].Track, params)
	return nil
}

// frame writes a frame that is whole into the room.
func (c *Client) frame(f *packet.MediaFrame) {
	o := c.find(f.Channel)
	if o == nil {
		return
	}
	if err := o.write(f); err != nil {
		o.end(err)
	}
}

func (o *opened) write(f *packet.MediaFrame) error {
	if o.watch {
		return refuse("bad_request", "a frame for a room that is watched")
	}
	o.c.mu.Lock()
	p, tracks := o.publisher, o.tracks
	if p == nil || int(f.Track) >= len(tracks) {
		o.c.mu.Unlock()
		if p == nil {
			return errEarly
		}
		return refuse("bad_request", "a frame of track %d, there are %d", f.Track, len(tracks))
	}
	t := tracks[f.Track]
	o.c.mu.Unlock()
	if rate := o.c.s.cfg.FrameRate; !o.frames.take(time.Now(), rate, 2*rate) {
		return refuse("too_fast", "more than %d frames a second", rate)
	}
	o.follow(p, &t, f)
	err := t.write(p, f)
	if errors.Is(err, media.ErrFrame) {
		if o.bad++; o.bad < maxBad {
			return nil
		}
		return refuse("bad_frame", "%v", err)
	}
	return err
}

// follow has the parameters that a key frame tells itself count, where the client has told none or others.
func (o *opened) follow(p *media.Publisher, t *track, f *packet.MediaFrame) {
	if !f.Key {
		return
	}
	params := media.KeyParams(t.params.Codec, t.params, f.Data)
	if params == t.params {
		return
	}
	t.params = params
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	o.tracks[f.Track].params = params
	p.Describe(t.Track, params)
}

func (t *track) write(p *media.Publisher, f *packet.MediaFrame) (err error) {
	data := f.Data
	switch t.params.Codec {
	case media.H264, media.H265:
		data, err = media.Lengthen(data, t.lengths)
	case media.AV1:
		data, err = media.TemporalUnit(data)
	}
	if err != nil {
		return fmt.Errorf("track %d: %w", f.Track, err)
	}
	dts := time.Duration(f.DTS) * time.Microsecond
	return p.Write(t.Track, media.Sample{DTS: dts, PTS: dts + time.Duration(f.Offset)*time.Microsecond, Key: f.Key, Data: data, Params: t.params})
}

// bucket lets through what comes at a rate a second, and so much at once.
type bucket struct {
	used float64
	at   time.Time
}

func (b *bucket) take(now time.Time, rate, most int) bool {
	if !b.at.IsZero() {
		b.used = max(0, b.used-now.Sub(b.at).Seconds()*float64(rate))
	}
	b.at = now
	if b.used+1 > float64(most) {
		return false
	}
	b.used++
	return true
}
