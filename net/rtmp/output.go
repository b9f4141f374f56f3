package rtmp

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// batch is how many frames go out in one system call at most.
const batch = 32

// output writes frames to one viewer: each with all the others that wait, from memory that all viewers share.
type output struct {
	session *session
	viewer  *media.Viewer

	frames   [batch]*media.Frame
	told     [media.MaxTracks]*media.Params
	began    bool
	bufs     net.Buffers // what WriteTo takes from
	room     net.Buffers // its memory
	deadline time.Time
}

// write sends the first n frames, behind what a player must know before them.
func (o *output) write(n int) error {
	o.bufs = o.room[:0]
	if !o.began {
		o.began = true
		o.bufs = append(o.bufs, o.metadata())
	}
	for i, f := range o.frames[:n] {
		if o.told[f.Track.ID] != f.Params {
			o.told[f.Track.ID] = f.Params
			if body, ok := flv.AppendConfig(nil, f.Params); ok {
				o.bufs = append(o.bufs, chunks(f, body))
			}
		}
		o.bufs = append(o.bufs, f.As(media.RTMP, encode))
		o.frames[i] = nil // nothing holds a frame longer than it must
	}
	o.room = o.bufs
	s := o.session
	s.write.Lock()
	defer s.write.Unlock()
	if now := time.Now(); o.deadline.Sub(now) < s.srv.cfg.WriteTimeout*3/4 {
		o.deadline = now.Add(s.srv.cfg.WriteTimeout)
		if err := s.conn.SetWriteDeadline(o.deadline); err != nil {
			return err
		}
	}
	_, err := o.bufs.WriteTo(s.conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrStalled
	}
	return err
}

// metadata tells what will come.
func (o *output) metadata() []byte {
	return appendMessage(nil, audioID, message{kind: msgData, stream: 1, body: flv.MetaData(o.viewer.Params())}, outChunk)
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
