package rtsp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpfragmented"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg1audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp9"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
)

// unpacker makes of a packet what a frame consists of: NAL units, OBUs, or frames of sound. It is empty while more has to come.
type unpacker func(p *rtp.Packet) ([][]byte, error)

// unfinished tells whether an error is what the library says while a frame is not complete, or when it has come into the middle of one.
func unfinished(err error) bool {
	for _, e := range []error{
		rtph264.ErrMorePacketsNeeded, rtph264.ErrNonStartingPacketAndNoPrevious,
		rtph265.ErrMorePacketsNeeded, rtph265.ErrNonStartingPacketAndNoPrevious,
		rtpav1.ErrMorePacketsNeeded, rtpav1.ErrNonStartingPacketAndNoPrevious,
		rtpvp8.ErrMorePacketsNeeded, rtpvp8.ErrNonStartingPacketAndNoPrevious,
		rtpvp9.ErrMorePacketsNeeded, rtpvp9.ErrNonStartingPacketAndNoPrevious,
		rtpmpeg4audio.ErrMorePacketsNeeded, rtpfragmented.ErrMorePacketsNeeded,
		rtpmpeg1audio.ErrMorePacketsNeeded, rtpmpeg1audio.ErrNonStartingPacketAndNoPrevious,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// codecOf is how we call what a format carries; ok is false where rooms have no such codec.
func codecOf(f format.Format) (c media.Codec, ok bool) {
	switch f := f.(type) {
	case *format.H264:
		return media.H264, true
	case *format.H265:
		return media.H265, true
	case *format.AV1:
		return media.AV1, true
	case *format.VP8:
		return media.VP8, true
	case *format.VP9:
		return media.VP9, true
	case *format.MPEG4Audio:
		return media.AAC, true
	case *format.MPEG4AudioLATM: // as GStreamer sends it
		return media.AAC, !f.CPresent && len(f.StreamMuxConfig.Programs) == 1 && len(f.StreamMuxConfig.Programs[0].Layers) == 1
	case *format.Opus:
		return media.Opus, true
	case *format.MPEG1Audio:
		return media.MP3, true
	default:
		return 0, false
	}
}

// newUnpacker makes one that has seen nothing.
func newUnpacker(f format.Format) (unpacker, error) {
	switch f := f.(type) {
	case *format.H264:
		return unpackWith(f.CreateDecoder())
	case *format.H265:
		return unpackWith(f.CreateDecoder())
	case *format.AV1:
		return unpackWith(f.CreateDecoder())
	case *format.VP8:
		return oneOf(f.CreateDecoder())
	case *format.VP9:
		return oneOf(f.CreateDecoder())
	case *format.MPEG4Audio:
		if f.SizeLength > 16 || f.IndexLength > 16 || f.IndexDeltaLength > 16 {
			return nil, fmt.Errorf("%w: aac: headers of %d, %d and %d bits, expected up to 16 each", ErrProtocol, f.SizeLength, f.IndexLength, f.IndexDeltaLength)
		}
		return unpackWith(f.CreateDecoder())
	case *format.MPEG4AudioLATM:
		return latm(f)
	case *format.Opus:
		return func(p *rtp.Packet) ([][]byte, error) { return [][]byte{p.Payload}, nil }, nil
	case *format.MPEG1Audio:
		return unpackWith(f.CreateDecoder())
	default:
		return nil, errCodec
	}
}

// latm takes AAC out of its multiplex (RFC 6416 section 6, ISO/IEC 14496-3 section 1.7.3): before each access unit is its length, in as many bytes of 255 as it takes and one
// below. What the description says of lengths is not asked: GStreamer's has an AudioSpecificConfig with an extension in it, behind which readers lose their place.
func latm(f *format.MPEG4AudioLATM) (unpacker, error) {
	whole, err := oneOf(f.CreateDecoder())
	if err != nil {
		return nil, err
	}
	return func(p *rtp.Packet) ([][]byte, error) {
		elements, err := whole(p)
		if err != nil {
			return nil, err
		}
		var units [][]byte
		for b := elements[0]; len(b) > 0; {
			size, at := 0, 0
			for ; at < len(b) && b[at] == 255; at++ {
				size += 255
			}
			if at == len(b) || size+int(b[at]) > len(b)-at-1 {
				return nil, fmt.Errorf("an access unit in LATM of more than the %d bytes that there are", len(b))
			}
			size += int(b[at])
			if b = b[at+1:]; size > 0 {
				units = append(units, b[:size])
			}
			b = b[size:]
		}
		return units, nil
	}, nil
}

func unpackWith(d interface {
	Decode(p *rtp.Packet) ([][]byte, error)
}, err error,
) (unpacker, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return d.Decode, nil
}

func oneOf(d interface {
	Decode(p *rtp.Packet) ([]byte, error)
}, err error,
) (unpacker, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return func(p *rtp.Packet) ([][]byte, error) {
		frame, err := d.Decode(p)
		return [][]byte{frame}, err
	}, nil
}
