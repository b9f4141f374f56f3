package rtsp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"

	"github.com/skua-go/skua/net/media"
)

// errFrame is that packets make no frame.
var errFrame = errors.New("rtsp: packets that make no frame")

// frame writes what has come as one.
func (t *inTrack) frame(units [][]byte, when moment) error {
	at := when.shown()
	switch t.codec {
	case media.H264, media.H265:
		return t.nal(units, when)
	case media.AV1:
		return t.obus(units, at)
	case media.VP8:
		return t.coded(units[0], units[0][0]&1 == 0, at)
	case media.VP9:
		var h vp9.Header
		key := h.Unmarshal(units[0]) == nil && !h.ShowExistingFrame && !h.NonKeyFrame
		return t.coded(units[0], key, at)
	case media.MP3:
		return t.mp3(units, at)
	default:
		for i, u := range units {
			if err := t.write(u, true, at, at+media.FromTicks(int64(i)*t.step, t.rate)); err != nil {
				return err
			}
		}
		return nil
	}
}

// write gives the stream a sample. What has nothing in it, or can't be decoded yet, is left out.
func (t *inTrack) write(data []byte, key bool, dts, pts time.Duration) error {
	if len(data) == 0 || t.params == nil {
		return nil
	}
	if t.codec.Kind() == media.Audio {
		dts = pts
	}
	t.in.bad = 0
	return t.in.to.Write(t.track, media.Sample{DTS: dts, PTS: pts, Key: key, Data: data, Params: t.params})
}

// picture is write, but for what a loss has spoiled.
func (t *inTrack) picture(data []byte, key bool, dts, pts time.Duration) error {
	if t.lost && !key {
		return nil
	}
	t.lost = false
	return t.write(data, key, dts, pts)
}

// tell has other parameters from here on.
func (t *inTrack) tell(p *media.Params) {
	t.params = p
	t.in.to.Describe(t.track, p)
	t.in.known()
}

// coded is picture, of codecs whose key frames tell their parameters, and that are shown as they are decoded.
func (t *inTrack) coded(frame []byte, key bool, at time.Duration) error {
	if key {
		switch p := media.KeyParams(t.codec, t.params, frame); p {
		case nil:
			return fmt.Errorf("%w: a key frame that tells no parameters", errFrame)
		case t.params:
		default:
			t.tell(p)
		}
	}
	return t.picture(frame, key, at, at)
}

func (t *inTrack) mp3(frames [][]byte, at time.Duration) error {
	for _, f := range frames {
		var h mpeg1audio.FrameHeader
		if err := h.Unmarshal(f); err != nil || h.SampleRate <= 0 {
			return fmt.Errorf("%w: the header of MP3: %w", errFrame, err)
		}
		if t.params.SampleRate != h.SampleRate {
			channels := 2
			if h.ChannelMode == mpeg1audio.ChannelModeMono {
				channels = 1
			}
			t.tell(&media.Params{Codec: media.MP3, SampleRate: h.SampleRate, Channels: channels})
		}
		if err := t.write(f, true, at, at); err != nil {
			return err
		}
		at += media.FromTicks(int64(h.SampleCount()), int64(h.SampleRate))
	}
	return nil
}

// obus puts the units of AV1 together, with sizes and without what begins them.
func (t *inTrack) obus(units [][]byte, at time.Duration) error {
	data, err := media.JoinOBUs(units...)
	if err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return t.coded(data, media.Sequence(units) != nil, at)
}

// nal puts the units of a picture together. Parameter sets go where streams have them.
func (t *inTrack) nal(units [][]byte, when moment) error {
	kept, key, changed := t.sets.Take(units)
	if changed {
		if p, err := t.sets.Params(); err == nil { // else one of them is still to come
			t.tell(p)
		}
	}
	if len(kept) == 0 || t.params == nil || t.lost && !key {
		return nil
	}
	dts, err := t.decoding.at(&t.sets, kept, key, when.own)
	if err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return t.picture(media.JoinNALUs(kept...), key, dts+when.offset, when.shown())
}

// decodeOrder works out when pictures are decoded, of which RTP tells only when they are shown.
type decodeOrder struct {
	extract func(units [][]byte, pts int64) (int64, error) // nil: anew with the next key frame
	last    time.Duration
}

// jumped is how far apart two pictures are in different times.
const jumped = 5 * time.Second

func (d *decodeOrder) at(sets *media.Sets, units [][]byte, key bool, pts time.Duration) (time.Duration, error) {
	if d.extract == nil || key && (pts-d.last).Abs() > jumped {
		if sets.Codec == media.H264 {
			e := new(h264.DTSExtractor)
			e.Initialize()
			d.extract = e.Extract
		} else {
			d.extract = new(h265.DTSExtractor).Extract
		}
	}
	d.last = pts
	if key {
		units = slices.Concat(sets.All(), units)
	}
	dts, err := d.extract(units, media.Ticks(pts, videoRate))
	if err != nil {
		d.extract = nil
		return 0, err
	}
	return min(media.FromTicks(dts, videoRate), pts), nil
}
