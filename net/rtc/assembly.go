package rtc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
)

// assembly makes frames of the packets of one track, all packets of a frame at once.
type assembly struct {
	codec    media.Codec
	params   *media.Params // nil before the first key frame
	sps, pps []byte        // of H264
}

// newAssembly is for the codecs that streams get from WebRTC; ok is false for another.
func newAssembly(mime string) (a *assembly, ok bool) {
	for name, c := range map[string]media.Codec{
		pion.MimeTypeH264: media.H264, pion.MimeTypeVP8: media.VP8, pion.MimeTypeVP9: media.VP9, pion.MimeTypeOpus: media.Opus,
	} {
		if strings.EqualFold(mime, name) {
			return &assembly{codec: c}, true
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
		return a.h264(packets)
	case media.VP8:
		if data, err = joined(packets, new(codecs.VP8Packet)); err != nil || len(data) == 0 {
			return nil, false, err
		}
		key = data[0]&1 == 0
		if key && len(data) >= 10 { // RFC 6386 section 9.1
			a.sized(int(binary.LittleEndian.Uint16(data[6:])&0x3fff), int(binary.LittleEndian.Uint16(data[8:])&0x3fff))
		}
	case media.VP9:
		data, err = joined(packets, new(codecs.VP9Packet))
		if key = packets[0].key; key {
			a.sized(0, 0)
		}
	case media.Opus:
		data, key = packets[0].payload, true
		if a.params == nil {
			a.params, _, err = media.NewParams(media.Opus, media.OpusConfig(2))
		}
	default:
		err = fmt.Errorf("%w: of %s", errFrame, a.codec)
	}
	return data, key, err
}

// sized has other parameters when the size has changed.
func (a *assembly) sized(width, height int) {
	if a.params == nil || a.params.Width != width || a.params.Height != height {
		a.params = &media.Params{Codec: a.codec, Width: width, Height: height}
	}
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

// Types of NAL units of H264.
const (
	naluIDR    = 5
	naluSPS    = 7
	naluPPS    = 8
	naluAUD    = 9
	naluFiller = 12
)

// h264 puts the units of a picture together. Parameter sets go where streams have them.
func (a *assembly) h264(packets []*packet) (data []byte, key bool, err error) {
	all, err := joined(packets, &codecs.H264Packet{IsAVC: true})
	if err != nil {
		return nil, false, err
	}
	var units [][]byte
	sps, pps := a.sps, a.pps
	for u := range media.NALUs(all) {
		switch u[0] & 0x1f {
		case naluSPS:
			sps = u
		case naluPPS:
			pps = u
		case naluAUD, naluFiller:
		case naluIDR:
			key = true
			units = append(units, u)
		default:
			units = append(units, u)
		}
	}
	if !bytes.Equal(sps, a.sps) || !bytes.Equal(pps, a.pps) {
		config, err := media.AVCConfig(sps, pps)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errFrame, err)
		}
		params, _, err := media.NewParams(media.H264, config)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errFrame, err)
		}
		a.params, a.sps, a.pps = params, bytes.Clone(sps), bytes.Clone(pps)
	}
	if len(units) == 0 {
		return nil, false, nil
	}
	return media.JoinNALUs(units...), key, nil
}
