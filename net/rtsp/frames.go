package rtsp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
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
		b := units[0]
		key := b[0]&1 == 0
		if key && len(b) >= 10 { // RFC 6386 section 9.1
			t.sized(int(binary.LittleEndian.Uint16(b[6:])&0x3fff), int(binary.LittleEndian.Uint16(b[8:])&0x3fff))
		}
		return t.picture(b, key, at, at)
	case media.VP9:
		var h vp9.Header
		key := h.Unmarshal(units[0]) == nil && !h.ShowExistingFrame && !h.NonKeyFrame
		if key {
			t.sized(h.Width(), h.Height())
		}
		return t.picture(units[0], key, at, at)
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

// sized has other parameters when the size has changed.
func (t *inTrack) sized(width, height int) {
	if t.params == nil || t.params.Width != width || t.params.Height != height {
		t.tell(&media.Params{Codec: t.codec, Width: width, Height: height})
	}
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
	var kept av1.Bitstream
	key := false
	for _, u := range units {
		if len(u) == 0 {
			continue
		}
		switch av1.OBUType(u[0] >> 3 & 0xf) {
		case av1.OBUTypeTemporalDelimiter:
			continue
		case av1.OBUTypeSequenceHeader:
			key = true
			if bytes.Equal(u, t.sets.sps) {
				break
			}
			p, err := media.AV1Params(u)
			if err != nil {
				return fmt.Errorf("%w: %w", errFrame, err)
			}
			t.sets.sps = bytes.Clone(u)
			t.tell(p)
		}
		kept = append(kept, u)
	}
	if len(kept) == 0 {
		return nil
	}
	data, err := kept.Marshal()
	if err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return t.picture(data, key, at, at)
}

// parameterSets are the newest of H264 or H265; the first is the sequence header of AV1.
type parameterSets struct{ vps, sps, pps []byte }

// params are nil while a set is missing, or is none.
func (s parameterSets) params(c media.Codec) *media.Params {
	var config []byte
	var err error
	if c == media.H264 {
		config, err = media.AVCConfig(s.sps, s.pps)
	} else {
		config, err = media.HEVCConfig(s.vps, s.sps, s.pps)
	}
	if err != nil {
		return nil
	}
	p, _, err := media.NewParams(c, config)
	if err != nil {
		return nil
	}
	return p
}

// place is where a parameter set is kept; nil for another unit. key tells that decoding may begin with the picture, and leave that the stream does without the unit.
func (s *parameterSets) place(c media.Codec, unit []byte) (set *[]byte, key, leave bool) {
	if c == media.H264 {
		switch h264.NALUType(unit[0] & 0x1f) {
		case h264.NALUTypeSPS:
			set = &s.sps
		case h264.NALUTypePPS:
			set = &s.pps
		case h264.NALUTypeIDR:
			key = true
		case h264.NALUTypeAccessUnitDelimiter, h264.NALUTypeFillerData:
			leave = true
		}
		return set, key, leave
	}
	switch h265.NALUType(unit[0] >> 1 & 0x3f) {
	case h265.NALUType_VPS_NUT:
		set = &s.vps
	case h265.NALUType_SPS_NUT:
		set = &s.sps
	case h265.NALUType_PPS_NUT:
		set = &s.pps
	case h265.NALUType_IDR_W_RADL, h265.NALUType_IDR_N_LP, h265.NALUType_CRA_NUT, h265.NALUType_BLA_W_LP, h265.NALUType_BLA_W_RADL, h265.NALUType_BLA_N_LP:
		key = true
	case h265.NALUType_AUD_NUT, h265.NALUType_FD_NUT:
		leave = true
	}
	return set, key, leave
}

// nal puts the units of a picture together. Parameter sets go where streams have them.
func (t *inTrack) nal(units [][]byte, when moment) error {
	var kept [][]byte
	key, changed := false, false
	for _, u := range units {
		if len(u) < 2 {
			continue
		}
		set, begins, leave := t.sets.place(t.codec, u)
		key = key || begins
		switch {
		case set != nil && !bytes.Equal(*set, u):
			*set, changed = bytes.Clone(u), true
		case set == nil && !leave:
			kept = append(kept, u)
		}
	}
	if changed {
		if p := t.sets.params(t.codec); p != nil {
			t.tell(p)
		}
	}
	if len(kept) == 0 || t.params == nil || t.lost && !key {
		return nil
	}
	dts, err := t.decoding.at(t.codec, t.sets, kept, key, when.own)
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

func (d *decodeOrder) at(c media.Codec, sets parameterSets, units [][]byte, key bool, pts time.Duration) (time.Duration, error) {
	if d.extract == nil || key && (pts-d.last).Abs() > jumped {
		if c == media.H264 {
			e := new(h264.DTSExtractor)
			e.Initialize()
			d.extract = e.Extract
		} else {
			d.extract = new(h265.DTSExtractor).Extract
		}
	}
	d.last = pts
	if key {
		before := [][]byte{sets.sps, sets.pps}
		if c == media.H265 {
			before = [][]byte{sets.vps, sets.sps, sets.pps}
		}
		units = slices.Concat(before, units)
	}
	dts, err := d.extract(units, media.Ticks(pts, videoRate))
	if err != nil {
		d.extract = nil
		return 0, err
	}
	return min(media.FromTicks(dts, videoRate), pts), nil
}
