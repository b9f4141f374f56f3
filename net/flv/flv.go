// Package flv writes and reads Flash Video: the tags that HTTP-FLV and WebSocket-FLV viewers get, whose bodies are also RTMP's messages.
//
// H.264, AAC and MP3 are in the form of Adobe's "Video File Format Specification" version 10.1, annex E; H.265, AV1, VP8, VP9 and Opus in that of Enhanced RTMP
// version 2 (Veovera), which is read for the others, too.
package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
)

// ErrFormat tells that bytes are not what a tag has. It comes wrapped with what and where.
var ErrFormat = errors.New("flv: bad tag")

// The types of tags and of RTMP's messages.
const (
	TypeAudio  = 8
	TypeVideo  = 9
	TypeScript = 18
)

const (
	tagHeader = 11
	tagSize   = 4 // behind each tag
)

// The first byte of a video body: one of two frame types, and in the enhanced form what the packet is.
const (
	frameKey      = 1
	frameInter    = 2
	frameInfo     = 5 // a command to the player, no picture
	enhanced      = 0x80
	codecAVC      = 7
	codecHEVC     = 12 // from before Enhanced RTMP, as some encoders still send it
	avcConfig     = 0
	avcNALU       = 1
	packetStart   = 0 // the parameters
	packetFrames  = 1 // with a composition time for H.264 and H.265
	packetEnd     = 2
	packetFramesX = 3 // without it: 0
	packetMulti   = 6
	packetModEx   = 7
)

// The first byte of an audio body: the format in its upper half.
const (
	soundMP3      = 2
	soundEnhanced = 9
	soundAAC      = 10
	soundMP3Low   = 14 // 8 kHz
	aacConfig     = 0
	aacRaw        = 1
)

// fourCC names codecs in the enhanced form.
func fourCC(c media.Codec) string {
	switch c {
	case media.H264:
		return "avc1"
	case media.H265:
		return "hvc1"
	case media.AV1:
		return "av01"
	case media.VP8:
		return "vp08"
	case media.VP9:
		return "vp09"
	case media.AAC:
		return "mp4a"
	case media.Opus:
		return "Opus"
	case media.MP3:
		return ".mp3"
	default:
		return ""
	}
}

// FourCCs are the codecs that are understood in the enhanced form.
func FourCCs() []string {
	return []string{"avc1", "hvc1", "av01", "vp08", "vp09", "mp4a", "Opus", ".mp3"}
}

func byFourCC(name string) (media.Codec, bool) {
	for c := media.H264; c <= media.MP3; c++ {
		if fourCC(c) == name {
			return c, true
		}
	}
	return 0, false
}

// Header begins a file or a stream.
func Header(video, audio bool) []byte {
	h := []byte{'F', 'L', 'V', 1, 0, 0, 0, 0, 9, 0, 0, 0, 0}
	if audio {
		h[4] |= 4
	}
	if video {
		h[4] |= 1
	}
	return h
}

// Milliseconds is a time as tags and messages have it. It begins anew after 49.7 days.
func Milliseconds(d time.Duration) uint32 { return uint32(media.Ticks(d, 1000)) }

// TypeOf is the type of a track's tags.
func TypeOf(k media.Kind) byte {
	if k == media.Audio {
		return TypeAudio
	}
	return TypeVideo
}

// AppendTag writes a tag and its size behind b; body writes what is in it.
func AppendTag(b []byte, kind byte, ms uint32, body func(b []byte) []byte) []byte {
	at := len(b)
	b = append(b, kind, 0, 0, 0, byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0)
	b = body(b)
	size := len(b) - at - tagHeader
	b[at+1], b[at+2], b[at+3] = byte(size>>16), byte(size>>8), byte(size)
	return binary.BigEndian.AppendUint32(b, uint32(tagHeader+size))
}

// Tag is a frame as a whole tag. It is made once a frame.
func Tag(f *media.Frame) []byte { return f.As(media.FLV, encodeTag) }

func encodeTag(f *media.Frame) []byte {
	b := make([]byte, 0, tagHeader+maxHead+len(f.Data)+tagSize)
	return AppendTag(b, TypeOf(f.Track.Kind), Milliseconds(f.DTS), func(b []byte) []byte { return AppendBody(b, f) })
}

// maxHead is the most that stands before the data in a body.
const maxHead = 8

// AppendBody writes the body of a frame behind b.
func AppendBody(b []byte, f *media.Frame) []byte {
	frame := byte(frameInter << 4)
	if f.Key {
		frame = frameKey << 4
	}
	composition := Milliseconds(f.PTS) - Milliseconds(f.DTS) // of what is written, so that the sum is right
	cts := []byte{byte(composition >> 16), byte(composition >> 8), byte(composition)}
	switch c := f.Params.Codec; c {
	case media.H264:
		b = append(b, frame|codecAVC, avcNALU)
		b = append(b, cts...)
	case media.H265:
		b = append(b, enhanced|frame|packetFrames)
		b = append(b, fourCC(c)...)
		b = append(b, cts...)
	case media.AV1, media.VP8, media.VP9:
		b = append(b, enhanced|frame|packetFrames)
		b = append(b, fourCC(c)...)
	case media.AAC:
		b = append(b, soundAAC<<4|0xf, aacRaw) // rate, size and channels are the same for all AAC
	case media.MP3:
		b = append(b, soundMP3<<4|0xf)
	case media.Opus:
		b = append(b, soundEnhanced<<4|packetFrames)
		b = append(b, fourCC(c)...)
	}
	return append(b, f.Data...)
}

// AppendConfig writes the body behind b that tells parameters; ok is false for codecs that have none.
func AppendConfig(b []byte, p *media.Params) (_ []byte, ok bool) {
	switch p.Codec {
	case media.H264:
		b = append(b, frameKey<<4|codecAVC, avcConfig, 0, 0, 0)
	case media.AAC:
		b = append(b, soundAAC<<4|0xf, aacConfig)
	case media.H265, media.AV1, media.VP9:
		b = append(b, enhanced|frameKey<<4|packetStart)
		b = append(b, fourCC(p.Codec)...)
	case media.Opus:
		b = append(b, soundEnhanced<<4|packetStart)
		b = append(b, fourCC(p.Codec)...)
	default:
		return b, false
	}
	if len(p.Config) == 0 {
		return b, false
	}
	return append(b, p.Config...), true
}

// MetaData is the body of the script tag that tells viewers what to expect.
func MetaData(params []*media.Params) []byte {
	fields := amf.Array{}
	add := func(key string, v any) { fields = append(fields, amf.Field{Key: key, Value: v}) }
	for _, p := range params {
		if p.Codec.Kind() == media.Video {
			add("videocodecid", videoID(p.Codec))
			if p.Width > 0 {
				add("width", p.Width)
				add("height", p.Height)
			}
			continue
		}
		add("audiocodecid", audioID(p.Codec))
		if p.SampleRate > 0 {
			add("audiosamplerate", p.SampleRate)
			add("audiochannels", p.Channels)
			add("stereo", p.Channels > 1)
		}
	}
	return amf.Append(nil, "onMetaData", fields)
}

// videoID is how metadata names a codec: by number, or by its four letters read as one.
func videoID(c media.Codec) int {
	if c == media.H264 {
		return codecAVC
	}
	return int(binary.BigEndian.Uint32([]byte(fourCC(c))))
}

func audioID(c media.Codec) int {
	switch c {
	case media.AAC:
		return soundAAC
	case media.MP3:
		return soundMP3
	default:
		return int(binary.BigEndian.Uint32([]byte(fourCC(c))))
	}
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}
