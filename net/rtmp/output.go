package rtmp

import (
	"sync"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
)

// batch is how many frames go out in one system call at most.
const batch = 32

// output writes frames to one viewer: each with all the others that wait, from memory that all viewers share.
type output struct {
	lock   *sync.Mutex // around the connection's writes
	viewer *media.Viewer
	frames [batch]*media.Frame
	told   [3]*media.Params // by Kind
	began  bool
	sets   bool // it goes to a server, which is asked to keep the metadata
	out    media.Batch
}

// write sends the first n frames, behind what a player must know before them.
func (o *output) write(n int) error {
	bufs := o.out.Begin()
	if !o.began {
		o.began = true
		bufs = append(bufs, o.metadata())
	}
	for i, f := range o.frames[:n] {
		if o.told[f.Track.Kind] != f.Params {
			o.told[f.Track.Kind] = f.Params
			if body, ok := flv.AppendConfig(nil, f.Params); ok {
				bufs = append(bufs, chunks(f, body))
			}
		}
		bufs = append(bufs, f.As(media.RTMP, encode))
		o.frames[i] = nil // nothing holds a frame longer than it must
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.out.Write(bufs)
}

// metadata tells what will come.
func (o *output) metadata() []byte {
	body := flv.MetaData(o.viewer.Params())
	if o.sets {
		body = append(amf.Append(nil, "@setDataFrame"), body...)
	}
	return appendMessage(nil, audioID, message{kind: msgData, stream: 1, body: body}, outChunk)
}

// encode makes the chunks of a frame that all viewers get. Their message stream is always 1, the only one that createStream gives.
func encode(f *media.Frame) []byte {
	return chunks(f, flv.AppendBody(make([]byte, 0, len(f.Data)+8), f))
}

func chunks(f *media.Frame, body []byte) []byte {
	m := message{kind: flv.TypeOf(f.Track.Kind), stream: 1, stamp: flv.Milliseconds(f.DTS), body: body}
	id := byte(videoID)
	if f.Track.Kind == media.Audio {
		id = audioID
	}
	return appendMessage(make([]byte, 0, len(body)+16+8*(len(body)/outChunk)), id, m, outChunk)
}
