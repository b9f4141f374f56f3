package rtc

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/skua-go/skua/net/media"
)

// assembly makes frames of the packets of one track, all packets of a frame at once.
type assembly struct {
	codec  media.Codec
	params *media.Params // nil before the first key frame
	sets   media.Sets    // of H264 and H265
}

// newAssembly is for the codecs that streams get from WebRTC; ok is false for another.
func newAssembly(mime string) (a *assembly, ok bool) {
	for name, c := range map[string]media.Codec{
		mimeH264: media.H264, mimeH265: media.H265, mimeAV1: media.AV1, mimeVP8: media.VP8, mimeVP9: media.VP9, mimeOpus: media.Opus,
	} {
		if strings.EqualFold(mime, name) {
			return &assembly{codec: c, sets: media.Sets{Codec: c}}, true
		}
	}
	return nil, false
}

// errFrame is that packets do not make a frame.
var errFrame = errors.New("rtc: packets that make no frame")

// frame gives a frame's data in the stream's form. It is empty where there is nothing to show.
func (a *assembly) frame(packets []*packet) (data []byte, key bool, err error) {
	switch a.codec {
	case media.H264:
		data, err = joined(packets, &codecs.H264Packet{IsAVC: true})
		return a.nal(slices.Collect(media.NALUs(data)), err)
	case media.H265:
		data, err = joined(packets, new(codecs.H265Depacketizer))
		return a.nal(bytes.Split(data, []byte(startCode)), err)
	case media.AV1:
		data, err = joined(packets, new(codecs.AV1Depacketizer))
		key = packets[0].key
	case media.VP8:
		if data, err = joined(packets, new(codecs.VP8Packet)); len(data) > 0 {
			key = data[0]&1 == 0
		}
	case media.VP9:
		data, err = joined(packets, new(codecs.VP9Packet))
		key = packets[0].key
	case media.Opus:
		data, key = packets[0].payload, true
		if a.params == nil {
			a.params, _, err = media.NewParams(media.Opus, media.OpusConfig(2))
		}
	default:
		err = fmt.Errorf("%w: of %s", errFrame, a.codec)
	}
	if err != nil {
		return nil, false, err
	}
	if key {
		a.params = media.KeyParams(a.codec, a.params, data)
	}
	return data, key, nil
}

// joined is what is left of packets without their descriptors.
func joined(packets []*packet, d rtp.Depacketizer) ([]byte, error) {
	var data []byte
	for _, p := range packets {
		part, err := d.Unmarshal(p.payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errFrame, err)
		}
		data = append(data, part...)
	}
	return data, nil
}

// startCode is what the library puts before each NAL unit of H.265. There is none within a unit.
const startCode = "\x00\x00\x00\x01"

// nal puts the units of a picture together. Parameter sets go where streams have them.
func (a *assembly) nal(units [][]byte, err error) (data []byte, key bool, _ error) {
	if err != nil {
		return nil, false, err
	}
	kept, key, changed := a.sets.Take(units)
	if changed {
		if a.params, err = a.sets.Params(); err != nil {
			return nil, false, fmt.Errorf("%w: %w", errFrame, err)
		}
	}
	if len(kept) == 0 {
		return nil, false, nil
	}
	return media.JoinNALUs(kept...), key, nil
}
