package media

import (
	"sync/atomic"
	"time"
)

// Frame is one picture or one packet of sound in a stream. All viewers share it: nobody changes anything of it. The garbage collector has it when the ring and the last viewer
// let go of it.
type Frame struct {
	Track  *Track
	Params *Params
	// Seq counts the frames of the stream, all tracks, from 1 on without a gap.
	Seq uint64
	// DTS and PTS are on the stream's own timeline: DTS never goes back within a track, whatever the publisher's clock did, and goes on when a publisher comes back.
	DTS, PTS time.Duration
	// Key: decoding may begin here. True of all audio.
	Key bool
	// Data is in the form that the package names for the codec.
	Data []byte
	// Arrived is when it was written, in time since the stream was made.
	Arrived time.Duration

	forms [forms]atomic.Pointer[[]byte]
}

// Form is a way to write a frame that all viewers of one protocol get, so that it is made once a frame.
type Form uint8

// The forms. A protocol that wants one adds it here: each costs a frame 8 bytes, and its own size once it is asked for.
const (
	FLV  Form = iota // a whole tag with the size behind it
	RTMP             // a message in chunks
	RTSP             // packets of RTP, as they stand in a connection
	Own              // packages of the game's own connection
	forms
)

// As gives the frame in a form, made by the first that asks. Two that ask at the same time may both make it, and get one of the two. Nobody changes what it gives.
func (f *Frame) As(form Form, encode func(f *Frame) []byte) []byte {
	if made := f.forms[form].Load(); made != nil {
		return *made
	}
	made := encode(f)
	if f.forms[form].CompareAndSwap(nil, &made) {
		return made
	}
	return *f.forms[form].Load()
}
