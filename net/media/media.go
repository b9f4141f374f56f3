// Package media is what live media is made of, whatever protocol it comes in and goes out by: codecs and their parameters, tracks, frames, and a Stream, to which one
// publisher writes and which hands each frame to any number of viewers.
//
// Frames go around the mailboxes: a publisher's goroutine puts a frame into the stream's ring once, and each viewer reads the ring at its own pace, with a cursor of its own. So a
// frame costs the publisher a look at each viewer, and a viewer that stalls costs nobody anything. The ring is the GOP cache as well: who comes begins at its newest key frame.
//
// The forms in which frames are kept are those that most containers have in common, so that nothing is parsed twice:
//
//	H264, H265   NAL units of one access unit, each behind its length in 4 bytes; no parameter sets unless they came in band; Params.Config is the avcC or hvcC record (ISO/IEC 14496-15)
//	AV1          the OBUs of one temporal unit, with sizes, without a temporal delimiter; Params.Config is the av1C record
//	VP8, VP9     the frame as it is; Params.Config may be empty, or the vpcC record for VP9
//	AAC          one access unit without ADTS; Params.Config is the AudioSpecificConfig
//	Opus         one packet; Params.Config is the OpusHead (RFC 7845 section 5.1), or empty
//	MP3          one frame with its header; no Config
package media

import (
	"errors"
	"time"
)

// Why a stream does not take what it is given, or a viewer ends. They come wrapped, with what concerned.
var (
	// ErrBusy: the stream has a publisher.
	ErrBusy = errors.New("media: the stream has a publisher")
	// ErrClosed: the stream, the publisher or the viewer has been closed without another reason.
	ErrClosed = errors.New("media: closed")
	// ErrSlow: a viewer has stayed behind for too long.
	ErrSlow = errors.New("media: the viewer is too slow for the stream")
	// ErrStalled: a viewer takes nothing any more.
	ErrStalled = errors.New("media: the viewer takes nothing any more")
	// ErrFull: the stream has as many viewers, or tracks, as it may have.
	ErrFull = errors.New("media: full")
	// ErrFrame: a frame is not what its track takes.
	ErrFrame = errors.New("media: bad frame")
)

// Kind tells pictures from sound.
type Kind uint8

// The kinds of tracks.
const (
	Video Kind = iota + 1
	Audio
)

// String names it as logs, metrics and scripts do.
func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	default:
		return "unknown"
	}
}

// Codec is how a track's frames are compressed.
type Codec uint8

// The codecs that rooms carry. Nothing is transcoded unless there is a converter (Config.Convert), so an output leaves out what its protocol can't carry, and says so.
const (
	H264 Codec = iota + 1
	H265
	AV1
	VP8
	VP9
	AAC
	Opus
	MP3
)

// String names it as logs, metrics and scripts do.
func (c Codec) String() string {
	switch c {
	case H264:
		return "h264"
	case H265:
		return "h265"
	case AV1:
		return "av1"
	case VP8:
		return "vp8"
	case VP9:
		return "vp9"
	case AAC:
		return "aac"
	case Opus:
		return "opus"
	case MP3:
		return "mp3"
	default:
		return "unknown"
	}
}

// Kind is what its frames are.
func (c Codec) Kind() Kind {
	switch c {
	case H264, H265, AV1, VP8, VP9:
		return Video
	case AAC, Opus, MP3:
		return Audio
	default:
		return 0
	}
}

// UsualSound is the codecs of sound that players and servers know from of old, as ViewerConfig.Sound has them. Opus in FLV, RTMP and HLS is for newer ones only.
func UsualSound() []Codec { return []Codec{AAC, MP3} }

// Params is what a decoder must know before the frames that have it. It never changes: new parameters are a new Params, and an output knows by the pointer that it has to
// tell its viewer.
type Params struct {
	Codec Codec
	// Config is the codec's own record, in the form that the package names.
	Config []byte
	// Width and Height in pixels of video, 0 while unknown.
	Width, Height int
	// SampleRate in Hz and Channels of audio, 0 while unknown.
	SampleRate, Channels int
}

// MaxTracks is how many tracks a stream may have: a viewer's choice of them is a word.
const MaxTracks = 32

// Track is one sequence of frames of a stream. Tracks that are the same picture in different qualities (simulcast) have one Group and different Layers. A track lasts as
// long as its stream: a publisher that comes back gets the tracks that the one before had.
type Track struct {
	// ID is its index in the stream, below MaxTracks.
	ID   uint8
	Kind Kind
	// Group is the source: 0 the camera, say, and 1 the screen.
	Group uint8
	// Layer is the quality within the group, 0 the best.
	Layer uint8
	// Made is the codec of a track that a converter makes of the group's sound, 0 of what the publisher sends.
	Made Codec
}

// TrackSpec is what a publisher says of a track of its own.
type TrackSpec struct {
	Kind         Kind
	Group, Layer uint8
}

// Sample is what a publisher writes. Its times are the publisher's own, of any origin; those of all its tracks are one clock.
type Sample struct {
	// DTS is when it is decoded, and PTS when it is shown: they differ where the encoder reorders (B-frames). Each wrap of a protocol's field is taken out before: Unwrap.
	DTS, PTS time.Duration
	// Key: decoding may begin here. Of audio it is not asked.
	Key bool
	// Data is the stream's from now on; nobody changes it any more.
	Data []byte
	// Params are those that it needs. The same pointer as of the sample before while nothing has changed.
	Params *Params
}
