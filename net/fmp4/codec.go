package fmp4

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	mp4 "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/skua-go/skua/net/media"
)

// videoRate is how many ticks a second have of all video: what MPEG and RTP count in.
const videoRate = 90000

// describe gives what the beginning of a file says of a track, the ticks of its time, and the parameter sets that it has no place for.
func describe(p *media.Params, first []byte) (codec mp4.Codec, rate int64, sets []byte, err error) {
	rate = videoRate
	switch p.Codec {
	case media.H264, media.H265:
		codec, sets, err = nal(p)
	case media.AV1:
		codec, err = obu(p, first)
	case media.VP9:
		var h vp9.Header
		if err = h.Unmarshal(first); err == nil && h.NonKeyFrame {
			err = errors.New("it does not begin with a key frame")
		}
		codec = &mp4.VP9{
			Width: h.Width(), Height: h.Height(), Profile: h.Profile, BitDepth: h.ColorConfig.BitDepth, ChromaSubsampling: h.ChromaSubsampling(), ColorRange: h.ColorConfig.ColorRange,
		}
	case media.AAC:
		var c mpeg4audio.AudioSpecificConfig
		err = c.Unmarshal(p.Config)
		codec, rate = &mp4.MPEG4Audio{Config: c}, int64(c.SampleRate)
	case media.Opus:
		codec, rate = &mp4.Opus{ChannelCount: max(p.Channels, 1)}, 48000
	case media.MP3:
		// Decoders look into the packets, which come later; what is said here must only be there.
		codec = &mp4.MPEG1Audio{SampleRate: cmp.Or(p.SampleRate, 44100), ChannelCount: cmp.Or(p.Channels, 2)}
	default:
		err = errors.New("no player takes it there")
	}
	if err == nil && rate <= 0 {
		err = errors.New("its sample rate is not known")
	}
	return codec, rate, sets, err
}

// nal has the first parameter set of each kind in the beginning, and all of them as well before key frames if there are several of one.
func nal(p *media.Params) (mp4.Codec, []byte, error) {
	all, _, err := media.ParameterSets(p.Codec, p.Config)
	if err != nil {
		return nil, nil, err
	}
	first := map[int][]byte{}
	var more []byte
	for _, set := range all {
		if len(set) == 0 {
			continue
		}
		kind := int(set[0] & 0x1f)
		if p.Codec == media.H265 {
			kind = int(set[0] >> 1 & 0x3f)
		}
		if first[kind] == nil {
			first[kind] = set
		} else if kind != int(h265.NALUType_PREFIX_SEI_NUT) {
			more = media.JoinNALUs(all...)
		}
	}
	if p.Codec == media.H264 {
		c := &mp4.H264{SPS: first[int(h264.NALUTypeSPS)], PPS: first[int(h264.NALUTypePPS)]}
		if c.SPS == nil || c.PPS == nil {
			return nil, nil, errors.New("its parameters have no SPS or no PPS")
		}
		return c, more, nil
	}
	c := &mp4.H265{VPS: first[int(h265.NALUType_VPS_NUT)], SPS: first[int(h265.NALUType_SPS_NUT)], PPS: first[int(h265.NALUType_PPS_NUT)]}
	if c.VPS == nil || c.SPS == nil || c.PPS == nil {
		return nil, nil, errors.New("its parameters have no VPS, no SPS or no PPS")
	}
	return c, more, nil
}

// obu finds the sequence header of AV1: behind the four bytes of the av1C record, or in the key frame.
func obu(p *media.Params, first []byte) (mp4.Codec, error) {
	for _, from := range [][]byte{p.Config[min(len(p.Config), 4):], first} {
		if units, err := media.OBUs(from); err == nil {
			if header := media.Sequence(units); header != nil {
				return &mp4.AV1{SequenceHeader: header}, nil
			}
		}
	}
	return nil, errors.New("there is no sequence header")
}

// Codecs names the tracks as RFC 6381 does, for playlists and players that ask before they read. A track whose name can't be told is left out.
func (m *Muxer) Codecs() []string {
	var names []string
	for _, t := range m.tracks {
		if name := codecName(t.params, t.codec); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Size is that of the picture in pixels, 0 if there is none or it is not known.
func (m *Muxer) Size() (width, height int) { return m.lead.params.Width, m.lead.params.Height }

func codecName(p *media.Params, codec mp4.Codec) string {
	switch c := codec.(type) {
	case *mp4.H264:
		return "avc1." + hex.EncodeToString(c.SPS[1:4]) // longer than that, else it would not have been parsed
	case *mp4.H265:
		return hevcName(p.Config)
	case *mp4.AV1:
		return av1Name(p.Config)
	case *mp4.VP9:
		return vp9Name(c, p.Config)
	case *mp4.MPEG4Audio:
		return fmt.Sprintf("mp4a.40.%d", c.Config.Type)
	case *mp4.Opus:
		return "opus"
	case *mp4.MPEG1Audio:
		return "mp4a.6B"
	default:
		return ""
	}
}

// vp9Name is that of "VP Codec ISO Media File Format Binding". The level is in the vpcC record only.
func vp9Name(c *mp4.VP9, config []byte) string {
	level := byte(10)
	if len(config) > 1 {
		level = config[1]
	}
	return fmt.Sprintf("vp09.%02d.%02d.%02d", c.Profile, level, c.BitDepth)
}

// hevcName is that of ISO/IEC 14496-15 annex E.3, from the hvcC record.
func hevcName(config []byte) string {
	if len(config) < 13 {
		return ""
	}
	space, tier := []string{"", "A", "B", "C"}[config[1]>>6], "L"
	if config[1]>>5&1 == 1 {
		tier = "H"
	}
	var flags uint32 // in the reverse order of their bits
	for i := range 32 {
		flags |= uint32(config[2+i/8]>>(7-i%8)&1) << i
	}
	name := fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, config[1]&0x1f, flags, tier, config[12])
	constraints := config[6:12]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	var b strings.Builder
	for _, c := range constraints {
		fmt.Fprintf(&b, ".%X", c)
	}
	return name + b.String()
}

// av1Name is that of "AV1 Codec ISO Media File Format Binding" section 5, from the av1C record.
func av1Name(config []byte) string {
	if len(config) < 3 {
		return ""
	}
	tier, depth := "M", 8
	if config[2]>>7 == 1 {
		tier = "H"
	}
	switch {
	case config[2]>>5&3 == 3:
		depth = 12
	case config[2]>>6&1 == 1:
		depth = 10
	}
	return fmt.Sprintf("av01.%d.%02d%s.%02d", config[1]>>5, config[1]&0x1f, tier, depth)
}
