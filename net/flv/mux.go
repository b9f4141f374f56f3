package flv

import (
	"net"

	"github.com/skua-go/skua/net/media"
)

// Mux writes a stream for one viewer, from memory that all viewers share but for its beginning. The zero value is ready.
type Mux struct {
	told  [3]*media.Params // by Kind: a player has one track of each, whichever of the stream's that is
	began bool
}

// Append puts what a viewer gets for frames behind bufs: a header and the metadata at first, and parameters before the frames that need them. params are those of the viewer's
// tracks, asked for at first only.
func (m *Mux) Append(bufs net.Buffers, frames []*media.Frame, params func() []*media.Params) net.Buffers {
	if !m.began {
		m.began = true
		bufs = append(bufs, begin(params()))
	}
	for _, f := range frames {
		if m.told[f.Track.Kind] != f.Params {
			m.told[f.Track.Kind] = f.Params
			if tag := configTag(f); tag != nil {
				bufs = append(bufs, tag)
			}
		}
		bufs = append(bufs, Tag(f))
	}
	return bufs
}

func begin(params []*media.Params) []byte {
	var video, audio bool
	for _, p := range params {
		video = video || p.Codec.Kind() == media.Video
		audio = audio || p.Codec.Kind() == media.Audio
	}
	// At 0, whenever the viewer comes: ffmpeg takes metadata of another time for a track.
	return AppendTag(Header(video, audio), TypeScript, 0, func(b []byte) []byte { return append(b, MetaData(params)...) })
}

// configTag tells a frame's parameters, or is nil if its codec has none.
func configTag(f *media.Frame) []byte {
	var told bool
	tag := AppendTag(nil, TypeOf(f.Track.Kind), Milliseconds(f.DTS), func(b []byte) []byte {
		b, told = AppendConfig(b, f.Params)
		return b
	})
	if !told {
		return nil
	}
	return tag
}
