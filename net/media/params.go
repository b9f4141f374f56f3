package media

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// maxConfig bounds a codec's record. Real ones have tens to hundreds of bytes.
const maxConfig = 16 << 10

// NewParams checks a codec's record and reads from it what is shown of a track. lengths is the bytes of the lengths in the frames of H264 and H265 that go with it: those of
// other than 4 go through Lengthen, and the record that Params has says 4.
func NewParams(codec Codec, config []byte) (p *Params, lengths int, err error) {
	if len(config) > maxConfig {
		return nil, 0, fmt.Errorf("media: %s: parameters of %d bytes, expected up to %d", codec, len(config), maxConfig)
	}
	p = &Params{Codec: codec, Config: config}
	switch codec {
	case H264, H265:
		lengths, err = p.nal()
	case AAC:
		err = p.aac()
	case Opus:
		err = p.opus()
	case AV1:
		err = p.av1()
	case VP8, VP9:
		err = p.vpc()
	case MP3:
	default:
		err = fmt.Errorf("media: codec %d is not known", codec)
	}
	if err != nil {
		return nil, 0, err
	}
	return p, lengths, nil
}

func (p *Params) nal() (lengths int, err error) {
	sets, lengths, err := ParameterSets(p.Codec, p.Config)
	if err != nil {
		return 0, err
	}
	at := 4
	if p.Codec == H265 {
		at = 21
	}
	if lengths != lengthSize {
		p.Config = append([]byte(nil), p.Config...)
		p.Config[at] |= lengthSize - 1
	}
	for _, set := range sets {
		if len(set) == 0 {
			continue
		}
		switch {
		case p.Codec == H264 && h264.NALUType(set[0]&0x1f) == h264.NALUTypeSPS:
			var sps h264.SPS
			if err := sps.Unmarshal(set); err != nil {
				return 0, fmt.Errorf("media: h264: SPS: %w", err)
			}
			p.Width, p.Height = sps.Width(), sps.Height()
		case p.Codec == H265 && h265.NALUType(set[0]>>1&0x3f) == h265.NALUType_SPS_NUT:
			var sps h265.SPS
			if err := sps.Unmarshal(set); err != nil {
				return 0, fmt.Errorf("media: h265: SPS: %w", err)
			}
			p.Width, p.Height = sps.Width(), sps.Height()
		}
	}
	return lengths, nil
}

func (p *Params) aac() error {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(p.Config); err != nil {
		return fmt.Errorf("media: aac: AudioSpecificConfig: %w", err)
	}
	p.SampleRate, p.Channels = c.SampleRate, int(c.ChannelConfig)
	return nil
}

// opusHead is how long an OpusHead is without a mapping.
const opusHead = 19

// opus reads an OpusHead (RFC 7845 section 5.1), if there is one.
func (p *Params) opus() error {
	p.SampleRate, p.Channels = 48000, 2
	if len(p.Config) == 0 {
		return nil
	}
	if len(p.Config) < opusHead || string(p.Config[:8]) != "OpusHead" {
		return fmt.Errorf("media: opus: %d bytes that are no OpusHead", len(p.Config))
	}
	version, channels, family := p.Config[8], int(p.Config[9]), p.Config[18]
	switch {
	case version>>4 != 0:
		return fmt.Errorf("media: opus: OpusHead of version %d, expected less than 16", version)
	case channels == 0, family == 0 && channels > 2:
		return fmt.Errorf("media: opus: OpusHead tells %d channels, expected 1 or 2, or more with a mapping", channels)
	case family != 0 && len(p.Config) < opusHead+2+channels:
		return fmt.Errorf("media: opus: the mapping of %d channels in OpusHead is cut off: %d bytes, expected %d", channels, len(p.Config), opusHead+2+channels)
	}
	p.Channels = channels
	return nil
}

// OpusConfig is an OpusHead for what WebRTC and RTSP carry, which tell channels only.
func OpusConfig(channels int) []byte {
	b := append([]byte("OpusHead\x01"), byte(channels))
	b = binary.LittleEndian.AppendUint16(b, 0)     // nothing to leave out at the beginning
	b = binary.LittleEndian.AppendUint32(b, 48000) // what was recorded
	return append(b, 0, 0, 0)                      // no gain, channels as usual
}
