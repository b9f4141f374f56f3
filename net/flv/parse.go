package flv

import (
	"encoding/binary"
	"time"

	"github.com/skua-go/skua/net/media"
)

// Part is what a body has of one track.
type Part struct {
	Codec media.Codec
	// Track counts the tracks of one kind, 0 but in the enhanced form.
	Track uint8
	// Config: Data is the codec's record; else it is a frame.
	Config bool
	Key    bool
	// Composition is PTS less DTS.
	Composition time.Duration
	// Data is a piece of the body.
	Data []byte
}

// Parse takes a body of video or audio apart and gives its parts to each, none when it is only about the stream (its end, colours, commands). Unknown codecs and what is cut
// off are an ErrFormat.
func Parse(kind media.Kind, body []byte, each func(Part) error) error {
	if len(body) == 0 {
		return nil // some encoders send empty sound
	}
	switch {
	case kind == media.Video && body[0]&enhanced != 0:
		if body[0]>>4&7 == frameInfo {
			return nil
		}
		return parseEnhanced(Part{Key: body[0]>>4&7 == frameKey}, body[0]&0xf, body[1:], kind, each)
	case kind == media.Video:
		return parseVideo(body, each)
	case body[0]>>4 == soundEnhanced:
		return parseEnhanced(Part{Key: true}, body[0]&0xf, body[1:], kind, each)
	default:
		return parseAudio(body, each)
	}
}

func parseVideo(body []byte, each func(Part) error) error {
	p := Part{Codec: media.H264, Key: body[0]>>4 == frameKey}
	if body[0]>>4 == frameInfo {
		return nil
	}
	switch body[0] & 0xf {
	case codecAVC:
	case codecHEVC:
		p.Codec = media.H265
	default:
		return bad("video codec %d, expected H.264 (7) or the enhanced form", body[0]&0xf)
	}
	if len(body) < 5 {
		return bad("%s of %d bytes", p.Codec, len(body))
	}
	p.Data = body[5:]
	switch body[1] {
	case avcConfig:
		p.Config = true
	case avcNALU:
		p.Composition = composition(body[2:5])
	default:
		return nil // the end of the sequence
	}
	return give(p, each)
}

// composition is a signed number of 24 bits.
func composition(b []byte) time.Duration {
	return time.Duration(int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8)>>8) * time.Millisecond
}

func parseAudio(body []byte, each func(Part) error) error {
	p := Part{Codec: media.AAC, Key: true}
	switch body[0] >> 4 {
	case soundMP3, soundMP3Low:
		p.Codec, p.Data = media.MP3, body[1:]
	case soundAAC:
		if len(body) < 2 {
			return bad("aac of 1 byte")
		}
		p.Config, p.Data = body[1] == aacConfig, body[2:]
	default:
		return bad("audio format %d, expected AAC (10), MP3 (2) or the enhanced form", body[0]>>4)
	}
	return give(p, each)
}

// give passes on what has something in it.
func give(p Part, each func(Part) error) error {
	if len(p.Data) == 0 {
		return nil
	}
	return each(p)
}

// parseEnhanced takes apart what is behind the first byte; packet is what its lower half says.
func parseEnhanced(p Part, packet byte, b []byte, kind media.Kind, each func(Part) error) error {
	var err error
	for packet == packetModEx { // modifiers come first, each with its size; none changes what is kept
		if packet, b, err = skipModifier(b); err != nil {
			return err
		}
	}
	if kind == media.Video && packet == 4 || kind == media.Audio && packet == 4 {
		return nil // colours; the order of channels
	}
	many, codecs := false, false
	multi := packet == packetMulti && kind == media.Video || packet == 5 && kind == media.Audio
	if multi {
		if len(b) < 1 {
			return bad("the header of several tracks is cut off")
		}
		many, codecs = b[0]>>4 >= 1, b[0]>>4 == 2
		packet, b = b[0]&0xf, b[1:]
	}
	for first := true; first || many && len(b) > 0; first = false {
		if first || codecs {
			if len(b) < 4 {
				return bad("a codec's name is cut off")
			}
			codec, known := byFourCC(string(b[:4]))
			if !known || codec.Kind() != kind {
				return bad("%s codec %q", kind, b[:4])
			}
			p.Codec, b = codec, b[4:]
		}
		data := b
		if multi {
			if p.Track, data, b, err = split(b, many); err != nil {
				return err
			}
		}
		if err := framed(p, packet, data, each); err != nil {
			return err
		}
	}
	return nil
}

// split takes one of several tracks off b.
func split(b []byte, many bool) (track uint8, data, rest []byte, err error) {
	if len(b) < 1 {
		return 0, nil, nil, bad("a track's number is cut off")
	}
	track, b = b[0], b[1:]
	if !many {
		return track, b, nil, nil
	}
	if len(b) < 3 {
		return 0, nil, nil, bad("a track's size is cut off")
	}
	size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if b = b[3:]; size > len(b) {
		return 0, nil, nil, bad("a track of %d bytes, of which there are %d", size, len(b))
	}
	return track, b[:size], b[size:], nil
}

// skipModifier leaves out one and gives what the packet is and what is behind it.
func skipModifier(b []byte) (packet byte, rest []byte, err error) {
	if len(b) < 1 {
		return 0, nil, bad("a modifier is cut off")
	}
	size := int(b[0]) + 1
	b = b[1:]
	if size == 256 {
		if len(b) < 2 {
			return 0, nil, bad("a modifier's size is cut off")
		}
		size, b = int(binary.BigEndian.Uint16(b))+1, b[2:]
	}
	if len(b) < size+1 {
		return 0, nil, bad("a modifier of %d bytes, of which there are %d", size, len(b))
	}
	return b[size] & 0xf, b[size+1:], nil
}

// framed passes on what a packet of the enhanced form has for one track.
func framed(p Part, packet byte, data []byte, each func(Part) error) error {
	switch packet {
	case packetStart:
		p.Config, p.Data = true, data
	case packetFrames:
		if p.Codec == media.H264 || p.Codec == media.H265 {
			if len(data) < 3 {
				return bad("%s: the composition time is cut off", p.Codec)
			}
			p.Composition, data = composition(data), data[3:]
		}
		p.Data = data
	case packetFramesX:
		p.Data = data
	default:
		return nil // the end; what later versions may add
	}
	return give(p, each)
}
