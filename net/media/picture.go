package media

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
)

// av1Head is how many bytes an av1C record has before its OBUs.
const av1Head = 4

// av1 checks an av1C record ("AV1 Codec ISO Media File Format Binding" section 2.3), if there is one.
func (p *Params) av1() error {
	if len(p.Config) == 0 {
		return nil
	}
	if len(p.Config) < av1Head || p.Config[0] != 0x81 {
		return fmt.Errorf("media: av1: av1C of %d bytes that begins with % x, expected 4 or more and 81", len(p.Config), p.Config[:min(len(p.Config), 1)])
	}
	units, err := OBUs(p.Config[av1Head:])
	if err != nil {
		return fmt.Errorf("media: av1: the OBUs of av1C: %w", err)
	}
	sequence := Sequence(units)
	if sequence == nil {
		return nil // it may come with the pictures only
	}
	var about av1.SequenceHeader
	if err := about.Unmarshal(sequence); err != nil {
		return fmt.Errorf("media: av1: the sequence header in av1C: %w", err)
	}
	if told := p.Config[1] >> 5; told != about.SeqProfile {
		return fmt.Errorf("media: av1: av1C tells profile %d, and its sequence header %d", told, about.SeqProfile)
	}
	p.Width, p.Height = about.Width(), about.Height()
	return nil
}

// A vpcC record ("VP Codec ISO Media File Format Binding"), and what stands before it where somebody sends the whole box.
const (
	vpcSize = 8
	vpcBox  = "\x01\x00\x00\x00"
)

// vpc checks a vpcC record, if there is one.
func (p *Params) vpc() error {
	c := p.Config
	if len(c) == len(vpcBox)+vpcSize && string(c[:len(vpcBox)]) == vpcBox {
		c = c[len(vpcBox):]
	}
	if len(c) == 0 {
		return nil
	}
	if len(c) != vpcSize || binary.BigEndian.Uint16(c[6:]) != 0 {
		return fmt.Errorf("media: %s: vpcC of %d bytes, expected %d that end with 0 bytes of initialization", p.Codec, len(p.Config), vpcSize)
	}
	profile, depth, chroma := c[0], c[2]>>4, c[2]>>1&7
	switch {
	case profile > 3:
		return fmt.Errorf("media: %s: vpcC tells profile %d, expected 0 to 3", p.Codec, profile)
	case profile < 2 && depth != 8 || profile >= 2 && depth != 10 && depth != 12:
		return fmt.Errorf("media: %s: vpcC tells profile %d with %d bits, expected 8 of profiles 0 and 1, and 10 or 12 of 2 and 3", p.Codec, profile, depth)
	case chroma > 3:
		return fmt.Errorf("media: %s: vpcC tells subsampling %d, expected 0 to 3", p.Codec, chroma)
	}
	p.Config = c
	return nil
}

// KeyParams are those of a key frame of AV1, VP8 or VP9, which tells them itself: p, the ones until now, if they are the same, else others. They are p as well of all other codecs, and where the frame does not
// tell; nil: none are known yet.
func KeyParams(c Codec, p *Params, key []byte) *Params {
	switch c {
	case AV1:
		return sequenceParams(p, key)
	case VP8: // RFC 6386 section 9.1
		if len(key) < 10 || key[0]&1 != 0 || string(key[3:6]) != "\x9d\x01\x2a" {
			return p
		}
		return p.sized(c, nil, int(binary.LittleEndian.Uint16(key[6:])&0x3fff), int(binary.LittleEndian.Uint16(key[8:])&0x3fff))
	case VP9:
		var h vp9.Header
		if h.Unmarshal(key) != nil || h.ShowExistingFrame || h.NonKeyFrame || h.Profile > 3 {
			return p
		}
		return p.sized(c, vp9Record(&h), h.Width(), h.Height())
	default:
		return p
	}
}

func sequenceParams(p *Params, key []byte) *Params {
	units, err := OBUs(key)
	header := Sequence(units)
	if err != nil || header == nil || p != nil && p.Codec == AV1 && p.sameSequence(header) {
		return p
	}
	others, err := AV1Params(header)
	if err != nil {
		return p
	}
	return others
}

// sized are parameters of this size. A record that somebody has told stays while it is of the same profile and depth: it may know more of the colours.
func (p *Params) sized(c Codec, config []byte, width, height int) *Params {
	if p != nil && p.Codec == c {
		if len(p.Config) > 2 && (len(config) < 3 || p.Config[0] == config[0] && p.Config[2]>>4 == config[2]>>4) {
			config = p.Config
		}
		if p.Width == width && p.Height == height && bytes.Equal(p.Config, config) {
			return p
		}
	}
	return &Params{Codec: c, Config: config, Width: width, Height: height}
}

// vp9Record is the vpcC record of what a key frame tells. It does not tell colours more exactly, nor how many pictures a second there are: the level is that of 60, or of less where a level has no 60.
func vp9Record(h *vp9.Header) []byte {
	const unspecified = 2
	level, size := byte(62), h.Width()*h.Height()
	for _, of := range []struct {
		size  int
		level byte
	}{{36864, 11}, {73728, 20}, {122880, 21}, {245760, 30}, {552960, 31}, {983040, 40}, {2228224, 41}, {8912896, 51}} {
		if size <= of.size {
			level = of.level
			break
		}
	}
	last := h.ColorConfig.BitDepth<<4 | h.ChromaSubsampling()<<1
	if h.ColorConfig.ColorRange {
		last |= 1
	}
	return []byte{h.Profile, level, last, unspecified, unspecified, unspecified, 0, 0}
}
