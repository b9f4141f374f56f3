package flv

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
)

// Ingest makes a publisher's samples of bodies, as they come in tags or messages. It is one goroutine's.
type Ingest struct {
	// To is where they go.
	To *media.Publisher

	clock    media.Unwrap // one for all tracks, which are interleaved
	tracks   map[source]*incoming
	expected map[media.Kind]bool // by the metadata
	complete bool
}

// source tells a publisher's tracks apart.
type source struct {
	kind  media.Kind
	track uint8
}

type incoming struct {
	track   *media.Track
	params  *media.Params
	record  []byte // as it was told last
	lengths int
}

// spec: several tracks of video are qualities of one picture, as OBS sends them, several of audio are different sound.
func (s source) spec() media.TrackSpec {
	if s.kind == media.Video {
		return media.TrackSpec{Kind: s.kind, Layer: s.track}
	}
	return media.TrackSpec{Kind: s.kind, Group: s.track}
}

// Feed takes the body of a tag, which it owns from then on: frames are pieces of it. An ErrFormat concerns that body only; others are why the publisher has ended.
func (in *Ingest) Feed(kind byte, ms uint32, body []byte) error {
	if in.tracks == nil {
		in.clock.Rate, in.tracks = 1000, map[source]*incoming{}
	}
	switch kind {
	case TypeAudio, TypeVideo:
		k := media.Video
		if kind == TypeAudio {
			k = media.Audio
		}
		at := in.clock.At(ms)
		return Parse(k, body, func(p Part) error { return in.part(k, at, p) })
	case TypeScript:
		return in.script(body)
	default:
		return nil
	}
}

func (in *Ingest) part(kind media.Kind, at time.Duration, p Part) error {
	id := source{kind, p.Track}
	t := in.tracks[id]
	if t == nil {
		track, err := in.To.Track(id.spec())
		if errors.Is(err, media.ErrFull) {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if err != nil {
			return err
		}
		t = &incoming{track: track, lengths: 4}
		in.tracks[id] = t
	}
	if p.Config {
		return in.config(t, p)
	}
	if err := in.follow(t, p); err != nil {
		return err
	}
	data, err := t.data(p)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	err = in.To.Write(t.track, media.Sample{DTS: at, PTS: at + p.Composition, Key: p.Key, Data: data, Params: t.params})
	if errors.Is(err, media.ErrFrame) {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return err
}

// data is a frame in the stream's form.
func (t *incoming) data(p Part) ([]byte, error) {
	switch p.Codec {
	case media.H264, media.H265:
		return media.Lengthen(p.Data, t.lengths)
	case media.AV1:
		return media.TemporalUnit(p.Data)
	default:
		return p.Data, nil
	}
}

// follow has a frame's own parameters count where its codec needs no record, or tells more than that.
func (in *Ingest) follow(t *incoming, p Part) error {
	params := t.params
	if params == nil || params.Codec != p.Codec {
		if !implicit(p.Codec) {
			return bad("%s frame without parameters before it", p.Codec)
		}
		var err error
		if params, _, err = media.NewParams(p.Codec, nil); err != nil {
			return err
		}
		t.record = nil
	}
	if p.Key {
		params = media.KeyParams(p.Codec, params, p.Data)
	}
	in.tell(t, params)
	return nil
}

func (in *Ingest) tell(t *incoming, params *media.Params) {
	if t.params == params {
		return
	}
	t.params = params
	in.To.Describe(t.track, params)
	in.known()
}

// implicit tells whether a codec's frames can be decoded without a record.
func implicit(c media.Codec) bool {
	switch c {
	case media.MP3, media.Opus, media.VP8, media.VP9, media.AV1:
		return true
	default:
		return false
	}
}

func (in *Ingest) config(t *incoming, p Part) error {
	if t.params != nil && t.params.Codec == p.Codec && bytes.Equal(t.record, p.Data) {
		return nil // told again, as some encoders do before each key frame
	}
	params, lengths, err := media.NewParams(p.Codec, p.Data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	t.record, t.lengths = p.Data, lengths
	in.tell(t, params)
	return nil
}

// known tells the stream when all tracks have begun that the metadata spoke of.
func (in *Ingest) known() {
	if in.complete || len(in.expected) == 0 {
		return
	}
	for id, t := range in.tracks {
		if t.params != nil {
			delete(in.expected, id.kind)
		}
	}
	if len(in.expected) == 0 {
		in.complete = true
		in.To.Complete()
	}
}

// script reads which kinds of tracks there will be.
func (in *Ingest) script(body []byte) error {
	values, err := amf.Decode(body)
	if err != nil {
		return fmt.Errorf("%w: script: %w", ErrFormat, err)
	}
	for i, v := range values {
		if v != "onMetaData" || i+1 >= len(values) || in.complete {
			continue
		}
		about, _ := values[i+1].(amf.Object)
		in.expected = map[media.Kind]bool{}
		for key, kind := range map[string]media.Kind{"videocodecid": media.Video, "audiocodecid": media.Audio} {
			if id := about.Get(key); id != nil && id != 0.0 {
				in.expected[kind] = true
			}
		}
		in.known()
	}
	return nil
}
